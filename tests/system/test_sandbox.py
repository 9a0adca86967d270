"""What the unit's process cannot do, under a real systemd; and what the drop-ins change."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from scribed.demo.broker import Broker
from tests.parts.robot import silence
from tests.system.box import Box
from tests.system.conftest import Listen
from tests.system.installing import PREFIX, ROOT

PROBE = "/usr/lib/scribed/probe.py"
REFUSED = {
    "write /etc": {"EROFS"},
    "write /usr": {"EROFS"},
    "write /var/lib": {"EROFS"},
    "write /run": {"EROFS", "EACCES"},
    "write /dev/shm": {"EROFS", "allowed"},  # allowed: PrivateIPC= gives it one of its own
    "write /root": {"EACCES", "EROFS"},
    "list /root": {"EACCES"},
    "read the keys of root": {"EACCES"},
    "become root": {"EPERM"},
    "a user namespace": {"EPERM"},
    "writable code": {"EPERM", "EACCES"},  # before and since systemd 253
    "a suid program": {"EPERM"},
    "a raw socket": {"EAFNOSUPPORT"},
    "a netlink socket": {"EAFNOSUPPORT"},
    "a higher priority": {"EPERM"},
    "realtime": {"EPERM"},
    "set the host name": {"EPERM"},
    "set a kernel knob": {"EROFS", "ENOENT"},
}
ALLOWED = ("write its state", "write its runtime", "read its key", "an internet socket")


@pytest.fixture
def seen(box: Box, listen: Listen) -> dict[str, Any]:
    """What a process saw that ran in the unit's place."""
    shutil.copy(Path(__file__).with_name("probe.py"), box.path(PROBE))
    box.path("/tmp/of-others").write_text("", "ascii")
    service = f"Type=oneshot\nExecStart=\nExecStart={PREFIX}/bin/python -I {PROBE}\nWatchdogSec=0\n"
    ear = listen("probe", service=service)
    ear.start()
    said = box.path("/var/lib/scribed/probe/probe.json").read_text("ascii")
    return dict(json.loads(said))


def test_what_it_does_not_need_is_refused(seen: dict[str, Any]) -> None:
    tried = {name: seen[name] for name in REFUSED}
    assert {name: said for name, said in tried.items() if said not in REFUSED[name]} == {}
    assert {name: seen[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, "allowed")
    assert seen["tmp"] == []
    assert seen["processes"] == 1
    assert len(seen["boot id"]) == 32


def test_it_is_nobody_else(box: Box, listen: Listen) -> None:
    ear = listen("modest")
    ear.start()
    status = Path(f"/proc/{ear.outside}/status").read_text("ascii")
    said = dict(line.split(":", 1) for line in status.splitlines())
    uid = int(box.run("id", "-u", "scribed"))
    assert {int(each) for each in said["Uid"].split()} == {uid}
    assert uid != 0
    assert box.run("getent", "passwd", "scribed").strip().endswith(":/usr/sbin/nologin")
    audio = int(box.run("getent", "group", "audio").split(":")[2])
    assert audio in map(int, said["Groups"].split())
    assert {said[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert (said["NoNewPrivs"].strip(), said["Seccomp"].strip()) == ("1", "2")
    assert os.getpriority(os.PRIO_PROCESS, ear.outside) == -5
    for place in ("/var/lib/scribed/modest", "/run/scribed/modest"):
        whose = box.path(place).stat()
        assert (whose.st_uid, whose.st_mode & 0o777) == (uid, 0o700)
    everything = [*box.path("/var/lib/scribed/modest").rglob("*")]
    assert [path for path in everything if path.stat().st_mode & 0o077 and path.is_file()] == []


def test_realtime_is_for_the_daemon_and_not_for_what_it_starts(listen: Listen) -> None:
    ear = listen("realtime", drop_ins=("elevenlabs-key.conf", "realtime.conf"))
    ear.start()
    policy = os.sched_getscheduler(ear.outside)
    assert policy == os.SCHED_RR | os.SCHED_RESET_ON_FORK
    assert os.sched_getparam(ear.outside).sched_priority == 5


def test_what_is_local_only_reaches_service_and_broker_on_the_robot(
    listen: Listen, broker: Broker, command: bytes
) -> None:
    ear = listen("local", drop_ins=("elevenlabs-key.conf", "local-only.conf"))
    ear.start()
    ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
    ear.wait_for(ear.finals)
    assert ear.show("IPAddressDeny") != ""


def test_the_two_units_differ_in_the_instance_only() -> None:
    texts = {}
    for name, instance in (("scribed.service", "default"), ("scribed@.service", "%i")):
        text = (ROOT / "systemd" / name).read_text("utf-8")
        lines = [line for line in text.splitlines() if line and line[0] not in "#"]
        config = "scribed" if instance == "default" else instance
        texts[name] = [
            line.replace(f"scribed/{instance}", "scribed/I").replace(f"/{config}.toml", "/I.toml")
            for line in lines
            if not line.startswith("Description=")
        ]
    assert texts["scribed.service"] == texts["scribed@.service"]
