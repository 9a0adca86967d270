"""The judge is judged: what it must find it finds, and what is in order it lets pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from scribed.demo.subscriber import Received
from tests.faults.microphone import Spoken
from tests.faults.oracle import Judge

PHRASE, PAUSE = 100, 50


@dataclass
class Heard:
    """What a subscriber got."""

    received: list[Received] = field(default_factory=list)

    @property
    def finals(self) -> list[Received]:
        return self.on("transcript", "late")

    def on(self, *topics: str) -> list[Received]:
        return [message for message in self.received if message.topic in topics]

    def say(self, topic: str, seq: int, text: str = "", **more: Any) -> None:
        payload = {
            "seq": seq,
            "utterance_id": f"id{seq}",
            "text": text,
            "late_reason": "stale" if topic == "late" else None,
            "restated": False,
            "age_ms": 300,
            "emit_unix_ms": (_last(seq) + 30) * 10,
            **more,
        }
        self.received.append(Received(topic, payload, 0.0, False, 1, None))


@dataclass
class Said:
    """Three phrases of a second each, with half a second between, all captured."""

    said: int = 3
    frames: list[Spoken] = field(default_factory=list)

    def __post_init__(self) -> None:
        for n in range(3 * (PHRASE + PAUSE) + 10):
            phrase, place = divmod(n, PHRASE + PAUSE)
            self.frames.append(Spoken(phrase + 1 if place < PHRASE else 0, n / 100, True))
        for spoken in self.frames[-10:]:
            spoken.utterance = 0

    def speech(self) -> dict[int, Spoken]:
        return {n: s for n, s in enumerate(self.frames) if s.utterance and s.captured}


def _first(seq: int) -> int:
    return (seq - 1) * (PHRASE + PAUSE)


def _last(seq: int) -> int:
    return _first(seq) + PHRASE - 1


def text(seq: int, *, skip: int = 0) -> str:
    return f"run 1 u{seq} {_first(seq) + skip} to {_last(seq)}"


def judged(*finals: tuple[str, int, str]) -> Judge:
    heard = Heard()
    for seq in (1, 2, 3):
        heard.say("speech", seq)
    for topic, seq, words in finals:
        heard.say(topic, seq, words)
    return Judge(heard, Said())


def whole(*seqs: int) -> list[tuple[str, int, str]]:
    return [("transcript", seq, text(seq)) for seq in seqs]


def test_three_finals_for_three_phrases_are_in_order() -> None:
    judge = judged(*whole(1, 2, 3))
    judge.check()
    verdict = judge.verdict()
    found = (verdict.lost, verdict.doubled, verdict.misplaced, verdict.repeats)
    assert found == ([], [], [], 0)
    assert judge.figures("x").speech_ms == 3000


def test_one_frame_that_no_text_has_is_lost() -> None:
    judge = judged(*whole(1, 3), ("transcript", 2, text(2, skip=1)))
    assert judge.verdict().lost_ms() == 10


def test_a_phrase_without_text_is_lost_where_nothing_ended_in_its_place() -> None:
    judge = judged(*whole(1, 3))
    assert judge.verdict().lost_ms() == 1000
    with pytest.raises(AssertionError, match="never ended"):
        judge.check()


def test_an_end_without_text_excuses_what_was_said_in_its_place_only() -> None:
    judge = judged(*whole(1), ("ended", 2, ""), ("transcript", 3, text(3, skip=5)))
    verdict = judge.verdict()
    assert [span.utterance for span in verdict.excused] == [2, 3]  # its neighbour's first words
    judge = judged(*whole(2, 3), ("ended", 3, ""))
    assert judge.verdict().lost_ms() == 1000
    with pytest.raises(AssertionError, match="with and without text"):
        judge.check()


def test_a_text_under_another_s_number_is_found() -> None:
    verdict = judged(("transcript", 1, text(2)), *whole(2, 3)).verdict()
    assert verdict.lost_ms() == 1000
    assert len(verdict.doubled) == PHRASE
    assert len(verdict.misplaced) == 1


def test_a_repeat_needs_a_fault_that_explains_it() -> None:
    judge = judged(*whole(1, 2, 2, 3))
    judge.check(repeats=1)
    with pytest.raises(AssertionError, match="published again 1 times"):
        judge.check()


def test_numbers_that_fall_on_transcript_are_found() -> None:
    with pytest.raises(AssertionError, match="does not rise"):
        judged(*whole(2, 1, 3)).check()
    judged(*whole(2, 3), ("late", 1, text(1))).check()


def test_a_text_that_is_older_than_it_says_is_found() -> None:
    judge = judged(*whole(1, 2, 3))
    old = Heard()
    old.say("transcript", 1, text(1), emit_unix_ms=(_last(1) + 600) * 10)
    judge.robot = old
    with pytest.raises(AssertionError, match="s old"):
        judge.check()
