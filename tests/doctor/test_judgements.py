"""What evidence means: each way to fail has its own words and its own remedy."""

from __future__ import annotations

from typing import Any

import pytest

from scribed.config import Config, Vad
from scribed.doctor import keys, machine, network, sound
from scribed.doctor.finding import Finding, is_well, told
from scribed.doctor.probes import gate
from scribed.parts import gate as configured_gate

NOW = 1_780_000_000.0
SERVICE = ("scribed", 990)
DAY = 86_400.0


def heard(quiet: float | None, peak: float | None, speech_ms: int = 0) -> sound.Listened:
    return sound.Listened("hw:CARD=Mic", 16_000, 1, 1.5, quiet, peak, speech_ms)


def of_tls(**facts: Any) -> Finding:
    return network.of_greeting(network.Greeting("host", "provider", asked_at=NOW, **facts), NOW)


def of_unit(**facts: str) -> Finding:
    loaded = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    return machine.of_unit("scribed.service", loaded | facts)


def store(**facts: Any) -> Finding:
    return machine.of_store(machine.Store("/var/lib/scribed/default", True, **facts), SERVICE)


def key(**facts: Any) -> Finding:
    return keys.judge(keys.Evidence("elevenlabs-api-key", **facts), SERVICE)


BROKEN = [
    # finding, level, words of the text, words of the remedy
    (
        key(is_there=False, problem="no API key: put it in …"),
        "failed",
        "no API key",
        "scribed init",
    ),
    (
        key(is_there=False, problem="provider.key_file: k is open to others; chmod 600 k"),
        "failed",
        "is open to others",
        "chmod 600 k",
    ),
    (
        key(is_there=True, source=keys.Source("/etc/k", 0o644, 0, is_handed=True)),
        "warning",
        "/etc/k is open to others (mode 0644)",
        "chmod 600 /etc/k",
    ),
    (
        key(is_there=True, source=keys.Source("/etc/k", 0o600, 0)),
        "failed",
        "cannot be read by the service, which runs as scribed",
        "chown scribed /etc/k",
    ),
    (
        key(is_there=False, problem="none", source=keys.Source("/etc/k", None, None, True)),
        "unknown",
        "only root can look at /etc/k",
        "sudo scribed doctor",
    ),
    (
        key(
            is_there=False,
            problem="none",
            source=keys.Source("/etc/k", is_handed=True, is_missing=True),
        ),
        "failed",
        "LoadCredential= names /etc/k, which is not there",
        "no start succeeds",
    ),
    (
        key(is_there=False, problem="-", source=keys.Source("/k.cred", 0o600, 0, True, True)),
        "unknown",
        "is encrypted",
        "start the service",
    ),
    (sound.of_device(heard(None, None)), "failed", "gave nothing", "plug it in again"),
    (sound.of_device(heard(-91.0, -91.0)), "failed", "digital silence", "mute switch"),
    (sound.of_device(heard(-89.0, -84.0)), "warning", "hardly anything", "capture volume"),
    (sound.of_device(heard(-20.0, -1.0)), "warning", "as loud as it can be", "lower"),
    (
        sound.of_refusal(
            'audio.device: "x" is in use by ffmpeg (pid 5); end that', daemon_runs=False
        ),
        "failed",
        "is in use by ffmpeg (pid 5)",
        "end that",
    ),
    (
        sound.of_daemon({"hearing": False, "hearing_reason": "no_device"}),
        "failed",
        "DOES NOT HEAR (no_device)",
        "scribed devices",
    ),
    (
        sound.of_daemon({"hearing": False, "hearing_reason": "muted", "mute_reasons": ["mqtt"]}),
        "warning",
        "muted (mqtt)",
        "scribed mute off",
    ),
    (sound.of_gate([], (1.0, 3.5)), "failed", "for none", "[vad]"),
    (sound.of_gate([(0.7, 1.5), (2.5, 3.6)], (1.0, 3.5)), "warning", "into 2", "[vad]"),
    (sound.of_gate([(2.9, 3.5)], (1.0, 3.5)), "failed", "keeps 0.6 s of 2.5 s", "[vad]"),
    (
        network.of_lookup("mqtt.host", network.Lookup("hub", (), "Name or service not known", 0.1)),
        "failed",
        "hub: Name or service not known",
        "correct mqtt.host",
    ),
    (
        network.of_lookup("mqtt.host", network.Lookup("hub", (), "", 8.0)),
        "failed",
        "no answer within 8 s",
        "/etc/resolv.conf",
    ),
    (
        network.of_lookup("mqtt.host", network.Lookup("hub", ("10.0.0.1",), "", 5.2)),
        "warning",
        "hub is 10.0.0.1, 5200 ms",
        "a name server does not answer",
    ),
    (
        of_tls(untrusted="certificate has expired", date=NOW + 1),
        "failed",
        "the clock here is right",
        "renew it on the server",
    ),
    (
        of_tls(untrusted="certificate has expired", date=NOW - 400 * DAY),
        "failed",
        "this machine's clock is 400 days ahead of the server's",
        "timedatectl",
    ),
    (of_tls(untrusted="certificate is not yet valid"), "failed", "not yet valid", "`date`"),
    (
        of_tls(untrusted="self-signed certificate in certificate chain"),
        "failed",
        "self-signed",
        "provider.ca_file",
    ),
    (
        of_tls(untrusted="Hostname mismatch, certificate is not valid for 'host'."),
        "failed",
        "mismatch",
        "provider.url must be a name in it",
    ),
    (of_tls(problem="nothing listens on port 443"), "failed", "port 443", "firewall"),
    (of_tls(version="TLSv1.3", ends=NOW + 3.5 * DAY), "warning", "3 days", "renew"),
    (network.of_clock(True, 400.0), "failed", "400 s behind the server's", "timedatectl"),
    (network.of_clock(False, 0.2), "warning", "not synchronised", "set-ntp true"),
    (network.of_clock(True, -9.0), "warning", "9 s ahead of", "timesync-status"),
    (
        network.of_provider(
            network.Answered("elevenlabs", False, 0.2, reason="HTTP 401", alert="auth_failed")
        )[0],
        "failed",
        "HTTP 401",
        "put a valid key",
    ),
    (
        network.of_provider(network.Answered("elevenlabs", False, 0.2, reason="timed out"))[0],
        "failed",
        "timed out",
        "dns, tls and clock above",
    ),
    (
        network.of_broker(network.Reached("hub", problem="the broker refuses; correct it"))[0],
        "failed",
        "the broker refuses",
        "correct it",
    ),
    (
        network.of_broker(network.Reached("hub", version="5", not_subscribed="not authorized"))[1],
        "warning",
        "commands are not heard",
        "ACL",
    ),
    (
        network.of_broker(network.Reached("hub", version="5", is_in_clear=True))[1],
        "warning",
        "clear text",
        "mqtt.tls = true",
    ),
    (store(may_look=False), "unknown", "another user's", "sudo"),
    (store(is_read_only=True), "failed", "cannot be written", "remount"),
    (store(owner=("root", 0)), "failed", "belongs to root", "chown -R scribed:"),
    (store(ledger="is damaged: x"), "warning", "ledger.db is damaged: x", "sets it aside"),
    (store(quarantined=2), "warning", "2 in quarantine", "scribed spool"),
    (
        machine.of_disk(machine.Room("/", 150 << 20, 8 << 30), min_free_mb=200, max_mb=256),
        "failed",
        "150 MB of 8192 MB free, under spool.min_free_mb = 200",
        "free space",
    ),
    (
        machine.of_disk(machine.Room("/", 300 << 20, 8 << 30), min_free_mb=200, max_mb=256),
        "warning",
        "not room enough for spool.max_mb = 256",
        "free space",
    ),
    (
        machine.of_disk(machine.Room("/", 8 << 30, 8 << 30, 0), min_free_mb=200, max_mb=256),
        "failed",
        "no file more",
        "inode",
    ),
    (of_unit(LoadState="not-found"), "warning", "there is no scribed.service", "docs/systemd.md"),
    (of_unit(LoadState="masked"), "failed", "masked", "unmask"),
    (of_unit(LoadState="bad-setting"), "failed", "cannot be loaded", "systemd-analyze verify"),
    (of_unit(ActiveState="inactive"), "warning", "does not run", "systemctl start"),
    (
        of_unit(ActiveState="inactive", UnitFileState="disabled"),
        "warning",
        "does not run",
        "enable --now",
    ),
    (
        of_unit(ActiveState="failed", Result="exit-code", ExecMainStatus="78"),
        "failed",
        "has failed: exit-code, status 78",
        "scribed check",
    ),
    (
        of_unit(
            ActiveState="activating", SubState="auto-restart", Result="exit-code", NRestarts="9"
        ),
        "failed",
        "again and again (9 times)",
        "journalctl",
    ),
    (of_unit(NRestarts="3"), "warning", "started again 3 times", "journalctl"),
    (of_unit(NeedDaemonReload="yes"), "warning", "changed since", "daemon-reload"),
    (of_unit(UnitFileState="disabled"), "warning", "does not start at boot", "enable"),
    (
        machine.of_wifi([machine.Radio("wlan0", True, saves_power=True)])[0],
        "warning",
        "wlan0 saves power",
        "power_save off",
    ),
    (
        machine.of_wifi([machine.Radio("wlan0", True, saves_power=None)])[0],
        "unknown",
        "not known",
        "iw dev wlan0",
    ),
]

WELL = [
    key(is_there=True, source=keys.Source("/etc/k", 0o600, 990)),
    key(is_there=True, source=keys.Source("/etc/k", 0o600, 0, is_handed=True)),
    key(is_there=False, is_needed=False),
    sound.of_device(heard(-62.0, -30.0, 400)),
    sound.of_daemon({"hearing": True, "heard": "no speech", "device": {"name": "hw:CARD=Mic"}}),
    sound.of_daemon({"hearing": False, "hearing_reason": "robot_speaking"}),
    sound.of_refusal('"x" is in use by scribed (pid 5); end that', daemon_runs=True),
    network.of_lookup("mqtt.host", network.Lookup("hub", ("10.0.0.1", "::1"), "", 0.02)),
    of_tls(version="TLSv1.3", ends=NOW + 60 * DAY),
    network.of_clock(True, 0.4),
    network.of_provider(network.Answered("elevenlabs", True, 0.3, session_id="s1"))[0],
    network.of_broker(network.Reached("hub", version="5"))[0],
    machine.of_store(machine.Store("/s", is_there=False), SERVICE),
    store(owner=SERVICE, waiting=3),
    store(owner=SERVICE, held_by=812, ledger="", waiting=3),
    store(owner=SERVICE, has_journal=True),
    machine.of_disk(machine.Room("/", 8 << 30, 9 << 30), min_free_mb=200, max_mb=256),
    of_unit(DropInPaths="/etc/systemd/system/scribed.service.d/realtime.conf"),
    machine.of_wifi([])[0],
    machine.of_wifi([machine.Radio("wlan0", False, saves_power=True)])[0],
    machine.of_wifi([machine.Radio("wlan0", True, saves_power=False)])[0],
]


@pytest.mark.parametrize(("finding", "level", "text", "remedy"), BROKEN)
def test_what_is_wrong_is_said_with_its_remedy(
    finding: Finding, level: str, text: str, remedy: str
) -> None:
    assert finding.level == level
    assert text in finding.text
    assert remedy in finding.remedy


@pytest.mark.parametrize("finding", WELL)
def test_what_is_well_is_said_without_one(finding: Finding) -> None:
    assert (finding.level, finding.remedy) == ("ok", ""), finding


def test_a_finding_is_one_line() -> None:
    for finding in [*(each[0] for each in BROKEN), *WELL]:
        assert "\n" not in str(finding)


def test_warnings_and_what_is_unknown_are_no_failure() -> None:
    assert is_well([told("a", "warning", "x; y", "z"), Finding("b", "unknown", "x")])
    assert not is_well([told("a", "failed", "x", "z")])


def test_the_units_drop_ins_are_named() -> None:
    said = of_unit(DropInPaths="/etc/a/realtime.conf /etc/a/local-only.conf")
    assert "drop-ins: realtime.conf, local-only.conf" in said.text


def test_no_systemd_is_said_and_no_failure() -> None:
    assert machine.of_unit("scribed.service", None).level == "unknown"


def test_the_credentials_that_a_unit_names_are_read_from_its_files() -> None:
    files = """\
# /usr/lib/systemd/system/scribed.service
[Service]
#LoadCredential=not:this
LoadCredential=a:/old
LoadCredential=
LoadCredential=a:/etc/a
# /etc/systemd/system/scribed.service.d/more.conf
LoadCredential=b:/etc/b
LoadCredentialEncrypted=c:/etc/c.cred
"""
    assert keys.handed_over(files) == {
        "LoadCredential": "a:/etc/a b:/etc/b",
        "LoadCredentialEncrypted": "c:/etc/c.cred",
    }


def test_systemds_list_of_credentials_is_read() -> None:
    pairs = keys.load_credentials("a:/etc/a b:/etc/x:y")
    assert pairs == [("a", "/etc/a"), ("b", "/etc/x:y")]
    assert (keys.source_of(pairs, "b"), keys.source_of(pairs, "c")) == ("/etc/x:y", "")


@pytest.mark.parametrize("aggressiveness", [0, 3])
def test_the_gate_as_it_comes_takes_the_made_voice_for_one_utterance(aggressiveness: int) -> None:
    config = Config(vad=Vad(aggressiveness=aggressiveness))
    cut = gate.cut(configured_gate(config), gate.webrtc(aggressiveness))
    assert sound.of_gate(cut, gate.VOICE_S).level == "ok"


class Deaf:
    """A detector that takes nothing for a voice."""

    def __call__(self, frame: bytes) -> bool:
        return False

    def reset(self) -> None:
        pass


def test_a_detector_that_takes_nothing_for_a_voice_is_found() -> None:
    cut = gate.cut(configured_gate(Config()), Deaf())
    assert sound.of_gate(cut, gate.VOICE_S).level == "failed"
