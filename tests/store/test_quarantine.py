"""What is set aside goes by age where the clock can be believed, and by size always."""

from __future__ import annotations

from pathlib import Path

from scribed.store.quarantine import MAX_AGE_S, MAX_BYTES, Quarantine

NOW = 1_790_000_000.0


class Clock:
    now = NOW
    synced: bool | None = True


def set_aside(directory: Path, clock: Clock, seq: int, nbytes: int = 2000) -> Quarantine:
    quarantine = Quarantine(directory / "q", lambda: clock.now, lambda: clock.synced)
    path = directory / f"{seq:010}-01JX.sealed.wav"
    path.write_bytes(bytes(nbytes))
    assert quarantine.take(path, "it is damaged") is not None
    return quarantine


def held(directory: Path) -> list[int]:
    return sorted(int(path.name[:10]) for path in (directory / "q").iterdir())


def test_a_clock_that_may_be_wrong_makes_nothing_old(tmp_path: Path) -> None:
    clock = Clock()
    quarantine = set_aside(tmp_path, clock, 1)
    clock.now = NOW + 56 * 365 * 86_400
    for clock.synced in (False, None):
        quarantine.trim()
        assert held(tmp_path) == [1]
    clock.now, clock.synced = NOW + MAX_AGE_S + 1, True
    quarantine.trim()
    assert held(tmp_path) == []


def test_what_a_wrong_clock_stamped_is_of_the_day_when_it_is_right(tmp_path: Path) -> None:
    clock = Clock()
    clock.synced = False
    for clock.now in (5.0, NOW + 9e8):
        quarantine = set_aside(tmp_path, clock, round(clock.now))
    clock.now, clock.synced = NOW, True
    quarantine.trim()
    assert len(held(tmp_path)) == 2
    clock.now = NOW + MAX_AGE_S + 1
    quarantine.trim()
    assert held(tmp_path) == []


def test_the_oldest_go_by_size_whatever_the_clock_says(tmp_path: Path) -> None:
    clock = Clock()
    clock.synced = None
    for seq in range(1, 4):
        clock.now += 1.0
        set_aside(tmp_path, clock, seq, MAX_BYTES // 2)
    assert held(tmp_path) == [2, 3]
