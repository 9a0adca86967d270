"""What takes longer under a real systemd: a thread stands still, much to recover, many stops."""

from __future__ import annotations

import contextlib
import os
import random
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from scribed.model import UtteranceId
from scribed.store.wav import HEADER_BYTES, header, parse
from tests.parts.cloud import Cloud
from tests.parts.robot import silence
from tests.system.box import Box, wait_until
from tests.system.conftest import Listen
from tests.system.ear import Ear
from tests.system.freezing import frozen, has_ended
from tests.system.test_unit import STOP_S, outcomes

pytestmark = pytest.mark.slow

THREADS = ("store", "delivery", "uplink", "capture", "control")
"""As they are started, after the main one."""
MANY = 60_000
"""Utterances that an outage left: more than 2 s of work."""
SHORT = 320
"""Bytes of each: a block of the file system, with the header."""
SILENT_S = 60.0 + 10.0 + 3.0
"""What an idle thread declares, what it may overrun that by, and the watchdog and the restart."""


@pytest.mark.timeout(300)
def test_each_thread_that_stands_still_is_named_and_the_daemon_comes_back(listen: Listen) -> None:
    ears: dict[str, Ear] = {}
    for thread in THREADS:
        ears[thread] = listen(f"stuck-{thread}", service="WatchdogSec=2\n")
        ears[thread].start()
        ears[thread].wait_until_it_hears()
    with contextlib.ExitStack() as stack:
        waiting = {}
        for number, (thread, ear) in enumerate(ears.items(), 1):
            outside = ear.outside
            tid = sorted(int(task.name) for task in Path(f"/proc/{outside}/task").iterdir())[number]
            stack.enter_context(frozen(tid))
            waiting[thread] = tid
        deadline = time.monotonic() + SILENT_S + 15
        while waiting:
            assert time.monotonic() < deadline, f"nobody minds that {list(waiting)} stand still"
            for thread, tid in list(waiting.items()):
                ears[thread].speak(silence(0.1))
                if has_ended(tid):
                    del waiting[thread]
    for thread, ear in ears.items():
        wait_until(lambda ear=ear: ear.show("NRestarts") == "1", 10)  # type: ignore[misc]
        wait_until(lambda ear=ear: ear.show("ActiveState") == "active", 10)  # type: ignore[misc]
        log = ear.log
        assert f"no heartbeat of: {thread}; the watchdog is not fed" in log
        assert (
            f'scribed/{"service/control" if thread == "control" else thread + "/worker"}.py"' in log
        )
        ear.wait_until_it_hears()


@pytest.mark.parametrize("seed", range(20))
def test_stopped_at_a_random_moment(
    listen: Listen, cloud: Cloud, command: bytes, seed: int
) -> None:
    scene = (silence(0.3) + command + silence(0.9)) * 2
    ear = listen(f"random-{seed}")
    ear.start()
    ear.speak(scene[: random.Random(seed).randrange(len(scene))], pace=2.0)
    begun = time.monotonic()
    ear.systemctl("stop")
    assert time.monotonic() - begun < STOP_S
    assert (ear.show("Result"), ear.show("ExecMainStatus")) == ("success", "0")
    ear.wait_for(lambda: ear.subscriber.on("status")[-1].payload == "offline")
    assert set(outcomes(ear).values()) <= {"transcript"}


@pytest.mark.timeout(240)
def test_a_start_with_much_to_put_in_order_is_given_the_time(
    box: Box, listen: Listen, cloud: Cloud, command: bytes
) -> None:
    cloud.always.ignore_commit = True
    ear = listen("much", service="TimeoutStartSec=2\n")
    ear.start()
    ear.wait_until_it_hears()
    ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    ear.systemctl("stop")
    multiply(box.path("/var/lib/scribed/much/audio"), MANY)
    begun = time.monotonic()
    ear.start()
    assert time.monotonic() - begun > 2.0, "it had not much to do"
    assert ear.show("NRestarts") == "0"
    assert f"recovered: {MANY + 1} utterance(s) without an answer" in ear.log


def multiply(directory: Path, count: int) -> None:
    """Leave `count` more utterances there, 10 ms each, made after the one that is."""
    (kept,) = directory.glob("*.sealed.wav")
    whole = kept.read_bytes()
    meta = parse(whole[:HEADER_BYTES], len(whole))
    audio = whole[HEADER_BYTES : HEADER_BYTES + SHORT]
    owner = kept.stat()
    for number in range(count):
        name = UtteranceId(f"{number:026}")
        started = replace(meta.started, id=name, seq=meta.started.seq + 1 + number)
        assert meta.ended is not None
        ended = replace(meta.ended, id=name, audio_ms=10)
        crc32 = zlib.crc32(audio)
        said = header(replace(meta, started=started, ended=ended, nbytes=SHORT, crc32=crc32))
        path = directory / f"{started.seq:010}-{name}.sealed.wav"
        path.write_bytes(said + audio)
        os.chown(path, owner.st_uid, owner.st_gid)
