"""What holds for every daemon in these tests, whatever was done to it and its peers."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.parts.robot import Robot


class WatchedRobot(Robot):
    """A robot that is left only if its daemon told no secret and ended by no bug."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, exc, traceback)
        if exc is None:
            assert_no_traceback(self.log)
            assert_discreet(self)


def assert_no_traceback(log: str) -> None:
    """A user's mistake or a peer's is told in a line, and no bug was met."""
    assert "Traceback" not in log, log
    assert "bug in" not in log, log


def assert_discreet(robot: Robot) -> None:
    """No secret is told, in whatever way; what was said is on MQTT and in the ledger only."""
    places: dict[str, bytes] = {"the log": robot.log.encode()}
    places |= {f"command line {n}": line for n, line in enumerate(robot.command_lines)}
    assert any(b"scribed" in line for line in robot.command_lines), "none was looked at"
    for message in robot.subscriber.received:
        places.setdefault(f"topic {message.topic}", b"")
        places[f"topic {message.topic}"] += json.dumps(message.payload).encode()
    kept = [path for path in robot.state_directory.rglob("*") if path.is_file()]
    places |= {str(path): path.read_bytes() for path in kept}
    for secret in robot.secrets:
        told = [place for place, content in places.items() if secret.encode() in content]
        assert told == [], f"a secret is in {told}"
    ledger = str(robot.state_directory / "ledger.db")
    private = [place for place in places if not place.startswith(("topic ", ledger))]
    for text in {message.payload["text"] for message in robot.finals}:
        told = [place for place in private if text.encode() in places[place]]
        assert told == [], f"what was said is in {told}"


def assert_accounted(robot: Robot, *, again: bool = False) -> dict[int, str]:
    """Every utterance that started has ended exactly once, or is kept for the next start.

    Returns by `seq` the topic of its end, or in which way it is kept: "waiting" for an answer in a
    file, or "unpublished" in the ledger.
    `again`: where a connection to the broker was lost, its end may have been published twice, under
    the same id and `seq`.
    """
    ends = robot.on("transcript", "late", "ended")
    ids: dict[int, str] = {}
    for message in ends:
        seq, name = message.payload["seq"], message.payload["utterance_id"]
        assert ids.setdefault(seq, name) == name, f"two utterances have the number {seq}"
    assert len(set(ids.values())) == len(ids), "an utterance has two numbers"
    if not again:
        doubled = [
            seq for seq, count in Counter(m.payload["seq"] for m in ends).items() if count > 1
        ]
        assert doubled == [], f"published twice: {doubled}"
    started = {m.payload["seq"]: m.payload["utterance_id"] for m in robot.on("speech", "partial")}
    waits = kept(robot)
    missing = [seq for seq, name in started.items() if ids.get(seq) != name and seq not in waits]
    assert missing == [], f"started and never ended: {missing}\n{robot.log}"
    acted_on = [m.payload["seq"] for m in robot.on("transcript")]
    rising = acted_on == sorted(acted_on) if again else acted_on == sorted(set(acted_on))
    assert rising, f"seq does not rise on transcript: {acted_on}"
    return {**waits, **{message.payload["seq"]: message.topic for message in ends}}


def kept(robot: Robot) -> dict[int, str]:
    """What the state directory keeps for the next start, by `seq`; the daemon has ended."""
    files = (robot.state_directory / "audio").glob("*.sealed.wav")
    waiting = {int(path.name.split("-")[0]): "waiting" for path in files}
    ledger = robot.state_directory / "ledger.db"
    if robot.process.poll() is None or not ledger.exists():
        return waiting
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute("SELECT seq FROM final WHERE delivered IS NULL").fetchall()
    return {**waiting, **{seq: "unpublished" for (seq,) in rows}}


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def held(pid: int) -> tuple[int, int]:
    """Descriptors and threads of a process."""
    return descriptors(pid), len(list(Path(f"/proc/{pid}/task").iterdir()))


def finals_by_seq(robot: Robot) -> dict[int, dict[str, Any]]:
    """The final of each utterance that has one."""
    return {message.payload["seq"]: message.payload for message in robot.finals}
