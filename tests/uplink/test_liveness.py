"""Whether the peer is still there: progress counts, not speed."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from scribed.uplink.liveness import (
    MAX_TIMEOUT_S,
    PING_BUSY_S,
    PING_IDLE_S,
    PROGRESS_TIMEOUT_S,
    RETRIES,
    Liveness,
)


class Watch:
    """A connection that is watched as the uplink does it, on a clock of its own.

    `peer` is asked at each look how many bytes are unacknowledged and whether something came.
    """

    def __init__(self, peer: Callable[[float], tuple[int, bool]], *, busy: bool = True) -> None:
        self.now = 0.0
        self.liveness = Liveness(0.0)
        self.pings: list[float] = []
        self.died_at: float | None = None
        self.looks = 0
        self._peer, self._busy = peer, busy

    def look(self) -> bool:
        """Look, as also whenever something was sent; return whether the peer lives."""
        self.looks += 1
        unacknowledged, received = self._peer(self.now)
        if received:
            self.liveness.received(self.now)
        self.liveness.unacknowledged(unacknowledged, self.now)
        if self.liveness.is_dead(self.now):
            self.died_at = self.now
        elif self.liveness.wants_ping(self.now, busy=self._busy):
            self.pings.append(self.now)
        return self.died_at is None

    def run(self, duration_s: float) -> Watch:
        """Look when it is due, until `duration_s` has passed or the peer counts as dead."""
        end = self.now + duration_s
        while self.look():
            due = self.liveness.next_check(self.now, busy=self._busy)
            assert due > self.now, "it is due again at once"
            if due > end:
                self.now = end
                break
            self.now = due
        return self


def prompt(_: float) -> tuple[int, bool]:
    """A peer that takes and answers everything at once."""
    return 0, True


def silent(_: float) -> tuple[int, bool]:
    """A peer that is gone, to whom nothing but pings was sent, which vanished."""
    return 0, False


def test_a_peer_that_answers_lives() -> None:
    assert Watch(prompt).run(3600).died_at is None


def test_an_idle_peer_is_pinged_every_20_s_and_one_that_owes_an_answer_every_5_s() -> None:
    assert Watch(prompt, busy=False).run(61).pings == [20.0, 40.0, 60.0]
    assert Watch(prompt, busy=True).run(21).pings == [5.0, 10.0, 15.0, 20.0]
    assert (PING_BUSY_S, PING_IDLE_S) == (5.0, 20.0)


def test_watching_an_idle_peer_costs_two_looks_a_ping() -> None:
    assert Watch(prompt, busy=False).run(3600).looks <= 2 * 3600 / PING_IDLE_S + 1


def test_a_peer_that_does_not_answer_a_ping_is_dead_after_ten_seconds() -> None:
    watch = Watch(silent, busy=False).run(3600)
    assert watch.pings == [PING_IDLE_S]
    assert watch.died_at is not None
    assert PROGRESS_TIMEOUT_S < watch.died_at - PING_IDLE_S <= PROGRESS_TIMEOUT_S + 1


def test_a_peer_that_acknowledges_nothing_is_dead_after_ten_seconds() -> None:
    for busy in (True, False):
        watch = Watch(lambda now: (5000, False), busy=busy).run(3600)
        assert watch.died_at is not None
        assert PROGRESS_TIMEOUT_S < watch.died_at <= PROGRESS_TIMEOUT_S + 1


def test_a_peer_that_dies_while_we_send_is_dead_ten_seconds_later() -> None:
    watch = Watch(lambda now: (0, True) if now < 7 else (int(1000 * now), False))
    died_at = watch.run(7).run(3600).died_at
    assert died_at is not None
    assert PROGRESS_TIMEOUT_S < died_at - 7 <= PROGRESS_TIMEOUT_S + 1


def test_a_slow_link_is_no_dead_one_as_long_as_it_acknowledges_something() -> None:
    def crawling(now: float) -> tuple[int, bool]:
        return 1_000_000 - 100 * int(now / 9), False  # 100 bytes in 9 s

    assert Watch(crawling).run(3600).died_at is None


def test_a_slow_link_that_comes_to_a_stop_is_dead_ten_seconds_later() -> None:
    def stopping(now: float) -> tuple[int, bool]:
        return 1_000_000 - int(100 * min(now, 60.0)), False

    died_at = Watch(stopping).run(3600).died_at
    assert died_at is not None
    assert 60 + PROGRESS_TIMEOUT_S < died_at <= 60 + PROGRESS_TIMEOUT_S + 2


def test_what_waited_for_long_before_it_was_sent_does_not_count_against_the_peer() -> None:
    watch = Watch(lambda now: (100 if now >= 19 else 0, False), busy=False).run(19)
    assert watch.look()
    watch.now = 19.0 + PROGRESS_TIMEOUT_S
    assert watch.look()


def test_a_peer_that_answers_nothing_but_pings_lives() -> None:
    watch = Watch(lambda now: (0, now % PING_BUSY_S == 1.0), busy=True).run(600)
    assert watch.died_at is None
    assert len(watch.pings) >= 100


def test_a_ping_is_sent_once_and_not_again_before_there_is_a_sign_of_life() -> None:
    liveness = Liveness(0.0)
    assert liveness.wants_ping(5.0, busy=True)
    assert not liveness.wants_ping(10.0, busy=True)
    liveness.received(11.0)
    assert liveness.wants_ping(11.0, busy=True)


looks = st.lists(
    st.tuples(
        st.floats(0.0, 9.0),  # how much later
        st.integers(0, 200_000),  # unacknowledged
        st.booleans(),  # something came
        st.booleans(),  # an answer is owed
    ),
    max_size=60,
)


@given(looks)
def test_whatever_happens_a_living_peer_is_looked_at_later_and_not_at_once(
    script: list[tuple[float, int, bool, bool]],
) -> None:
    liveness, now = Liveness(0.0), 0.0
    for later, unacknowledged, received, busy in script:
        now += later
        if received:
            liveness.received(now)
        liveness.unacknowledged(unacknowledged, now)
        if liveness.is_dead(now):
            return
        liveness.wants_ping(now, busy=busy)
        assert now < liveness.next_check(now, busy=busy) <= now + PING_IDLE_S


@given(st.lists(st.tuples(st.floats(0.0, 9.9), st.booleans()), max_size=60))
def test_whatever_is_sent_a_peer_with_a_sign_of_life_every_ten_seconds_is_not_dead(
    signs: list[tuple[float, bool]],
) -> None:
    liveness, now, unacknowledged = Liveness(0.0), 0.0, 1_000_000
    liveness.unacknowledged(unacknowledged, now)
    for later, acknowledges in signs:
        now += later
        if acknowledges:
            unacknowledged -= 1
            liveness.unacknowledged(unacknowledged, now)
        else:
            liveness.received(now)
        assert not liveness.is_dead(now)
        liveness.wants_ping(now, busy=True)


@given(st.floats(0.0, 100.0), st.booleans(), st.integers(1, 10_000))
def test_whenever_a_peer_vanishes_it_is_found_out_in_time(
    vanishes_at: float, busy: bool, unacknowledged: int
) -> None:
    def vanishing(now: float) -> tuple[int, bool]:
        return (0, True) if now < vanishes_at else (unacknowledged, False)

    watch = Watch(vanishing, busy=busy).run(1000)
    assert watch.died_at is not None
    silent_for = watch.died_at - vanishes_at
    assert silent_for <= (PING_BUSY_S if busy else PING_IDLE_S) + PROGRESS_TIMEOUT_S + 1 + 1


def test_a_peer_that_answers_segments_it_had_already_is_alive_until_it_stops() -> None:
    """A narrow link with a long queue: for a while all that arrives was sent twice."""
    liveness, now = Liveness(0.0), 0.0
    liveness.unacknowledged(64_000, now)
    while now < 60.0:
        now += 1.0
        liveness.unacknowledged(64_000, now)
        liveness.answered(now % 8.0, now)
        assert not liveness.is_dead(now)
    stopped, now = now - now % 8.0, now + PROGRESS_TIMEOUT_S
    liveness.answered(now - stopped, now)
    assert liveness.is_dead(now)


def test_a_link_on_which_tcp_itself_waits_for_long_is_given_more_time_but_not_for_ever() -> None:
    def died_at(retry_s: float) -> float | None:
        watch = Watch(lambda _: (5000, False))
        watch.liveness.allow(retry_s)
        return watch.run(3600).died_at

    def after(timeout_s: float) -> float:
        return timeout_s + 1  # it is looked once a second

    assert died_at(0.2) == after(PROGRESS_TIMEOUT_S)
    assert died_at(10.0) == after(RETRIES * 10.0)
    assert died_at(100.0) == after(MAX_TIMEOUT_S)


def test_a_peer_whose_window_is_shut_for_ten_seconds_is_dead() -> None:
    liveness = Liveness(0.0)
    liveness.unacknowledged(64_000, 0.0)
    liveness.answered(None, PROGRESS_TIMEOUT_S + 0.1)
    assert liveness.is_dead(PROGRESS_TIMEOUT_S + 0.1)


def test_a_narrow_link_that_is_filled_as_fast_as_it_drains_is_alive() -> None:
    liveness, now = Liveness(0.0), 0.0
    liveness.unacknowledged(64_000, now)
    while now < 10 * PROGRESS_TIMEOUT_S:
        now += 2.0
        liveness.unacknowledged(64_000, now)  # as much was sent as was acknowledged
        liveness.acknowledged(round(now * 1000), now)
        assert not liveness.is_dead(now)
    stopped = now
    while not liveness.is_dead(now):
        now += 1.0
        liveness.unacknowledged(64_000, now)
        liveness.acknowledged(round(stopped * 1000), now)
    assert PROGRESS_TIMEOUT_S < now - stopped <= PROGRESS_TIMEOUT_S + 1.0
