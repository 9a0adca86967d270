"""The backlog: each utterance goes out whole and in order, and again from its start if it must."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.model import EndReason, UtteranceAudio, UtteranceEnded, UtteranceId, UtteranceStarted
from scribed.uplink.backlog import Backlog
from scribed.uplink.entries import MAX_STEP_BYTES
from scribed.uplink.entry import Audio, Begin, Fetch, Step

PIECE = 640  # 20 ms


@dataclass
class Sent:
    """What one connection was given of one utterance."""

    id: str
    audio: bytes = b""
    whole: bool = False


@dataclass
class Line:
    """A backlog between somebody who speaks and a connection that takes what it is given."""

    backlog: Backlog = field(default_factory=Backlog)
    spoken: dict[str, bytes] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    connection: list[Sent] = field(default_factory=list)
    steps: int = 0
    now: float = 0.0
    _speaking: UtteranceId | None = None

    # Speech

    def start(self) -> Line:
        self.stop()
        self._speaking = UtteranceId(f"u{len(self.spoken)}")
        started = UtteranceStarted(self._speaking, len(self.spoken), self.now)
        self.spoken[self._speaking] = b""
        assert self.backlog.add(started, self.now)
        return self

    def audio(self, pieces: int = 1, size: int = PIECE) -> Line:
        """So many pieces; every byte says how many were spoken before."""
        if self._speaking is None:
            self.start()
        who = self._speaking
        assert who is not None
        for _ in range(pieces):
            pcm = bytes([len(self.spoken[who]) // PIECE % 251]) * size
            self.spoken[who] += pcm
            self.backlog.add(UtteranceAudio(who, pcm), self.now)
        return self

    def stop(self) -> Line:
        if (who := self._speaking) is not None:
            self._speaking = None
            self.backlog.add(UtteranceEnded(who, self.now, EndReason.COMMIT, 0), self.now)
        return self

    def say(self, *pieces: int) -> Line:
        """Whole utterances of so many pieces."""
        for each in pieces:
            self.start().audio(each).stop()
        return self

    # The connection

    def step(self, times: int = 1) -> Line:
        for _ in range(times):
            expected = self.backlog.has_next(self.now)
            step = self.backlog.next(self.now)
            assert (step is not None) == expected, "has_next() does not say what next() does"
            if step is None:
                break
            self._take(step)
        return self

    def _take(self, step: Step) -> None:
        assert not isinstance(step, Fetch)
        self.steps += 1
        who = step.entry.started.id
        if isinstance(step, Begin):
            assert not self.connection or self.connection[-1].whole, "begun inside of another"
            self.connection.append(Sent(who))
            return
        assert self.connection[-1].id == who
        if isinstance(step, Audio):
            assert 0 < len(step.pcm) <= max(MAX_STEP_BYTES, PIECE)
            self.connection[-1].audio += step.pcm
        else:
            self.connection[-1].whole = True
        open_commits = [s for s in self.connection if s.whole and s.id not in self.answered]
        assert len(open_commits) <= 1

    def empty(self) -> Line:
        """Hand over all that can be handed over."""
        return self.step(1_000_000)

    def answer(self, times: int = 1) -> Line:
        """The oldest commits are answered."""
        for _ in range(times):
            entry = next((e for e in self.backlog if e.end_sent), None)
            if entry is not None:
                self.conclude(entry.started.id)
        return self

    def conclude(self, id: UtteranceId) -> None:
        assert self.backlog.conclude(id) is not None
        self.answered.append(id)

    def give_up(self) -> Line:
        """The oldest that was spoken to its end; what is half sent cannot be taken back."""
        entry = self.backlog.oldest_sealed()
        if entry is not None:
            self.conclude(entry.started.id)
            if entry.begun and not entry.end_sent:
                self.lose()
        return self

    def lose(self) -> Line:
        """The connection is gone, and there is a new one."""
        self.backlog.rewind()
        self.connection = []
        return self

    def hand_over(self) -> Line:
        """What was committed by now is in the hands of the kernel."""
        self.now += 0.001
        for sent in self.connection:
            entry = self.backlog.get(UtteranceId(sent.id))
            if sent.whole and entry is not None and entry.handed_at is None:
                self.backlog.handed_over(entry.id, self.now)
        return self

    @property
    def waiting(self) -> list[str]:
        return [entry.started.id for entry in self.backlog]

    def whole(self, *ids: str) -> list[Sent]:
        return [Sent(each, self.spoken[each], True) for each in ids]


def test_of_nothing_nothing_is_sent() -> None:
    assert Line().empty().connection == []


def test_an_utterance_is_sent_while_it_is_spoken() -> None:
    line = Line().start().empty().audio(2).empty()
    assert line.connection == [Sent("u0", line.spoken["u0"])]
    assert line.audio().empty().stop().empty().connection == line.whole("u0")


def test_utterances_are_sent_one_after_the_other() -> None:
    line = Line().say(3, 0, 2).empty().answer().empty().answer().empty()
    assert line.connection == line.whole("u0", "u1", "u2")


def test_nothing_overtakes_an_utterance_that_is_still_spoken() -> None:
    line = Line().start().audio().empty()
    assert not line.backlog.has_next(line.now)
    assert line.backlog.next(line.now) is None


def test_audio_that_waits_is_handed_on_a_second_at_a_time() -> None:
    line = Line().say(120).step(2)  # 2.4 s
    assert len(line.connection[0].audio) == MAX_STEP_BYTES
    assert line.step(3).connection == line.whole("u0")


def test_a_piece_that_is_longer_is_handed_on_all_the_same() -> None:
    backlog = Backlog()
    who = UtteranceId("u")
    backlog.add(UtteranceStarted(who, 1, 0.0), 0.0)
    backlog.add(UtteranceAudio(who, bytes(MAX_STEP_BYTES + 2)), 0.0)
    assert isinstance(backlog.next(0.0), Begin)
    step = backlog.next(0.0)
    assert isinstance(step, Audio)
    assert len(step.pcm) == MAX_STEP_BYTES + 2


def test_one_commit_waits_for_its_answer_while_the_next_utterance_is_heard() -> None:
    line = Line().say(1, 1, 1).empty()
    heard = Sent("u1", line.spoken["u1"], whole=False)
    assert line.connection == [*line.whole("u0"), heard]
    assert not line.backlog.has_next(line.now)
    assert line.answer().empty().connection[:2] == line.whole("u0", "u1")


def test_after_a_lost_connection_all_that_was_not_answered_is_sent_again_from_its_start() -> None:
    line = Line().say(2, 3, 4).step(7).answer().empty()
    line.lose().empty().answer().empty()
    assert line.connection == line.whole("u1", "u2")


def test_an_utterance_that_is_being_spoken_is_sent_again_too() -> None:
    line = Line().start().audio(3).empty().lose().audio(2).empty()
    assert line.connection == [Sent("u0", line.spoken["u0"])]
    assert line.stop().empty().connection == line.whole("u0")


def test_each_connection_on_which_an_utterance_was_begun_is_an_attempt() -> None:
    line = Line().say(1, 1).step(1).lose().step(4).lose()
    assert [entry.attempt for entry in line.backlog] == [2, 1]


def test_each_commit_has_its_time() -> None:
    line = Line().say(1, 1).empty().hand_over().hand_over()
    assert [entry.handed_at for entry in line.backlog] == [0.001, None]
    assert [entry.handed_at for entry in line.lose().backlog] == [None, None]


def test_the_oldest_that_was_spoken_to_its_end_is_the_first_to_be_given_up() -> None:
    line = Line().start().audio()
    assert line.backlog.oldest_sealed() is None
    line.stop().say(1)
    assert line.backlog.oldest_sealed() is line.backlog.get(UtteranceId("u0"))
    assert line.give_up().waiting == ["u1"]


def test_what_belongs_to_no_utterance_that_waits_is_not_taken() -> None:
    line = Line().start().audio().stop().give_up()
    gone = UtteranceId("u0")
    assert not line.backlog.add(UtteranceAudio(gone, bytes(PIECE)), 0.0)
    assert not line.backlog.add(UtteranceEnded(gone, 0.0, EndReason.COMMIT, 0), 0.0)
    assert line.backlog.conclude(gone) is None
    assert line.backlog.get(gone) is None
    assert (len(line.backlog), line.backlog.nbytes) == (0, 0)


scripts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["start", "stop", "stop", "hand_over"]), st.just(())),
        st.tuples(st.sampled_from(["lose", "give_up"]), st.just(())),
        st.tuples(st.just("say"), st.lists(st.integers(0, 70), max_size=6)),
        st.tuples(st.just("audio"), st.tuples(st.integers(0, 70))),
        st.tuples(st.just("step"), st.tuples(st.integers(1, 12))),
        st.tuples(st.just("step"), st.tuples(st.integers(1, 12))),
        st.tuples(st.just("answer"), st.tuples(st.integers(1, 3))),
    ),
    max_size=40,
)


def play(script: list[tuple[str, tuple[int, ...]]]) -> Line:
    """Play `script`; after each step what must always hold does."""
    line = Line()
    for name, arguments in script:
        getattr(line, name)(*arguments)
        assert line.backlog.nbytes == sum(len(line.spoken[each]) for each in line.waiting)
        assert len(line.backlog) == len(line.waiting)
        assert set(line.waiting) | set(line.answered) == set(line.spoken)
        for sent in line.connection:
            assert line.spoken[sent.id].startswith(sent.audio)
            assert not sent.whole or sent.audio == line.spoken[sent.id]
    return line


@given(scripts)
def test_whatever_happens_an_answer_is_to_a_whole_utterance_in_the_order_of_speech(
    script: list[tuple[str, tuple[int, ...]]],
) -> None:
    line = play(script)
    ids = [sent.id for sent in line.connection]
    assert ids == sorted(ids, key=lambda name: int(name[1:]))
    assert len(set(ids)) == len(ids)


@given(scripts)
def test_whatever_happened_the_next_connection_gets_all_that_was_not_answered(
    script: list[tuple[str, tuple[int, ...]]],
) -> None:
    line = play(script).stop().lose()
    owed = list(line.waiting)
    while line.waiting:
        left = len(line.waiting)
        line.empty().answer()
        assert len(line.waiting) == left - 1, "it is stuck"
    assert line.connection == line.whole(*owed)
    assert line.backlog.nbytes == 0
    assert not line.backlog.has_next(line.now)


@pytest.mark.parametrize("utterances", [1, 4, 5, 40])
def test_a_backlog_of_any_length_is_worked_off(utterances: int) -> None:
    line = Line().say(*[3] * utterances)
    for _ in range(utterances):
        line.empty().answer()
    assert line.connection == line.whole(*line.spoken)
    assert line.steps == 3 * utterances  # begin, audio in one, end
