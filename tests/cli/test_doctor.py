"""`scribed doctor`: an operator asks at two in the morning what is wrong."""

from __future__ import annotations

import datetime
import json
import random
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from scribed.demo.broker import Broker
from tests.cli.shell import Said, Shell
from tests.parts.asound import Asound, compile_fault
from tests.parts.cloud import Behaviour, Cloud
from tests.service.rig import Daemon

KEY = "sk_doctor_0123456789"
PASSWORD = "pw_doctor_9876543210"


@pytest.fixture(scope="module")
def fault_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fault(tmp_path_factory.mktemp("fault"))


@pytest.fixture
def asound(tmp_path: Path, fault_module: Path) -> Asound:
    return Asound(tmp_path, fault_module)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    users = {"ear": PASSWORD}
    with Broker(tmp_path_factory.mktemp("broker"), passwords=users) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, asound: Asound, cloud: Cloud, broker: Broker) -> Shell:
    """A machine on which all is well; `asound` has a microphone in a quiet room."""
    cloud.always, cloud.messages = Behaviour(), 0
    dice = random.Random(1)
    noise = tmp_path / "noise.s16"
    noise.write_bytes(array("h", (round(dice.gauss(0, 40)) for _ in range(80_000))).tobytes())
    asound.card("Mic", rates=[16_000], channels=[1], audio=noise)
    shell = Shell(tmp_path / "home")
    shell.home.mkdir()
    shell.environ |= asound.environment()
    shell.write("key", KEY)
    shell.write("password", PASSWORD)
    configure(shell, cloud, broker)
    return shell


@pytest.fixture
def no_microphone(shell: Shell) -> None:
    """Listening takes its time: not where something else is asked."""
    shell.environ["SCRIBED_AUDIO__SOURCE"] = "stdin"


def configure(shell: Shell, cloud: Cloud, broker: Broker, **values: str) -> None:
    """Write the configuration; `values` are TOML, by `section__key`."""
    keys = {
        "provider__url": f'"{cloud.url}"',
        "provider__key_file": f'"{shell.home}/key"',
        "provider__connect_timeout_s": "2",
        "mqtt__port": str(broker.port),
        "mqtt__username": '"ear"',
        "mqtt__password_file": f'"{shell.home}/password"',
        "spool__min_free_mb": "1",
        "spool__max_mb": "32",
    } | values
    lines = (f"{key.replace('__', '.')} = {value}" for key, value in keys.items())
    shell.write("ear.toml", "\n".join(lines))


def examine(shell: Shell) -> tuple[Said, dict[str, list[dict[str, str]]]]:
    """Run it for programs; the findings by their part. No secret is in what it says."""
    said = shell.scribed("doctor", "-c", shell.home / "ear.toml", "--json")
    assert said.err == ""
    assert KEY[:9] not in said.out
    assert PASSWORD[:9] not in said.out
    document = json.loads(said.out)
    assert document["schema"] == "scribed.doctor/1"
    assert (said.status == 0) == document["ok"]
    parts: dict[str, list[dict[str, str]]] = {}
    for finding in document["findings"]:
        parts.setdefault(finding["part"], []).append(finding)
    return said, parts


def the(parts: dict[str, list[dict[str, str]]], part: str, level: str) -> dict[str, str]:
    """The only finding of a part that has this level."""
    (found,) = (each for each in parts[part] if each["level"] == level)
    return found


def test_where_all_is_well_each_part_says_so_in_a_line(shell: Shell, cloud: Cloud) -> None:
    said = shell.scribed("doctor", "-c", shell.home / "ear.toml")
    assert said.status == 0, said.out
    assert said.err == ""
    lines = {line[9:22].strip(): line for line in said.out.splitlines() if "  " in line}
    for part in ("configuration", "credentials", "microphone", "gate", "dns", "tls", "provider"):
        assert lines[part].startswith("ok"), said.out
    for part in ("broker", "store", "disk"):
        assert lines[part].startswith("ok"), said.out
    assert {"clock", "unit", "wifi"} <= set(lines)
    assert "hw:CARD=Mic, 16000 Hz, 1 ch: -5" in lines["microphone"]
    assert "session started" in lines["provider"]
    assert "nothing published" in lines["broker"]
    assert cloud.messages == 0, "no audio was sent"
    assert not (shell.home / ".local").exists(), "nothing was made"


def test_everything_that_is_wrong_is_said_in_one_run(
    shell: Shell, cloud: Cloud, broker: Broker, asound: Asound
) -> None:
    (shell.home / "key").chmod(0o644)
    shell.write("password", "no-password")
    asound.card("Other")
    configure(
        shell,
        cloud,
        broker,
        mqtt__host='"127.0.0.1"',
        spool__min_free_mb="65536",
        spool__max_mb="65536",
        vad__aggressiveness="3",
    )
    said, parts = examine(shell)
    assert said.status == 1
    key = the(parts, "credentials", "failed")
    assert "is open to others (mode 0644)" in key["text"]
    assert key["remedy"] == f"chmod 600 {shell.home}/key"
    assert the(parts, "provider", "unknown")["text"] == "not tried without a key"
    broken = the(parts, "broker", "failed")
    assert 'the broker refuses the user "ear"' in broken["text"]
    assert "password" in broken["remedy"]
    microphone = the(parts, "microphone", "failed")
    assert "card:Mic" in microphone["text"] + microphone["remedy"]
    free_mb = shutil.disk_usage(shell.home).free >> 20
    assert parts["disk"][0]["level"] == (
        "failed" if free_mb < 65_536 else "warning" if free_mb < 131_072 else "ok"
    )


@pytest.mark.usefixtures("no_microphone")
def test_without_a_key_it_says_where_one_may_be_put(
    shell: Shell, cloud: Cloud, broker: Broker
) -> None:
    configure(shell, cloud, broker, provider__key_file='""')
    _, parts = examine(shell)
    assert "no API key" in the(parts, "credentials", "failed")["text"]


@pytest.mark.usefixtures("no_microphone")
def test_a_key_that_the_service_refuses_is_told_from_a_network_that_fails(
    shell: Shell, cloud: Cloud
) -> None:
    cloud.always = Behaviour(http_status=401)
    _, parts = examine(shell)
    assert "put a valid key" in the(parts, "provider", "failed")["remedy"]
    cloud.always = Behaviour(greeting=[{"message_type": "quota_exceeded", "error": "none left"}])
    _, parts = examine(shell)
    assert "dashboard" in the(parts, "provider", "failed")["remedy"]
    cloud.always = Behaviour(mute_greeting=True)
    _, parts = examine(shell)
    assert "2 s" in the(parts, "provider", "failed")["text"]


def test_a_microphone_that_somebody_else_has_or_that_is_dead_is_said(
    shell: Shell, asound: Asound
) -> None:
    nothing = shell.write("nothing.s16", bytes(160_000))
    mic = asound.card("Mic", rates=[16_000], channels=[1], audio=nothing)
    _, parts = examine(shell)
    assert "digital silence" in the(parts, "microphone", "failed")["text"]
    mic.on("busy")
    _, parts = examine(shell)
    assert "is in use by" in the(parts, "microphone", "failed")["text"]


@pytest.mark.usefixtures("no_microphone")
def test_a_configuration_that_is_not_valid_does_not_end_the_examination(shell: Shell) -> None:
    path = shell.home / "ear.toml"
    path.write_text(path.read_text() + "\nvad.aggressiveness = 9\n")
    said, parts = examine(shell)
    assert said.status == 1
    assert "vad.aggressiveness" in the(parts, "configuration", "failed")["text"]
    assert "of what of it is valid" in the(parts, "configuration", "warning")["text"]
    assert "session started" in the(parts, "provider", "ok")["text"]
    path.write_text("this is no TOML")
    said, parts = examine(shell)
    assert "the defaults" in the(parts, "configuration", "warning")["text"]
    assert {"microphone", "broker", "disk", "unit"} <= set(parts)


def test_a_daemon_that_has_the_microphone_is_asked_for_it(shell: Shell) -> None:
    shell.environ["RUNTIME_DIRECTORY"] = str(shell.home / "run")
    shell.environ["STATE_DIRECTORY"] = str(shell.home / "state")
    state = {
        "hearing": True,
        "hearing_reason": "ok",
        "heard": "no speech, -62 dBFS",
        "device": {"name": "hw:CARD=Mic"},
        "status_line": "hears hw:CARD=Mic, link idle",
    }
    with Daemon(shell.home / "run", lambda _: state) as daemon:
        _, parts = examine(shell)
        assert [command.name for command in daemon.asked] == ["state"]
    assert the(parts, "daemon", "ok")["text"] == "hears hw:CARD=Mic, link idle"
    assert "no speech, -62 dBFS" in the(parts, "microphone", "ok")["text"]


@pytest.mark.usefixtures("no_microphone")
def test_an_instance_is_named_by_its_configuration(shell: Shell) -> None:
    said = shell.scribed("doctor", "-i", "front", "--json")
    document = json.loads(said.out)
    assert document["instance"] == "front"
    assert "front.toml" in document["findings"][0]["text"]


@pytest.mark.usefixtures("no_microphone")
def test_our_certificate_is_looked_at_with_its_key(
    shell: Shell, cloud: Cloud, broker: Broker
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    begun = now - datetime.timedelta(days=400)
    ends = now + datetime.timedelta(days=3)
    issued = trustme.CA().issue_cert("r7", not_before=begun, not_after=ends)
    cert = shell.write("own.pem", issued.cert_chain_pems[0].bytes())
    key = shell.write("own.key", issued.private_key_pem.bytes())
    values = {"mqtt__tls": "true", "mqtt__cert_file": f'"{cert}"', "mqtt__key_file": f'"{key}"'}
    configure(shell, cloud, broker, **values)
    said = examine(shell)[1]["credentials"]
    assert {"ok": f"mqtt-client-key: {key} (mode 0600)"} in [{x["level"]: x["text"]} for x in said]
    (soon,) = (each for each in said if each["level"] == "warning")
    assert soon["text"].startswith(f"{cert} (mqtt.cert_file) expires on ")
    assert soon["remedy"] == "renew it"
    shell.write("own.key", trustme.CA().issue_cert("r8").private_key_pem.bytes())
    wrong = the(examine(shell)[1], "credentials", "failed")
    assert "do not belong together" in wrong["text"]
