"""Numbers for utterances: dense, and asked for before they run out."""

from __future__ import annotations

import itertools

from scribed.capture.numbering import SEQ_LOW, Numbering
from scribed.model import SeqReserved, UtteranceId


def test_numbers_are_dense_and_more_are_asked_for_once_when_few_are_left() -> None:
    asked: list[int] = []
    ids = itertools.count()
    numbering = Numbering(
        lambda: UtteranceId(f"u{next(ids)}"), 7, SeqReserved(7 + SEQ_LOW + 2), asked.append
    )
    given = [numbering.identify(float(n), None).seq for n in range(5)]
    assert given == [7, 8, 9, 10, 11]
    assert asked == [10]
    numbering.reserve(7 + SEQ_LOW + 6)
    for _ in range(3):
        numbering.identify(0.0, None)
    assert asked == [10, 14]
    assert (numbering.next_seq, numbering.detected) == (15, 8)


def test_without_new_numbers_it_goes_on_all_the_same() -> None:
    numbering = Numbering(lambda: UtteranceId("u"), 1, SeqReserved(2), lambda _: None)
    assert [numbering.identify(0.0, None).seq for _ in range(50)] == list(range(1, 51))
