"""What takes longer under a real systemd: a thread stands still, much to recover, many stops."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scribed.model import UtteranceId
from scribed.store.wav import HEADER_BYTES, header, parse
from tests.faults.proxy import Proxy
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

NARROW = 8_000 / 8
"""Bytes a second of a link on which speech comes through at a thirtieth of its speed."""
NARROW_S = 600.0
RESOLVER = "127.0.0.77"
"""A name server that takes every question and answers none (man 5 resolv.conf: 5 s, twice)."""


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


@pytest.mark.parametrize("seed", range(100))
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


@pytest.mark.timeout(900)
def test_a_crawling_link_names_nobody_resolves_and_busy_cores_kill_nothing(
    box: Box, listen: Listen, cloud: Cloud, command: bytes
) -> None:
    box.path("/run/resolv.conf").write_text(f"nameserver {RESOLVER}\n", "ascii")
    nobody = "BindReadOnlyPaths=/run/resolv.conf:/etc/resolv.conf\n"
    lost = {"provider": {"url": "wss://speech.invalid"}, "mqtt": {"host": "broker.invalid"}}
    with contextlib.ExitStack() as stack:
        resolver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        resolver.bind((RESOLVER, 53))
        link = stack.enter_context(Proxy(cloud.port))
        slow = listen("slow", {"provider": {"url": f"ws://127.0.0.1:{link.port}"}})
        ears = [slow, listen("lost", lost, service=nobody)]
        for ear in ears:
            ear.start()
            ear.wait_until_it_hears()
        first = {ear: ear.pid for ear in ears}
        link.narrow(NARROW)
        for _ in range(os.cpu_count() or 1):
            stack.enter_context(busy())
        until = time.monotonic() + NARROW_S
        while time.monotonic() < until:
            for ear in ears:
                ear.speak(command + silence(1.0), pace=2.0)
        asked = len(resolver.recv(512, socket.MSG_DONTWAIT))
        assert asked, "nobody asked for a name"
        for ear in ears:
            assert (ear.pid, ear.show("NRestarts")) == (first[ear], "0"), ear.log
            assert "the watchdog is not fed" not in ear.log
            assert ear.show("StatusText").startswith("hears ")
        link.narrow(None)
        before = len(slow.finals())
        slow.wait_for(lambda: len(slow.finals()) > before, 60)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A process that computes for as long as the context lasts."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


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
