"""The judge: holds what the subscriber got against what the microphone knows was captured."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Protocol

from scribed.demo.subscriber import Received
from tests.faults import watermark
from tests.faults.microphone import Spoken
from tests.faults.report import Figures
from tests.faults.watermark import FRAME_MS, Span

PERIOD_FRAMES = 2
"""The daemon hears 20 ms at a time: what is less at the end of its life is no frame yet."""
UNHEARD_FRAMES = 20
"""A piece of a phrase as short as this may be no utterance: the gate wants `min_utterance_ms` (100)
of voiced audio, and not each frame of a phrase is voiced."""
SLACK_S = 0.3
"""How exactly the test knows when a frame was said."""
LATE_REASONS = {"stale", "overtaken", "earlier_boot"}


@dataclass(slots=True)
class Verdict:
    """What became of every captured frame of speech."""

    lost: list[Span] = field(default_factory=list)
    excused: list[Span] = field(default_factory=list)  #: of utterances that ended without text
    short: list[Span] = field(default_factory=list)  #: below the gate
    doubled: list[int] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)  #: text under the number of another
    repeats: int = 0

    def lost_ms(self) -> int:
        return sum(len(span.numbers) for span in self.lost) * FRAME_MS


class Messages(Protocol):
    """What the subscriber got: `tests.parts.robot.Robot`."""

    @property
    def finals(self) -> list[Received]: ...

    def on(self, *topics: str) -> list[Received]: ...


class Truth(Protocol):
    """What was said and captured: the microphone."""

    @property
    def frames(self) -> list[Spoken]: ...

    @property
    def said(self) -> int: ...

    def speech(self) -> dict[int, Spoken]: ...


@dataclass(slots=True)
class Judge:
    """Used by the test's thread; `stale_after_s` is the daemon's."""

    robot: Messages
    microphone: Truth
    stale_after_s: float = 5.0

    def finals(self) -> dict[int, dict[str, Any]]:
        """The final of each utterance that has one, by `seq`: what came first."""
        finals: dict[int, dict[str, Any]] = {}
        for message in self.robot.finals:
            finals.setdefault(message.payload["seq"], message.payload)
        return finals

    def missing(self) -> list[int]:
        """Captured frames of speech that no text has; the ended ones are among them."""
        answered: set[int] = set()
        for final in self.finals().values():
            for span in watermark.read(final["text"]):
                answered.update(span.numbers)
        return sorted(set(self.microphone.speech()) - answered)

    def unaccounted(self) -> list[int]:
        """Numbers of utterances that have begun and have no end yet."""
        begun = {m.payload["seq"] for m in self.robot.on("speech", "partial")}
        return sorted(begun - {m.payload["seq"] for m in self._ends()})

    def verdict(self) -> Verdict:
        """The books, closed; raises where a rule was broken that no fault excuses."""
        found = Verdict()
        speech, finals = self.microphone.speech(), self.finals()
        owners: dict[int, int] = {}
        for seq in sorted(finals):
            for span in watermark.read(finals[seq]["text"]):
                for number in span.numbers:
                    if owners.setdefault(number, seq) != seq and number in speech:
                        found.doubled.append(number)
        found.misplaced = _misplaced(finals)
        ended = {m.payload["seq"] for m in self.robot.on("ended")}
        for span in _spans([n for n in sorted(speech) if n not in owners], self.microphone):
            if self._is_excused(span, finals, ended):
                found.excused.append(span)
            elif self._is_short(span, owners, speech):
                found.short.append(span)
            else:
                found.lost.append(span)
        found.repeats = sum(Counter(m.payload["seq"] for m in self._ends()).values()) - len(
            {m.payload["seq"] for m in self._ends()}
        )
        return found

    def check(self, *, repeats: int = 0) -> None:
        """What holds in every scenario: one end each, under one id, fresh and in order."""
        ids: dict[int, str] = {}
        topics: dict[int, set[str]] = defaultdict(set)
        for message in self._ends():
            seq, name = message.payload["seq"], message.payload["utterance_id"]
            assert ids.setdefault(seq, name) == name, f"two utterances have the number {seq}"
            topics[seq].add("text" if message.topic != "ended" else "ended")
        assert len(set(ids.values())) == len(ids), "an utterance has two numbers"
        both = [seq for seq, kinds in topics.items() if len(kinds) > 1]
        assert not both, f"with and without text: {both}"
        again = self.verdict().repeats
        assert again <= repeats, f"published again {again} times, after {repeats} faults"
        assert not self.unaccounted(), f"begun and never ended: {self.unaccounted()}"
        self._check_transcript()

    def figures(self, scenario: str, **more: Any) -> Figures:
        verdict, speech = self.verdict(), self.microphone.speech()
        return Figures(
            scenario,
            utterances=self.microphone.said,
            speech_ms=len(speech) * FRAME_MS,
            lost_ms=verdict.lost_ms(),
            doubled_ms=len(verdict.doubled) * FRAME_MS,
            misplaced=len(verdict.misplaced),
            below_gate_ms=sum(len(s.numbers) for s in verdict.short) * FRAME_MS,
            late=len({m.payload["seq"] for m in self.robot.on("late")}),
            ended=len({m.payload["seq"] for m in self.robot.on("ended")}),
            repeats=verdict.repeats,
            **more,
        )

    def _ends(self) -> list[Received]:
        return self.robot.on("transcript", "late", "ended")

    def _check_transcript(self) -> None:
        acted_on: list[int] = []
        for message in self.robot.on("transcript"):
            final = message.payload
            assert not message.retained
            assert final["late_reason"] is None
            assert not final["restated"]
            assert final["age_ms"] <= self.stale_after_s * 1000, final
            if acted_on and acted_on[-1] == final["seq"]:
                continue  # a repeat at once: nobody who remembers the last number acts on it
            acted_on.append(final["seq"])
            spoken = [s for s in watermark.read(final["text"]) if s.utterance]
            if spoken:
                said_at = self.microphone.frames[spoken[-1].last].at
                age_s = final["emit_unix_ms"] / 1000 - said_at
                if final.get("final_reason") == "restart":
                    age_s -= self._misdated_s(spoken)
                assert age_s <= self.stale_after_s + SLACK_S, f"{age_s} s old: {final}"
        assert acted_on == sorted(set(acted_on)), f"seq does not rise: {acted_on}"
        for message in self.robot.on("late"):
            assert message.payload["late_reason"] in LATE_REASONS, message

    def _misdated_s(self, spoken: list[Span]) -> float:
        """By how much it is dated too late whose end is where its audio ends, from its start on:
        the microphone is faster than the audio is long."""
        first, last = spoken[0].first, spoken[-1].last
        frames = self.microphone.frames
        return (last - first) * FRAME_MS / 1000 - (frames[last].at - frames[first].at)

    def _is_excused(self, span: Span, finals: dict[int, dict[str, Any]], ended: set[int]) -> bool:
        """Whether utterances that ended without text stand where these frames were said."""
        before = [s for s, f in finals.items() if _last(f) < span.first]
        after = [s for s, f in finals.items() if _first(f) > span.last]
        low, high = max(before, default=0), min(after, default=1 << 62)
        return any(low < seq < high for seq in ended)

    def _is_short(self, span: Span, owners: dict[int, int], speech: dict[int, Any]) -> bool:
        """Whether a stop left less of it than a frame, or alone and less than the gate wants."""
        frames = self.microphone.frames
        if len(span.numbers) < PERIOD_FRAMES and not frames[span.last + 1].captured:
            return True
        alone = span.first - 1 not in owners and span.last + 1 not in owners
        cut = any(
            frame.utterance == span.utterance and not frame.captured
            for frame in frames[max(0, span.first - 600) : span.last + 600]
        )
        return alone and cut and len(span.numbers) <= UNHEARD_FRAMES and bool(speech)


def _spans(numbers: list[int], microphone: Truth) -> list[Span]:
    frames = (watermark.Frame(0, 0, microphone.frames[n].utterance, n) for n in numbers)
    return watermark.spans(frames)


def _misplaced(finals: dict[int, dict[str, Any]]) -> list[str]:
    """Where the order of numbers is not the order of speech."""
    wrong: list[str] = []
    latest = -1
    for seq in sorted(finals):
        found = watermark.read(finals[seq]["text"])
        numbers = [end for span in found for end in (span.first, span.last)]
        spoken = [span for span in found if span.utterance]
        if numbers != sorted(numbers) or (spoken and spoken[0].first <= latest):
            wrong.append(f"{seq}: {finals[seq]['text']}")
        latest = max(latest, *(span.last for span in spoken), -1)
    return wrong


def _first(final: dict[str, Any]) -> int:
    return min((s.first for s in watermark.read(final["text"])), default=1 << 62)


def _last(final: dict[str, Any]) -> int:
    return max((s.last for s in watermark.read(final["text"])), default=-1)
