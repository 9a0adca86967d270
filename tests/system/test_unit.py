"""The unit under a real systemd: it says how it is, comes back from every end, stops in time."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import pytest

from scribed import kinds
from scribed.service.restarts import RESTART_S
from tests.parts.canary import Canary, leaks
from tests.parts.cloud import Cloud
from tests.parts.robot import KEY, silence
from tests.system.box import Box, wait_until
from tests.system.conftest import Listen
from tests.system.ear import Ear

WATCHDOG_S = 2.0
STOP_S = 5.0
"""`shutdown.grace_s` and 2 s."""
THREADS = ("store", "delivery", "uplink", "capture")


def outcomes(ear: Ear) -> dict[int, str]:
    """The topic on which each number ended; a number may come twice, on one topic."""
    assert not unfinished(ear), f"{unfinished(ear)} have no end"
    return {m.payload["seq"]: m.topic for m in ear.subscriber.on("transcript", "late", "ended")}


def unfinished(ear: Ear) -> set[int]:
    """The numbers that began and have no end yet."""
    ends = {m.payload["seq"] for m in ear.subscriber.on("transcript", "late", "ended")}
    return {m.payload["seq"] for m in ear.subscriber.on("speech")} - ends


def test_without_a_microphone_it_is_ready_and_says_that_it_does_not_hear(box: Box) -> None:
    box.path("/etc/scribed/scribed.toml").write_text("", "utf-8")
    box.run("systemctl", "start", "scribed")
    try:
        assert box.run("systemctl", "is-active", "scribed").strip() == "active"
        wait_until(lambda: "DOES NOT HEAR (no_device)" in said_of(box, "StatusText"), 10)
        line = said_of(box, "StatusText")
        assert re.search(
            r"link refused \(no API key: .*\), broker DOWN \(.*\), no transcript yet$", line
        ), line
        said = box.run("journalctl", "-u", "scribed", "-o", "cat", "--no-pager")
        assert "no API key: put it in the credential elevenlabs-api-key" in said
    finally:
        box.run("systemctl", "stop", "scribed")
    assert said_of(box, "Result") == "success"


def said_of(box: Box, what: str) -> str:
    return box.run("systemctl", "show", "-P", what, "scribed").strip()


def test_it_hears_and_says_so_in_a_line(listen: Listen, command: bytes) -> None:
    ear = listen("line", service="WatchdogSec=3\n")  # the line is looked at when that is fed
    ear.start()  # returns when it is ready
    assert ear.show("ActiveState") == "active"
    ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    ear.wait_for(ear.finals)
    pattern = r"hears stdin( \(.*\))?, link connected, broker up, last transcript \d+ s ago"
    deadline = time.monotonic() + 10
    while not re.fullmatch(pattern, ear.show("StatusText")):
        assert time.monotonic() < deadline, ear.show("StatusText")
        ear.speak(silence(0.2), pace=2.0)  # a microphone never falls silent
    assert "Started " in ear.log
    fields = next(one for one in ear.records() if one["MESSAGE"].startswith("started: scribed"))
    assert (fields["_TRANSPORT"], fields["PRIORITY"]) == ("journal", "6")
    assert fields["_SYSTEMD_UNIT"] == ear.unit
    said = ear.box.run("/usr/lib/scribed/venv/bin/scribed", "status", "-i", "line", check=False)
    assert re.search(r"transcript +last one \d+ s ago", said), said


def test_the_key_is_a_credential_and_nowhere_else(
    listen: Listen, cloud: Cloud, command: bytes
) -> None:
    ear = listen("key")
    ear.start()
    ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    ear.wait_for(ear.finals)
    assert {request.headers["xi-api-key"] for request in cloud.requests} == {KEY}
    proc = ear.box.path(f"/proc/{ear.pid}")
    names = ("environ", "cmdline", "limits", "coredump_filter")
    places = {name: (proc / name).read_bytes() for name in names}
    assert b"CREDENTIALS_DIRECTORY=" in places["environ"]
    assert re.search(rb"Max core file size +0 +0 ", places["limits"])
    assert int(places["coredump_filter"], 16) == 0
    exported = ear.box.run("journalctl", "-u", ear.unit, "-o", "export", "--no-pager")
    places |= {"the journal": exported.encode()}
    places |= {"systemctl show": ear.box.run("systemctl", "show", ear.unit).encode()}
    for directory in (f"/var/lib/scribed/{ear.name}", f"/run/scribed/{ear.name}"):
        kept = [path for path in ear.box.path(directory).rglob("*") if path.is_file()]
        assert kept
        places |= {str(path): path.read_bytes() for path in kept}
    assert leaks({"the key": Canary(KEY)}, places) == []


def test_a_reload_takes_what_is_valid_and_fails_on_what_is_not(listen: Listen) -> None:
    ear = listen("reload")
    ear.start()
    pid = ear.pid
    ear.configure({**ear.sections, "vad": {"hangover_ms": 700}})
    ear.systemctl("reload")
    ear.speak(silence(0.3), pace=2.0)
    ear.wait_for(
        lambda: [m for m in ear.subscriber.on("event") if m.payload["event"] == "reloaded"]
    )
    assert "elevenlabs-api-key is a credential of systemd: a new one takes a restart" in ear.log
    ear.configure({**ear.sections, "vad": {"hangover_ms": 7}})
    ear.systemctl("reload", check=False)
    ear.wait_for(lambda: ear.subscriber.on("alert/config_invalid")[-1:][0].payload)
    assert "vad.hangover_ms: 7 is not allowed" in ear.log
    assert "Reload failed for" in ear.box.run("journalctl", "-u", ear.unit, "--no-pager")
    assert (ear.pid, ear.show("ActiveState")) == (pid, "active")


def test_a_key_that_is_missing_stops_no_start(listen: Listen, cloud: Cloud, command: bytes) -> None:
    ear = listen("keyless", drop_ins=())
    ear.start()
    ear.wait_for(lambda: ear.subscriber.on("alert/auth_failed"))
    assert "no API key: put it in the credential elevenlabs-api-key" in ear.log
    assert cloud.connections == 0


def test_after_kill_9_it_is_back_with_the_sound_that_was_in_memory(
    listen: Listen, cloud: Cloud, command: bytes
) -> None:
    ear = listen("killed")
    ear.start()
    ear.wait_until_it_hears()
    ear.speak(silence(0.3) + command[: len(command) * 2 // 3], pace=2.0)
    ear.wait_for(lambda: ear.subscriber.on("speech"))
    wait_until(ear.files, 5)
    before, begun = ear.pid, time.monotonic()
    ear.signal(signal.SIGKILL)
    ear.wait_for_a_new_process(before)
    assert time.monotonic() - begun < 4.0
    assert ear.show("NRestarts") == "1"
    ear.speak(silence(0.5), pace=2.0)
    ear.wait_for(ear.finals)
    (final,) = {each["seq"]: each for each in ear.finals()}.values()
    assert (final["final_reason"], "cut" in final["caution"]) == ("restart", True)
    (gap,) = [m for m in ear.subscriber.on("event") if m.payload["event"] == "audio_gap"][:1]
    assert gap.payload["detail"]["cause"] == "restart"


def test_what_a_frozen_process_was_doing_is_in_the_journal_and_it_comes_back(
    listen: Listen,
) -> None:
    ear = listen("frozen", service=f"WatchdogSec={WATCHDOG_S:g}\n")
    ear.start()
    ear.wait_until_it_hears()
    before, begun = ear.pid, time.monotonic()
    ear.signal(signal.SIGSTOP)
    ear.wait_for_a_new_process(before)
    took_s = time.monotonic() - begun
    assert took_s <= WATCHDOG_S + 2.0, took_s
    log = ear.log
    assert "Watchdog timeout (limit 2s)!" in log
    assert "Fatal Python error: Aborted" in log
    stacks = log[log.index("Fatal Python error") :]
    assert stacks.count("most recent call first") == len(THREADS) + 2  # control and main
    for thread in THREADS:
        assert f'scribed/{thread}/worker.py"' in stacks, f"no stack of {thread}"
    assert 'scribed/supervisor.py"' in stacks
    ear.wait_until_it_hears()


def test_it_is_started_ever_more_slowly_and_waiting_does_not_delay_a_stop(listen: Listen) -> None:
    ear = listen("loop")
    ear.start()
    assert ear.show("RestartUSec") == f"{RESTART_S * 1000:.0f}ms"
    for _ in range(2):
        before = ear.pid
        ear.signal(signal.SIGKILL)
        ear.wait_for_a_new_process(before)
    (said,) = [one["MESSAGE"] for one in ear.records() if "in a row" in one["MESSAGE"]]
    assert said.startswith("ended 2 times in a row soon after the start; starts in 2 s (why: ")
    ear.signal(signal.SIGKILL)
    wait_until(
        lambda: ear.show("StatusText") == "starting: ended 3 times in a row; starts in 4 s", 10
    )
    begun = time.monotonic()
    ear.systemctl("stop")
    assert time.monotonic() - begun < 1.0
    assert (ear.show("ActiveState"), ear.show("Result")) == ("inactive", "success")
    begun = time.monotonic()
    ear.start()  # by hand, after a stop: nothing is held against it
    assert time.monotonic() - begun < 2.0


BAD = {
    "an invalid configuration": ({"vad": {"hangover_ms": -1}}, "vad.hangover_ms: "),
    "no configuration": (None, "/etc/scribed/bad.toml cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("case", BAD)
def test_where_there_is_no_valid_configuration_it_stays_failed(
    box: Box, listen: Listen, case: str
) -> None:
    sections, said = BAD[case]
    ear = listen("bad", {"vad": {}} if sections is None else sections)
    if sections is None:
        box.path("/etc/scribed/bad.toml").unlink()
    assert "exit-code" in ear.systemctl("start", check=False) + ear.show("Result")
    assert (ear.show("ActiveState"), ear.show("SubState")) == ("failed", "failed")
    assert (ear.show("ExecMainStatus"), ear.show("NRestarts")) == ("78", "0")
    last = [one for one in ear.records() if one.get("SYSLOG_IDENTIFIER") == "scribed"][-1]
    assert said in last["MESSAGE"]
    assert (last["MESSAGE_ID"], last["PRIORITY"]) == (kinds.CONFIG_INVALID.id, "2")
    assert last["SCRIBED_EXIT_STATUS"] == "78"


def test_stopped_in_mid_utterance_it_leaves_in_time_and_nothing_is_lost(
    listen: Listen, cloud: Cloud, command: bytes
) -> None:
    ear = listen("stopped")
    ear.start()
    ear.wait_until_it_hears()
    spoken = silence(0.3) + command[: len(command) * 2 // 3]
    ear.speak(spoken, pace=2.0)
    ear.wait_for(lambda: ear.subscriber.on("speech"))
    begun = time.monotonic()
    ear.systemctl("stop")
    assert time.monotonic() - begun < STOP_S
    assert (ear.show("Result"), ear.show("ExecMainStatus")) == ("success", "0")
    ear.wait_for(lambda: said_last(ear, "status") == "offline")
    assert list(outcomes(ear).values()) == ["transcript"]
    (committed,) = cloud.commits
    at = spoken.find(committed)
    assert at >= 0, "what was committed is not what was said"
    assert len(spoken) - at - len(committed) < 32_000 * 0.3, "its end is missing"


def test_stopped_while_the_service_says_nothing_it_is_kept_for_the_next_start(
    listen: Listen, cloud: Cloud, command: bytes
) -> None:
    cloud.always.ignore_commit = True
    ear = listen("silent")
    ear.start()
    ear.wait_until_it_hears()
    ear.speak(silence(0.3) + command[: len(command) * 2 // 3], pace=2.0)
    ear.wait_for(lambda: ear.subscriber.on("speech"))
    begun = time.monotonic()
    ear.systemctl("stop")
    assert time.monotonic() - begun < STOP_S
    assert ear.show("Result") == "success"
    assert "1 utterance(s) have no answer; they are kept for later" in ear.log
    cloud.always.ignore_commit = False
    ear.start()
    ear.speak(silence(1.5), pace=2.0)  # ends what nobody had read yet of the sentence, too
    ear.wait_for(lambda: ear.finals() and not unfinished(ear))
    assert set(outcomes(ear).values()) <= {"transcript", "late"}


def said_last(ear: Ear, topic: str) -> Any:
    messages = ear.subscriber.on(topic)
    return messages[-1].payload if messages else None


def test_two_instances_have_nothing_in_common(
    box: Box, listen: Listen, cloud: Cloud, command: bytes
) -> None:
    front, rear = listen("front"), listen("rear")
    for ear in (front, rear):
        ear.start()
        ear.wait_until_it_hears()
    front.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    front.wait_for(front.finals)
    assert rear.finals() == []
    front.systemctl("stop")
    rear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    rear.wait_for(rear.finals)
    assert [final["seq"] for final in front.finals() + rear.finals()] == [1, 1]
    assert {final["source"] for final in rear.finals()} == {"rear"}
    for root in ("/var/lib/scribed", "/run/scribed"):
        names = {path.name for path in box.path(root).iterdir()}
        assert {"front", "rear"} <= names
