"""The gate decides what an utterance is: where it begins, where it ends, and what is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.capture.gate import Gate, GateEvent
from scribed.capture.segmenter import Segmenter
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
)

FRAME_MS = 20
FRAME_SAMPLES = RATE * FRAME_MS // 1000
GATE = Gate(
    pre_roll_ms=100, start_ms=60, start_window_ms=120, hangover_ms=200, min_utterance_ms=100
)


def pcm(n: int) -> bytes:
    """A frame that says which one it is."""
    return n.to_bytes(4, "little") * (FRAME_SAMPLES * SAMPLE_BYTES // 4)


def numbers(audio: bytes) -> list[int]:
    """The frames that `audio` is made of."""
    size = FRAME_SAMPLES * SAMPLE_BYTES
    return [int.from_bytes(audio[i : i + 4], "little") for i in range(0, len(audio), size)]


class Ear:
    """A segmenter that is fed frame by frame, and what came out of it."""

    def __init__(self, gate: Gate = GATE, *, quietest: int = 0, per_block: int = 1) -> None:
        ids = itertools.count()
        self.events: list[GateEvent] = []
        self.heard = 0  # frames fed
        self.lost = 0  # samples
        self.per_block = per_block
        self.segmenter = Segmenter(
            gate,
            identify=lambda at, continues: UtteranceStarted(
                UtteranceId(f"u{(n := next(ids))}"), n, at, continues=continues
            ),
            quietest=lambda frames: min(quietest, len(frames) - 1),
        )

    def hear(self, voiced: Iterable[bool]) -> Ear:
        todo = list(voiced)
        while todo:
            now, todo = todo[: self.per_block], todo[self.per_block :]
            position = self.heard * FRAME_SAMPLES + self.lost
            audio = b"".join(pcm(self.heard + n) for n in range(len(now)))
            self.events += self.segmenter.feed(Block(audio, position, position / RATE), now)
            self.heard += len(now)
        return self

    def lose(self, duration_ms: int) -> Ear:
        self.lost += duration_ms * RATE // 1000
        return self

    def close(self, reason: EndReason = EndReason.SHUTDOWN) -> Ear:
        self.events += self.segmenter.close(reason)
        return self

    @property
    def started(self) -> list[UtteranceStarted]:
        return [e for e in self.events if isinstance(e, UtteranceStarted)]

    @property
    def ended(self) -> list[UtteranceEnded]:
        return [e for e in self.events if isinstance(e, UtteranceEnded)]

    def frames_of(self, id: str) -> list[int]:
        audio = [e.pcm for e in self.events if isinstance(e, UtteranceAudio) and e.id == id]
        return numbers(b"".join(audio))


def silence(duration_ms: int) -> list[bool]:
    return [False] * (duration_ms // FRAME_MS)


def speech(duration_ms: int) -> list[bool]:
    return [True] * (duration_ms // FRAME_MS)


def test_silence_is_no_utterance() -> None:
    assert Ear().hear(silence(5000)).events == []


def test_an_utterance_begins_a_pre_roll_before_its_first_voiced_frame() -> None:
    ear = Ear().hear(silence(1000) + speech(400) + silence(400))

    first_voiced, pre_roll = 50, 5
    assert ear.frames_of("u0")[0] == first_voiced - pre_roll
    assert ear.started[0].at == (first_voiced - pre_roll) * FRAME_MS / 1000


def test_an_utterance_ends_with_its_last_voiced_frame_and_holds_the_hangover() -> None:
    ear = Ear().hear(silence(1000) + speech(400) + silence(1000))

    (ended,) = ear.ended
    assert ended.reason is EndReason.COMMIT
    assert round(ended.at, 3) == 1.4
    assert ended.audio_ms == 500  # 100 ms of pre-roll and 400 ms of speech
    assert ear.frames_of("u0") == list(range(45, 80))  # to the end of the 200 ms of hangover


def test_a_click_shorter_than_the_minimum_is_no_utterance() -> None:
    assert Ear().hear(silence(500) + speech(80) + silence(1000)).events == []


def test_a_word_of_exactly_the_minimum_is_one() -> None:
    assert len(Ear().hear(silence(500) + speech(100) + silence(1000)).ended) == 1


def test_scattered_voiced_frames_open_nothing_until_enough_of_them_are_in_the_window() -> None:
    assert Ear().hear(([True] + [False] * 3) * 30).events == []
    assert len(Ear().hear([True, False] * 30).started) == 1


def test_a_pause_shorter_than_the_hangover_does_not_end_an_utterance() -> None:
    ear = Ear().hear(silence(200) + speech(300) + silence(180) + speech(300) + silence(300))

    assert len(ear.started) == 1
    assert ear.ended[0].audio_ms == 100 + 300 + 180 + 300


def test_two_utterances_do_not_share_audio() -> None:
    ear = Ear().hear(silence(200) + speech(300) + silence(220) + speech(300) + silence(300))

    assert len(ear.ended) == 2
    assert not set(ear.frames_of("u0")) & set(ear.frames_of("u1"))


def test_a_lost_piece_shorter_than_the_hangover_is_a_hole_in_the_utterance() -> None:
    ear = Ear().hear(silence(200) + speech(300)).lose(100).hear(speech(300) + silence(300))

    (ended,) = ear.ended
    assert ended.lost_ms == 100
    assert ended.audio_ms == 700
    assert round((ended.at - ear.started[0].at) * 1000) == ended.audio_ms + ended.lost_ms


def test_a_longer_gap_ends_the_utterance() -> None:
    ear = Ear().hear(silence(200) + speech(300)).lose(250).hear(silence(300))

    (ended,) = ear.ended
    assert (ended.reason, ended.lost_ms) == (EndReason.GAP, 250)
    assert round(ended.at, 3) == 0.5


def test_a_gap_in_silence_empties_the_pre_roll() -> None:
    ear = Ear().hear(silence(200)).lose(1000).hear(silence(20) + speech(400) + silence(300))

    assert ear.frames_of("u0")[0] == 10  # nothing from before the gap is glued to the word


def test_a_speaker_who_does_not_stop_is_cut_behind_the_quietest_frame_and_goes_on() -> None:
    gate = Gate(max_utterance_s=5.0, pre_roll_ms=0, start_ms=20, min_utterance_ms=20)
    ear = Ear(gate, quietest=70).hear(speech(8000) + silence(1000))

    first, second = ear.ended
    assert first.reason is EndReason.LENGTH
    assert ear.frames_of("u0") == list(range(150 + 70 + 1))  # held from 3 s on, cut there
    assert ear.frames_of("u1")[0] == 150 + 70 + 1  # not a sample is lost or doubled
    assert ear.started[1].continues == "u0"
    assert first.at == ear.started[1].at
    assert second.reason is EndReason.COMMIT


def test_what_is_held_back_is_told_at_once_and_comes_once_more_as_audio() -> None:
    gate = Gate(max_utterance_s=5.0, pre_roll_ms=0)
    ear = Ear(gate, quietest=70, per_block=5).hear(speech(4900))

    held = [e for e in ear.events if isinstance(e, UtteranceHeld)]
    assert ear.frames_of("u0") == list(range(150))
    assert [numbers(e.pcm) for e in held] == [list(range(n, n + 5)) for n in range(150, 245, 5)]
    assert {e.id for e in held} == {"u0"}
    ear.hear(speech(200)).close()
    assert ear.frames_of("u0") + ear.frames_of("u1") == list(range(ear.heard))


IN_A_PAUSE = Gate(
    max_utterance_s=5.0, pre_roll_ms=100, start_ms=60, hangover_ms=500, min_utterance_ms=100
)
PAUSE_FROM, PAUSE_CUT = 4700 // FRAME_MS, 240  # in frames; held from frame 150 on


def test_a_cut_in_a_pause_that_goes_on_leaves_nothing_behind_but_pre_roll() -> None:
    ear = Ear(IN_A_PAUSE, quietest=PAUSE_CUT - 150).hear(speech(4700) + silence(2000))

    (ended,) = ear.ended
    assert ended.reason is EndReason.LENGTH
    assert ear.frames_of("u0") == list(range(PAUSE_CUT + 1))
    assert ended.audio_ms == (PAUSE_CUT + 1) * FRAME_MS
    ear.hear(speech(80) + silence(1000))
    assert len(ear.started) == 1  # nobody went on: a click is a click again
    spoken_at = ear.heard
    ear.hear(speech(200) + silence(1000))
    assert ear.started[1].continues is None
    assert ear.frames_of("u1")[0] == spoken_at - 5


def test_a_cut_in_a_pause_before_the_last_word_loses_nothing_of_either() -> None:
    ear = Ear(IN_A_PAUSE, quietest=PAUSE_CUT - 150)
    ear.hear(speech(4700) + silence(400))
    assert [type(e) for e in ear.events[-1:]] == [UtteranceEnded]
    assert not ear.segmenter.is_open
    ear.hear(speech(20))  # less than any word, and it was said: it went on
    assert ear.segmenter.is_open
    ear.hear(silence(1000))

    assert ear.started[1].continues == "u0"
    assert ear.started[1].at == pytest.approx(ear.ended[0].at)
    assert ear.frames_of("u1") == list(range(PAUSE_CUT + 1, PAUSE_FROM + 20 + 1 + 25))
    assert (ear.ended[1].reason, ear.ended[1].audio_ms) == (EndReason.COMMIT, 300)


def test_a_pause_behind_a_cut_counts_from_its_beginning() -> None:
    ear = Ear(IN_A_PAUSE, quietest=PAUSE_CUT - 150)
    ear.hear(speech(4700) + silence(500) + speech(20) + silence(1000))
    assert len(ear.started) == 1


def test_closing_behind_a_cut_in_a_pause_ends_nothing_twice() -> None:
    ear = Ear(IN_A_PAUSE, quietest=PAUSE_CUT - 150).hear(speech(4700) + silence(400)).close()
    ear.hear(speech(20) + silence(1000))
    assert (len(ear.started), len(ear.ended)) == (1, 1)


def test_a_hole_belongs_to_the_utterance_that_it_lies_in() -> None:
    gate = Gate(max_utterance_s=5.0, pre_roll_ms=0, hangover_ms=200)
    for before_cut, lost_ms in ((3500, (100, 0)), (4420, (100, 0)), (4600, (0, 100))):
        ear = Ear(gate, quietest=70, per_block=5).hear(speech(before_cut)).lose(100)
        ear.hear(speech(6000 - before_cut)).close()
        assert tuple(ended.lost_ms for ended in ear.ended) == lost_ms


def test_no_utterance_is_longer_than_the_maximum() -> None:
    gate = Gate(max_utterance_s=5.0)
    ear = Ear(gate, quietest=10_000).hear(speech(60_000)).close()

    longest = max(len(ear.frames_of(u.id)) for u in ear.started)
    assert longest * FRAME_MS <= 5000
    assert sum(len(ear.frames_of(u.id)) for u in ear.started) == ear.heard


def test_speech_that_ends_near_the_maximum_is_not_cut() -> None:
    ear = Ear(Gate(max_utterance_s=5.0)).hear(speech(4000) + silence(1000))

    (ended,) = ear.ended
    assert ended.reason is EndReason.COMMIT


def test_closing_ends_the_open_utterance_with_the_reason() -> None:
    ear = Ear().hear(silence(200) + speech(300)).close(EndReason.DEVICE_LOST)

    assert [e.reason for e in ear.ended] == [EndReason.DEVICE_LOST]


def test_closing_with_nothing_open_says_nothing() -> None:
    assert Ear().hear(silence(200) + speech(60)).close().events == []


def test_the_decisions_do_not_depend_on_how_many_frames_come_at_once() -> None:
    pattern = silence(300) + speech(500) + silence(150) + speech(80) + silence(700) + speech(300)

    one_by_one = Ear().hear(pattern).close()
    in_fives = Ear(per_block=5).hear(pattern).close()

    assert in_fives.started == one_by_one.started
    assert in_fives.ended == one_by_one.ended
    assert all(in_fives.frames_of(u.id) == one_by_one.frames_of(u.id) for u in in_fives.started)


def test_patience_is_short_near_an_onset_and_as_long_as_the_hangover_that_is_left() -> None:
    hangover = 200 // FRAME_MS
    ear = Ear().hear(silence(300))
    assert ear.segmenter.patience == hangover
    assert ear.hear(speech(20)).segmenter.patience == 1
    assert ear.hear(speech(200)).segmenter.patience == hangover
    assert ear.hear(silence(60)).segmenter.patience == hangover - 3
    assert ear.hear(silence(400)).segmenter.patience == hangover


# Pauses

EARLY = replace(GATE, early_commit_ms=100)
LONG = replace(IN_A_PAUSE, early_commit_ms=100)


def told(ear: Ear) -> list[str]:
    """All that is told of utterances but the audio, in order."""
    kinds = {
        UtteranceStarted: "started",
        UtterancePaused: "paused",
        UtteranceResumed: "resumed",
        UtteranceEnded: "ended",
    }
    return [kinds[type(event)] for event in ear.events if type(event) in kinds]


def test_an_utterance_pauses_after_so_much_silence_and_ends_after_the_hangover() -> None:
    ear = Ear(EARLY).hear(silence(1000) + speech(400) + silence(80))
    assert told(ear) == ["started"]
    assert told(ear.hear(silence(20))) == ["started", "paused"]
    assert ear.frames_of("u0") == list(range(45, 75))  # with all that was said, and the pause
    assert told(ear.hear(silence(100))) == ["started", "paused", "ended"]
    assert ear.frames_of("u0") == list(range(45, 80))
    assert (ear.ended[0].reason, ear.ended[0].audio_ms) == (EndReason.COMMIT, 500)


def test_speech_that_goes_on_is_told_before_its_first_frame() -> None:
    ear = Ear(EARLY, per_block=5).hear(silence(1000) + speech(400) + silence(180) + speech(300))
    resumed = next(n for n, e in enumerate(ear.events) if isinstance(e, UtteranceResumed))
    after = ear.events[resumed + 1]
    assert isinstance(after, UtteranceAudio)
    assert numbers(after.pcm)[0] == 79
    assert told(ear.hear(silence(200))) == ["started", "paused", "resumed", "paused", "ended"]
    assert len(ear.started) == 1


def test_a_breath_is_no_pause() -> None:
    assert told(Ear(EARLY).hear((speech(200) + silence(80)) * 5)) == ["started"]


@pytest.mark.parametrize("early_ms", [0, 200, 5000])
def test_without_an_early_commit_before_the_hangover_nothing_pauses(early_ms: int) -> None:
    script = silence(200) + speech(400) + silence(180) + speech(300) + silence(400)
    with_it, without = Ear(replace(GATE, early_commit_ms=early_ms)), Ear()
    for n, voiced in enumerate(script):
        assert (
            with_it.hear([voiced]).segmenter.patience == without.hear([voiced]).segmenter.patience
        ), n
    assert with_it.events == without.events


def test_lost_audio_is_silence_that_makes_a_pause() -> None:
    ear = Ear(EARLY).hear(speech(300)).lose(100)
    assert told(ear.hear(silence(20))) == ["started", "paused"]
    ear = Ear(EARLY).hear(speech(300)).lose(100)
    assert told(ear.hear(speech(20))) == ["started"]


def test_what_ends_an_utterance_from_outside_ends_its_pause() -> None:
    ear = Ear(EARLY).hear(speech(300) + silence(120)).close(EndReason.FLUSH)
    ear.hear(speech(300)).close()
    assert told(ear) == ["started", "paused", "ended", "started", "ended"]


def test_no_pause_is_told_while_speech_is_held_back() -> None:
    ear = Ear(LONG).hear(speech(3200) + silence(480))  # held from 3 s on
    assert told(ear) == ["started"]
    assert ear.segmenter.patience == 1  # to the end of the hangover
    assert told(ear.hear(silence(20))) == ["started", "ended"]


def test_a_pause_that_reaches_the_held_part_has_all_its_speech() -> None:
    ear = Ear(LONG).hear(speech(2960) + silence(200))
    assert told(ear) == ["started", "paused"]
    assert told(ear.hear(silence(300))) == ["started", "paused", "ended"]


def test_speech_behind_a_pause_that_is_held_back_resumes_where_it_is_posted() -> None:
    ear = Ear(LONG, quietest=0).hear(speech(2960) + silence(200) + speech(200) + silence(200))
    assert told(ear) == ["started", "paused"]  # what was posted says nothing new
    ear.hear(silence(300))
    assert told(ear) == ["started", "paused", "resumed", "ended"]


def test_a_cut_before_the_speech_that_went_on_leaves_the_pause_as_it_is() -> None:
    ear = Ear(LONG, quietest=4).hear(speech(2960) + silence(200) + speech(2000) + silence(600))
    assert told(ear) == ["started", "paused", "ended", "started", "paused", "ended"]
    assert [ended.reason for ended in ear.ended] == [EndReason.LENGTH, EndReason.COMMIT]
    assert ear.started[1].continues == "u0"


Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["speech", "silence"]), st.integers(1, 60)),
        st.tuples(st.just("lose"), st.integers(1, 600)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=30,
)


def play(script: Sequence[Step], per_block: int) -> Ear:
    gate = Gate(pre_roll_ms=100, hangover_ms=200, max_utterance_s=3.0)
    ear = Ear(gate, quietest=40, per_block=per_block)
    for word, amount in script:
        if word == "lose":
            ear.lose(amount)
        elif word == "close":
            ear.close()
        else:
            ear.hear([word == "speech"] * amount)
    return ear.close()


Token = tuple[str, str, int]


def tokens(events: Iterable[GateEvent]) -> Iterator[Token]:
    """The events, frame by frame."""
    for event in events:
        if isinstance(event, UtteranceAudio | UtteranceHeld):
            yield from ((type(event).__name__, event.id, n) for n in numbers(event.pcm))
        else:
            yield type(event).__name__, event.id, 0


class PlainPauses:
    """Pauses by their definition, told from what a gate without them does, frame by frame."""

    def __init__(self, gate: Gate) -> None:
        self.tokens: list[Token] = []
        self._early = gate.frames(gate.early_commit_ms)
        self._ear = Ear(replace(gate, early_commit_ms=0), quietest=40)
        self._voiced: list[bool] = []
        self._silence = self._lost_ms = 0
        self._open: str | None = None
        self._paused = False
        self._behind = 0  # voiced frames that are held back

    def hear(self, voiced: bool) -> None:
        self._voiced.append(voiced)
        self._silence += self._lost_ms // FRAME_MS
        self._lost_ms = 0
        self._silence = 0 if voiced else self._silence + 1
        self._take(lambda: self._ear.hear([voiced]))
        if self._open and not self._paused and not self._behind and self._is_pause():
            self._paused = True
            self.tokens.append(("UtterancePaused", self._open, 0))

    def lose(self, duration_ms: int) -> None:
        self._ear.lose(duration_ms)
        self._lost_ms += duration_ms

    def close(self) -> None:
        self._take(self._ear.close)

    def _is_pause(self) -> bool:
        return 0 < self._early <= self._silence

    def _take(self, act: Callable[[], object]) -> None:
        known = len(self._ear.events)
        act()
        for kind, utterance, n in tokens(self._ear.events[known:]):
            if kind == "UtteranceAudio" and self._voiced[n]:
                if self._paused:
                    self.tokens.append(("UtteranceResumed", utterance, 0))
                self._paused = False
                self._behind = max(self._behind - 1, 0)
            elif kind == "UtteranceHeld":
                self._behind += self._voiced[n]
            elif kind in ("UtteranceStarted", "UtteranceEnded"):
                self._open = utterance if kind == "UtteranceStarted" else None
                self._paused = False
            self.tokens.append((kind, utterance, n))


frames = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=12).map(
    lambda runs: [voiced for voiced, amount in runs for _ in range(amount)]
)
talks = st.lists(
    st.one_of(
        frames,
        st.integers(1, 200).map(lambda amount: [True] * amount),
        st.integers(1, 300),  # milliseconds that are lost
        st.none(),  # an end from outside
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(talks, st.integers(1, 10), st.sampled_from([20, 60, 100, 180, 200, 300]))
def test_pauses_are_what_their_definition_says_however_much_is_heard_at_once(
    script: list[list[bool] | int | None], per_block: int, early_ms: int
) -> None:
    gate = Gate(pre_roll_ms=100, hangover_ms=200, max_utterance_s=3.0, early_commit_ms=early_ms)
    plain, ear = PlainPauses(gate), Ear(gate, quietest=40, per_block=per_block)
    for step in script:
        if step is None:
            plain.close()
            ear.close()
        elif isinstance(step, int):
            plain.lose(step)
            ear.lose(step)
        else:
            ear.hear(step)
            for voiced in step:
                plain.hear(voiced)
    plain.close()
    ear.close()
    assert list(tokens(ear.events)) == plain.tokens


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=20), st.integers(1, 60))
def test_who_hears_no_more_at_once_than_patience_allows_finds_a_pause_with_its_frame(
    script: list[tuple[bool, int]], early_frames: int
) -> None:
    gate = Gate(pre_roll_ms=100, hangover_ms=800, early_commit_ms=early_frames * FRAME_MS)
    ear = Ear(gate)
    todo = [voiced for voiced, amount in script for _ in range(amount)]
    while todo:
        ear.per_block = amount = min(ear.segmenter.patience, 5)
        known = len(ear.events)
        ear.hear(todo[:amount])
        todo = todo[amount:]
        kinds = [type(event) for event in ear.events[known:]]
        assert UtterancePaused not in kinds[:-1]


@given(steps, st.integers(1, 50))
def test_whatever_is_heard_every_utterance_starts_has_audio_and_ends_once(
    script: list[Step], per_block: int
) -> None:
    open_id = None
    seen: set[str] = set()
    for event in play(script, per_block).events:
        if isinstance(event, UtteranceStarted):
            assert open_id is None
            assert event.id not in seen
            open_id = event.id
            seen.add(event.id)
        else:
            assert event.id == open_id
        if isinstance(event, UtteranceEnded):
            open_id = None
    assert open_id is None


@given(steps, st.integers(1, 50))
def test_whatever_is_heard_no_frame_is_sent_twice_or_out_of_order(
    script: list[Step], per_block: int
) -> None:
    ear = play(script, per_block)
    sent = [n for u in ear.started for n in ear.frames_of(u.id)]
    assert sent == sorted(set(sent))


@given(steps)
def test_whatever_is_heard_an_utterance_lasts_as_long_as_its_audio_and_what_it_lost(
    script: list[Step],
) -> None:
    ear = play(script, 5)
    for started, ended in zip(ear.started, ear.ended, strict=True):
        heard_ms = round((ended.at - started.at) * 1000)
        # What was lost behind the last voiced frame is lost, and no part of the time.
        assert ended.audio_ms - 1 <= heard_ms <= ended.audio_ms + ended.lost_ms + 1
        assert 0 < ended.audio_ms <= len(ear.frames_of(started.id)) * FRAME_MS <= 3000
