"""From `systemctl start` to the first text on MQTT, by part, under a real systemd.

The unit runs as it is installed, in the box of the tests (`tests/system/box.py`), which needs root.
Cold: the kernel forgets the files of scribed, its libraries and Python before each start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.beside import ANSWER_S
from bench.commands import faint_noise, speech_without_pauses
from bench.cost import spread
from bench.tables import Cell, Table, add_json, show
from scribed.config import Config
from scribed.demo.broker import Broker
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.parts.robot import KEY
from tests.system import box as boxes
from tests.system.box import Box
from tests.system.ear import Ear, put_the_key
from tests.system.installing import PREFIX, install, make_wheels

QUIET_S, SPEECH_S = 0.3, 2.0
PARTS = (
    "systemd: from the command to scribed's process (ms)",
    "from its process to READY (ms)",
    "systemctl: until it returns (ms)",
    "from speech to its first message (ms)",
    "from the end of speech to its text (ms)",
    "of that, hangover and answer (ms)",
    "from the command to the text, without the speech (ms)",
)
TEXT_S = 20.0


@dataclass(frozen=True)
class Times:
    """Of one start (monotonic seconds)."""

    asked: float
    process: float
    ready: float
    returned: float
    speech: float  #: begins
    heard: float  #: its first message on MQTT
    end: float
    text: float

    @property
    def parts(self) -> tuple[float, ...]:
        """Milliseconds, as `PARTS` has them."""
        settings = Config().vad.hangover_ms / 1000 + ANSWER_S
        spans = (
            self.process - self.asked,
            self.ready - self.process,
            self.returned - self.ready,
            self.heard - self.speech,
            self.text - self.end,
            settings,
            self.returned - self.asked + self.text - self.end,
        )
        return tuple(1000 * each for each in spans)


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench boot", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="starts, warm and cold (default: 5)")
    add_json(parser)
    args = parser.parse_args()
    show(measure(args.times), args)


def measure(times: int) -> Table:
    """Start it so many times, warm and cold in turn. Raises `CannotBoot` where there is no box."""
    if reason := boxes.why_not():
        raise boxes.CannotBoot(reason)
    found: dict[str, list[tuple[float, ...]]] = {"warm": [], "cold": []}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for each in ("broker", "wheels"):
            (directory / each).mkdir()
        install(directory / "tree", make_wheels(directory / "wheels").parent)
        box = stack.enter_context(boxes.booted(directory / "box", directory / "tree"))
        put_the_key(box)
        broker = stack.enter_context(Broker(directory / "broker"))
        service = stack.enter_context(
            Server(recognizer=Script(["turn left"]), key=KEY, answer_s=ANSWER_S)
        )
        sections = {"provider": {"url": service.url}}
        speech = speech_without_pauses(SPEECH_S)
        for n in range(times + 1):  # the first compiles nothing, but fills the caches
            for kind, starts in found.items():
                with Ear(box, f"{kind}{n}", sections, port=broker.port) as ear:
                    if kind == "cold":
                        _forget(box)
                    begun = _start(ear, speech)
                if n:
                    starts.append(begun.parts)
    rows: dict[str, tuple[Cell, ...]] = {
        part: tuple(spread([each[n] for each in starts], 0) for starts in found.values())
        for n, part in enumerate(PARTS)
    }
    says = (
        f"{times} starts of each in turn of `scribed@.service`, on stdin: medians, and from the "
        f"least to the most. {SPEECH_S:.0f} s of speech begin {QUIET_S * 1000:.0f} ms after "
        f"systemctl has returned; the stand-in answers after {ANSWER_S * 1000:.0f} ms. Cold: "
        "without the files of scribed, its libraries and Python in the kernel's cache."
    )
    return Table("From systemctl start to the first text", says, tuple(found), rows)


def _start(ear: Ear, speech: bytes) -> Times:
    wall = time.time() - time.monotonic()
    asked = time.monotonic()
    ear.start()
    returned = time.monotonic()
    ear.speak(faint_noise(QUIET_S))
    begins = time.monotonic()
    ear.speak(speech)
    end = time.monotonic()
    ear.speak(faint_noise(1.5))
    ear.wait_for(ear.finals, TEXT_S)
    return Times(
        asked=asked,
        process=int(ear.show("ExecMainStartTimestampMonotonic")) / 1e6,
        ready=int(ear.show("ActiveEnterTimestampMonotonic")) / 1e6,
        returned=returned,
        speech=begins,
        heard=ear.subscriber.on("speech")[0].at - wall,
        end=end,
        text=ear.subscriber.on("transcript", "late")[0].at - wall,
    )


def _forget(box: Box) -> None:
    """Ask the kernel to forget these files, as after a boot."""
    for path in _files(box):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _files(box: Box) -> Iterator[Path]:
    yield from (path for path in box.path(str(PREFIX)).rglob("*") if path.is_file())
    yield Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    yield from (path for path in library.rglob("*") if path.suffix in {".pyc", ".py", ".so"})


if __name__ == "__main__":
    main()
