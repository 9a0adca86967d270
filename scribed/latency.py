"""Where the time of one utterance went, from its first voiced frame to the broker. Pure.

```
 onset ── gate ── first byte … speech … end ── commit ── text ── publish
```
The parts after the end of speech sum to `end_to_publish_ms`, to the millisecond, wherever they are
known: each moment is rounded once, and lies between those beside it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from scribed.model import Final


class Parts(NamedTuple):
    """In milliseconds; None: not known, as for the steps that an earlier run took."""

    end_to_publish_ms: int  #: the sum of the three that follow
    end_to_commit_ms: int | None = None  #: the hangover, until the kernel had the commit
    commit_to_text_ms: int | None = None  #: network and service
    text_to_publish_ms: int | None = None  #: until it was written to the broker
    onset_to_gate_ms: int | None = None  #: from the first voiced frame to the open gate
    gate_to_first_byte_ms: int | None = None  #: on the connection that was answered


PARTS = tuple(field.removesuffix("_ms") for field in Parts._fields)
"""Their names, where the unit stands elsewhere."""

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)
"""Of the histograms; what is on `transcript` is no older than `transcript.stale_after_s`."""


class Histogram(NamedTuple):
    """How often something took how long."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)  #: up to each bound, and beyond the last
    sum_s: float = 0.0

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def add(self, took_s: float) -> Histogram:
        """This one with one more."""
        at = bisect_left(BOUNDS_S, took_s)
        counts = (*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :])
        return Histogram(counts, self.sum_s + took_s)


NONE_YET: Mapping[str, Histogram] = dict.fromkeys(PARTS, Histogram())


def counted(before: Mapping[str, Histogram], spent: Parts) -> Mapping[str, Histogram]:
    """The histograms by part with one utterance more, as far as its parts are known."""
    took = zip(PARTS, spent, strict=True)
    return {part: before[part] if ms is None else before[part].add(ms / 1000) for part, ms in took}


def parts(final: Final, now: float) -> Parts:
    """Where the time went of what is published `now`, by the clock of its utterance's boot."""
    took, end_at = final.moments, final.ended.at
    whole = max(_ms(end_at, now) or 0, 0)
    if final.started.boot is not None:  # it was answered by another clock than it was spoken by
        return Parts(whole, commit_to_text_ms=between_ms(took.commit, took.text))
    commit, text = _ms(end_at, took.commit), _ms(end_at, took.text)
    if commit is not None:
        commit = min(max(commit, 0), whole)
    if text is not None:
        text = min(max(text, commit or 0), whole)
    return Parts(
        whole,
        end_to_commit_ms=commit,
        commit_to_text_ms=None if text is None or commit is None else text - commit,
        text_to_publish_ms=None if text is None else whole - text,
        onset_to_gate_ms=between_ms(took.onset, took.gate),
        gate_to_first_byte_ms=between_ms(took.gate, took.first_byte),
    )


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)


def between_ms(start: float | None, end: float | None) -> int | None:
    """From `start` to `end`, at least 0; None where one of them is not known."""
    length_ms = _ms(start, end)
    return None if length_ms is None else max(length_ms, 0)
