"""When an earlier run last heard, on this boot's clock: what it missed since is a gap. Pure."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable

from scribed.model import EarlierBoot

Mark = tuple[str, float]
"""A boot's id, and seconds of its clock."""


def as_text(mark: Mark) -> str:
    """As it is remembered."""
    return f"{mark[0]} {mark[1]!r}"


def as_mark(text: str) -> Mark | None:
    """The reverse; None: it is none."""
    boot_id, _, at = text.rpartition(" ")
    with contextlib.suppress(ValueError):
        if boot_id and math.isfinite(float(at)):
            return boot_id, float(at)
    return None


def heard(
    marks: Iterable[Mark],
    *,
    boot_of: Callable[[str], EarlierBoot | None],
    here: EarlierBoot,
    now: float,
) -> tuple[float | None, bool]:
    """The latest of `marks`, on the clock of `here`, and whether that is exact.

    It is not where a wall clock that was not set stands between two boots. None: nothing is known;
    what is later than `now` is not believed.
    """
    found = []
    for boot_id, at in marks:
        if boot_id == here.id:
            found.append((at, True))
        elif (boot := boot_of(boot_id)) is not None:
            exact = bool(boot.clock_synced and here.clock_synced)
            found.append((at + boot.unix_offset - here.unix_offset, exact))
    return max((mark for mark in found if mark[0] <= now), default=(None, True))
