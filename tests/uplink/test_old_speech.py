"""Old speech goes out in the gaps of fresh speech, paced; and one bad utterance blocks nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scribed.model import (
    EndReason,
    Recovered,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.uplink.backlog import YIELD_S, Backlog
from scribed.uplink.entries import MAX_STEP_BYTES
from scribed.uplink.entry import Begin, End, Fetch
from scribed.uplink.strikes import PATIENCE_S

STALE_S = 5.0
RATE = 4.0
MAX_ATTEMPTS = 5


def backlog() -> Backlog:
    return Backlog(stale_after_s=STALE_S, catch_up_rate=RATE, max_attempts=MAX_ATTEMPTS)


def utterance_id(n: int) -> UtteranceId:
    return UtteranceId(f"u{n}")


def start(line: Backlog, n: int, at: float) -> None:
    line.add(UtteranceStarted(utterance_id(n), n, at), at)


def say(line: Backlog, n: int, at: float, seconds: float = 1.0) -> None:
    """Utterance `n`, over at `at`."""
    start(line, n, at - seconds)
    for _ in range(round(seconds * 10)):
        line.add(UtteranceAudio(utterance_id(n), bytes(pcm_bytes(100))), at)
    line.add(UtteranceEnded(utterance_id(n), at, EndReason.COMMIT, round(seconds * 1000)), at)


def recover(line: Backlog, n: int, at: float, seconds: float = 1.0) -> None:
    who = utterance_id(n)
    ended = UtteranceEnded(who, at, EndReason.COMMIT, round(seconds * 1000))
    found = Recovered(UtteranceStarted(who, n, at - seconds), ended, pcm_bytes(seconds * 1000))
    line.recover(found, at, at)


def send(line: Backlog, now: float) -> list[str]:
    """Hand over what may be handed over at `now`; the utterances that were committed."""
    line.age(now)
    committed: list[str] = []
    while (step := line.next(now)) is not None:
        if isinstance(step, End):
            committed.append(step.entry.id)
        elif isinstance(step, Fetch):
            assert line.loaded(step.entry.id, bytes(step.entry.nbytes))
    return committed


def work_off(line: Backlog, now: float) -> list[str]:
    """Hand over what may be handed over at `now`, and answer each; in that order."""
    committed: list[str] = []
    while ids := send(line, now):
        committed += ids
        line.answered(UtteranceId(ids[0]))
    return committed


def begun(line: Backlog, now: float) -> str | None:
    step = line.next(now)
    return step.entry.id if isinstance(step, Begin) else None


# Order


def test_until_it_is_stale_speech_keeps_its_place_before_younger_speech() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    say(line, 2, at=4.0)
    assert work_off(line, 4.9) == ["u1", "u2"]


def test_stale_speech_lets_fresh_speech_go_first() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    say(line, 2, at=4.0)
    assert send(line, 5.1) == ["u2"]
    line.answered(utterance_id(2))
    assert send(line, 5.2) == ["u1"]


def test_old_speech_waits_while_somebody_speaks() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    start(line, 2, at=6.0)
    assert send(line, 6.0) == []
    assert line.get(utterance_id(1)).begun is False  # type: ignore[union-attr]


def test_old_speech_goes_out_one_commit_at_a_time() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    say(line, 2, at=1.0)
    assert send(line, 100.0) == ["u1"]
    assert send(line, 200.0) == []
    line.answered(utterance_id(1))
    assert send(line, 200.0) == ["u2"]


def test_old_speech_is_paced_to_the_rate_at_which_it_may_be_caught_up() -> None:
    line = backlog()
    say(line, 1, at=0.0, seconds=8.0)
    say(line, 2, at=1.0)
    assert send(line, 100.0) == ["u1"]
    line.answered(utterance_id(1))
    assert line.paced_until() == 100.0 + 8.0 / RATE
    assert send(line, 101.9) == []
    assert send(line, 102.0) == ["u2"]


def test_fresh_speech_is_not_paced() -> None:
    line = backlog()
    say(line, 1, at=0.0, seconds=20.0)
    send(line, 100.0)
    line.answered(utterance_id(1))
    say(line, 2, at=100.0)
    assert send(line, 100.0) == ["u2"]


def test_an_overloaded_service_halves_the_pace_and_answers_restore_it() -> None:
    line = backlog()
    for n in range(1, 9):
        say(line, n, at=0.0, seconds=8.0)
    line.slow_down()
    now, pauses = 100.0, []
    for n in range(1, 8):
        assert send(line, now) == [f"u{n}"]
        line.answered(utterance_id(n))
        paced = line.paced_until()
        assert paced is not None
        pauses.append(round(paced - now, 2))
        now = paced
    assert pauses[0] == 8.0 / (RATE / 2)
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == 8.0 / RATE


# Yielding


def test_fresh_speech_does_not_wait_for_the_rest_of_a_long_old_utterance() -> None:
    line = backlog()
    say(line, 1, at=0.0, seconds=20.0)
    line.age(100.0)
    assert begun(line, 100.0) == "u1"
    line.next(100.0)  # a second of it
    assert not line.must_yield(100.0)
    start(line, 2, at=100.1)
    assert line.must_yield(100.1)
    line.rewind()
    assert begun(line, 100.2) == "u2"


def test_the_last_second_of_an_old_utterance_is_sent_to_its_end() -> None:
    line = backlog()
    say(line, 1, at=0.0, seconds=1.9)
    line.age(100.0)
    line.next(100.0)
    line.next(100.0)
    start(line, 2, at=100.1)
    assert not line.must_yield(100.1)
    assert line.must_yield(100.1, unsent=lambda: 100_000)  # but most of it has not left yet
    assert line.must_yield(100.1 + YIELD_S)


def test_fresh_speech_waits_two_seconds_at_most_for_the_answer_to_old_speech() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    assert send(line, 100.0) == ["u1"]
    assert line.yields_at() is None
    say(line, 2, at=101.0, seconds=0.5)
    assert send(line, 101.0) == [], "it is sent, but not committed"
    assert line.yields_at() == 101.0 - 0.5 + YIELD_S
    assert line.must_yield(101.0 - 0.5 + YIELD_S)
    line.answered(utterance_id(1))
    assert line.yields_at() is None


def test_where_a_source_waits_for_room_the_oldest_goes_first_even_if_somebody_speaks() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    start(line, 2, at=100.0)
    assert send(line, 100.0) == []
    assert begun(line, 100.0) is None, "utterance 2 is open, and nothing can be sent"
    line.starved = True
    assert line.must_yield(100.0)
    line.rewind()
    assert send(line, 100.0) == ["u1"]
    line.answered(utterance_id(1))
    line.starved = False
    assert begun(line, 100.3) == "u2"


# Audio that is only in the store's files


def test_what_the_store_keeps_need_not_stay_in_memory_and_comes_back_when_it_is_due() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    assert line.park(0) == 0, "the store does not have it yet"
    line.kept(utterance_id(1))
    assert line.park(0) == pcm_bytes(1000)
    assert (line.ram, line.nbytes) == (0, pcm_bytes(1000))
    assert isinstance(line.next(1.0), Fetch)
    assert line.next(1.0) is None
    assert not line.has_next(1.0), "it waits for the store without spinning"
    assert line.loaded(utterance_id(1), bytes(pcm_bytes(1000)))
    assert send(line, 1.0) == ["u1"]


def test_what_is_being_sent_stays_in_memory() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    line.kept(utterance_id(1))
    begun(line, 0.0)
    assert line.park(0) == 0


def test_speech_of_an_earlier_run_is_fetched_and_sent_in_its_order() -> None:
    line = backlog()
    recover(line, 1, at=0.0)
    recover(line, 2, at=1.0, seconds=2.5)
    assert line.nbytes == pcm_bytes(3500)
    assert line.ram == 0
    assert send(line, 100.0) == ["u1"]
    line.answered(utterance_id(1))
    assert send(line, 200.0) == ["u2"]
    assert line.conclude(utterance_id(2)) is not None
    assert (line.nbytes, line.ram) == (0, 0)


# Delays


def test_each_delay_is_told_once() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    say(line, 2, at=1.0)
    assert line.delayed_at(4.0) == 4.0
    assert [entry.id for entry in line.delayed(4.0, 4.0)] == ["u1"]
    assert line.delayed_at(4.0) == 5.0
    assert [entry.id for entry in line.delayed(50.0, 4.0)] == ["u2"]
    assert line.delayed(60.0, 4.0) == []
    assert line.delayed_at(4.0) is None


def test_what_is_answered_in_time_has_no_delay() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    line.answered(utterance_id(1))
    assert line.delayed_at(4.0) is None


# One bad utterance


def refuse(line: Backlog, n: int, now: float) -> list[str]:
    """A connection on which utterance `n` is refused for its own sake; who is given up then."""
    line.strike(utterance_id(n), now, refused=True)
    line.rewind()
    return [entry.id for entry in line.condemned(now)]


def test_after_two_refusals_an_utterance_goes_behind_all_others() -> None:
    line = backlog()
    for n in (1, 2, 3):
        say(line, n, at=0.0)
    refuse(line, 1, now=1.0)
    assert send(line, 1.0)[0] == "u1"
    refuse(line, 1, now=2.0)
    assert work_off(line, 2.0) == ["u2", "u3", "u1"]


def test_a_service_that_refuses_everything_costs_no_utterance_within_half_a_minute() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    for second in range(1, MAX_ATTEMPTS + 1):
        assert refuse(line, 1, now=float(second)) == []
    assert send(line, 10.0) == [], "it was refused often enough"
    assert line.sendable == 0
    assert line.condemned_at() == 1.0 + PATIENCE_S
    assert [entry.id for entry in line.condemned(1.0 + PATIENCE_S)] == ["u1"]


def test_where_another_is_answered_meanwhile_it_is_given_up_after_its_last_attempt() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    say(line, 2, at=0.0)
    refuse(line, 1, now=1.0)
    refuse(line, 1, now=2.0)
    line.answered(utterance_id(2))
    for second in range(3, MAX_ATTEMPTS):
        assert refuse(line, 1, now=float(second)) == []
    assert refuse(line, 1, now=float(MAX_ATTEMPTS)) == ["u1"]


def test_an_answer_to_another_that_comes_later_condemns_it_too() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    for second in range(1, MAX_ATTEMPTS + 1):
        refuse(line, 1, now=float(second))
    say(line, 2, at=8.0)
    assert line.condemned(8.0) == []
    line.answered(utterance_id(2))
    assert [entry.id for entry in line.condemned(8.0)] == ["u1"]


def test_silence_of_the_service_alone_is_charged_to_nobody() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    for second in range(0, 1000, 10):
        line.strike(utterance_id(1), float(second), refused=False)
    assert line.condemned(1000.0) == []
    assert line.sendable == 1


def test_a_flapping_link_does_not_change_the_order_of_speech() -> None:
    line = backlog()
    for n in (1, 2):
        say(line, n, at=0.0)
    for _ in range(4):
        assert send(line, 1.0) == ["u1"]
        assert line.suspect() == "u1"
        line.strike(utterance_id(1), 1.0, refused=False)
        line.rewind()
    assert work_off(line, 1.0) == ["u1", "u2"]


def test_what_ends_five_connections_lets_the_others_go_first() -> None:
    line = backlog()
    for n in (1, 2):
        say(line, n, at=0.0)
    for _ in range(5):
        line.strike(utterance_id(1), 1.0, refused=False)
    assert send(line, 1.0) == ["u2"]


def test_an_utterance_that_is_spoken_to_its_end_is_suspect_also_before_its_commit() -> None:
    line = backlog()
    start(line, 1, at=0.0)
    begun(line, 0.0)
    assert line.suspect() is None
    line.add(UtteranceEnded(utterance_id(1), 1.0, EndReason.COMMIT, 1000), 1.0)
    assert line.suspect() == "u1"


def test_an_utterance_that_alone_gets_no_answer_again_and_again_is_given_up() -> None:
    line = backlog()
    say(line, 1, at=0.0)
    for n in range(2, 2 + MAX_ATTEMPTS):
        line.strike(utterance_id(1), float(n), refused=False)
        assert line.condemned(float(n)) == []
        say(line, n, at=float(n))
        line.answered(utterance_id(n))
    line.strike(utterance_id(1), 99.0, refused=False)
    assert [entry.id for entry in line.condemned(99.0)] == ["u1"]


moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["say", "recover", "send", "answer", "lose", "strike"])),
        st.tuples(st.sampled_from(["keep", "park", "give_way"])),
        st.tuples(st.just("wait"), st.floats(0.0, 8.0)),
    ),
    max_size=60,
)


class Life:
    """A backlog, a clock and a service, and who is owed an answer."""

    def __init__(self) -> None:
        self.line, self.now, self.spoken = backlog(), 1000.0, 0
        self.owed: set[str] = set()
        self.unanswered: list[str] = []

    def say(self) -> None:
        self.spoken += 1
        say(self.line, self.spoken, self.now, 0.4)
        self.owed.add(f"u{self.spoken}")

    def recover(self) -> None:
        if not self.spoken:  # only at the start
            self.spoken += 1
            recover(self.line, self.spoken, self.now, 0.4)
            self.owed.add(f"u{self.spoken}")

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def send(self) -> None:
        self.unanswered += send(self.line, self.now)

    def answer(self) -> None:
        if self.unanswered:
            first = self.unanswered.pop(0)
            assert self.line.answered(UtteranceId(first)) is not None
            self.owed.discard(first)

    def lose(self) -> None:
        self.line.rewind()
        self.unanswered.clear()

    def give_way(self) -> None:
        if self.line.must_yield(self.now):
            self.lose()

    def strike(self) -> None:
        if self.unanswered:
            self.line.strike(UtteranceId(self.unanswered[0]), self.now, refused=True)
            self.lose()

    def give_up(self) -> None:
        for each in self.line.condemned(self.now):
            assert self.line.conclude(each.id) is each
            self.owed.discard(each.id)

    def keep(self) -> None:
        for each in self.line:
            self.line.kept(each.id)

    def park(self) -> None:
        self.line.park(MAX_STEP_BYTES)


@given(moves)
def test_whatever_happens_nothing_is_lost_doubled_or_stuck(script: list[tuple[str, ...]]) -> None:
    life = Life()
    for name, *arguments in script:
        getattr(life, name)(*arguments)
        assert {entry.id for entry in life.line} == life.owed
        assert life.line.nbytes == sum(entry.nbytes for entry in life.line)
        assert life.line.ram == sum(entry.ram for entry in life.line)
        assert len(set(life.unanswered)) == len(life.unanswered)
    for _ in range(3 * life.spoken):  # and in the end all are answered, or given up
        life.wait(100.0)
        life.give_up()
        life.send()
        life.answer()
    assert not life.owed
    assert (len(life.line), life.line.nbytes, life.line.ram) == (0, 0, 0)
