"""The store is damaged between two starts (G5): it starts, and delivers all that is whole."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.bench import Bench
from tests.faults.report import Figures
from tests.faults.seeds import seeds
from tests.faults.watermark import decode

STARTS = 10
BLOCK = 4096


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def zero(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = chance.randrange(0, len(content), BLOCK)
    content[at : at + BLOCK] = bytes(len(content[at : at + BLOCK]))
    path.write_bytes(content)


def scramble(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(path.stat().st_size))


def delete(path: Path, _chance: random.Random) -> None:
    path.unlink()


def lay_beside(path: Path, chance: random.Random) -> None:
    """Files that are not ours, some named as if they were."""
    for name in ("core", f"{chance.randrange(10**10):010}-nobody.sealed.wav", "x.open.wav"):
        (path.parent / name).write_bytes(chance.randbytes(chance.randrange(5000)))
    (path.parent / "directory.sealed.wav").mkdir()


DAMAGES: list[Callable[[Path, random.Random], None]] = [
    flip,
    truncate,
    zero,
    scramble,
    delete,
    lay_beside,
]


def utterances(path: Path) -> set[int]:
    """Whose sound is in a file of the store."""
    content = path.read_bytes()
    return {f.utterance for at in (0, 1) for f in decode(content[at:])} - {0}


def sockets(directory: str, names: list[str]) -> set[str]:
    """Those of the names that cannot be copied."""
    return {name for name in names if (Path(directory) / name).is_socket()}


def wait_for(bench: Bench, wanted: set[int], since: int, timeout: float = 20.0) -> set[int]:
    """Wait for the texts of `wanted` among what came after `since`; which did not come."""

    def missing() -> set[int]:
        later = bench.robot.subscriber.received[since:]
        texts = [m.payload["text"] for m in later if m.topic in ("transcript", "late")]
        return {n for n in wanted if not any(f"u{n} " in text for text in texts)}

    bench.robot.subscriber.wait_for(lambda: not missing(), timeout)
    return missing()


@pytest.mark.parametrize("seed", seeds("damage", 1, 20))
@pytest.mark.timeout(300)
def test_a_damaged_store_is_started_from_and_what_is_whole_in_it_is_delivered(
    tmp_path: Path, phrases: list[bytes], seed: int
) -> None:
    chance = random.Random(f"damage {seed}")
    rooms = (tmp_path / "state", tmp_path / "runtime")
    with Bench(tmp_path, phrases, run=seed) as bench:
        bench.fresh()
        bench.settle()
        bench.uplink.refuse()
        bench.uplink.reset()
        said = {bench.say(n) for n in range(4)}
        bench.microphone.hush()
        bench.kill()
        bench.uplink.listen()
        for room in rooms:
            shutil.copytree(room, tmp_path / f"{room.name}.kept", ignore=sockets)
        for n in range(STARTS):
            for room in rooms:
                shutil.rmtree(room)
                shutil.copytree(tmp_path / f"{room.name}.kept", room)
            files = [p for room in rooms for p in sorted(room.rglob("*")) if p.is_file()]
            victim = chance.choice([p for p in files if p.stat().st_size])
            damage = DAMAGES[n % len(DAMAGES)]
            hit = set() if damage is lay_beside else utterances(victim)
            damage(victim, chance)
            what = f"{damage.__name__} of {victim.relative_to(tmp_path)}"
            since = len(bench.robot.subscriber.received)
            bench.robot.start()
            missing = wait_for(bench, said - hit, since)
            assert not missing, f"{what}: {missing} missing\n{bench.robot.log[-8000:]}"
            assert bench.robot.process.poll() is None, what
            quarantine = [p for p in (rooms[0] / "quarantine").rglob("*") if p.is_file()]
            assert sum(p.stat().st_size for p in quarantine) <= 16 << 20
            bench.robot.kill()
        report.add(Figures("damage", utterances=len(said) + 1, faults=STARTS, note="all started"))
