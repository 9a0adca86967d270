"""What waits for the broker: no final is lost, and nothing stands before one."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scribed.delivery.outbox import LEAN_AFTER, REPLIES, TRIES, Outbox
from scribed.delivery.parcels import Address, Again, Answer, Parcel, Raised, Retained, Transient
from scribed.model import Final
from tests.delivery.peers import final


def transient(name: str, until: float = 100.0) -> Transient:
    return Transient("event", name.encode(), until)


class Wired:
    """An outbox and a wire that numbers what it is given."""

    def __init__(self, outbox: Outbox, window: int = 65_535) -> None:
        self.outbox, self.mid = outbox, 0
        self.flight: dict[int, Parcel] = {}
        outbox.connected(window)

    def write(self, now: float = 0.0) -> Parcel | None:
        parcel = self.outbox.offer(now)
        if parcel is not None:
            self.mid += 1
            self.outbox.sent(self.mid, parcel, now)
            self.flight[self.mid] = parcel
        return parcel

    def write_all(self, now: float = 0.0) -> list[Parcel]:
        return list(iter(lambda: self.write(now), None))

    def acknowledge(self, parcel: Parcel) -> None:
        mid = next(mid for mid, sent in self.flight.items() if sent == parcel)
        assert self.outbox.acknowledged(mid) == self.flight.pop(mid)

    def lose(self, retry_at: float = 0.0) -> bool:
        self.flight.clear()
        return self.outbox.lost(retry_at)


def test_finals_go_one_at_a_time_in_order() -> None:
    wired = Wired(Outbox(5.0))
    first, second = final(1, 0.0), final(2, 0.0)
    wired.outbox.post(first)
    wired.outbox.post(second)
    assert wired.write_all() == [first]
    wired.acknowledge(first)
    assert wired.write_all() == [second]


def test_online_comes_first_then_the_final_then_the_rest() -> None:
    wired = Wired(Outbox(5.0))
    status, state = Retained("status", b"online"), Retained("state", b"{}")
    wired.outbox.retain("state", b"{}")
    wired.outbox.retain("status", b"online")
    wired.outbox.tell(transient("a"))
    wired.outbox.post(final(1, 0.0))
    assert wired.write_all() == [status, final(1, 0.0), transient("a"), state]


def test_a_full_window_keeps_a_place_for_the_next_final() -> None:
    wired = Wired(Outbox(5.0), window=3)
    for name in "abcdef":
        wired.outbox.tell(transient(name))
    assert len(wired.write_all()) == 2
    wired.outbox.post(final(1, 0.0))
    assert wired.write_all() == [final(1, 0.0)]


def test_a_broker_that_takes_one_message_at_a_time_gets_one() -> None:
    wired = Wired(Outbox(5.0), window=1)
    wired.outbox.tell(transient("a"))
    assert wired.write_all() == [transient("a")]
    wired.outbox.post(final(1, 0.0))
    assert wired.write_all() == []
    wired.acknowledge(transient("a"))
    assert wired.write_all() == [final(1, 0.0)]


def test_of_a_retained_topic_only_the_newest_value_is_written() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.retain("state", b"1")
    wired.outbox.retain("state", b"2")
    assert wired.write_all() == [Retained("state", b"2")]
    wired.outbox.retain("state", b"3")
    assert wired.outbox.pending("state")
    assert wired.write_all() == [Retained("state", b"3")]
    wired.acknowledge(Retained("state", b"2"))
    assert wired.outbox.pending("state")
    wired.acknowledge(Retained("state", b"3"))
    assert not wired.outbox.pending("state")


def test_a_new_connection_gets_every_retained_value_again() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.retain("status", b"online")
    wired.outbox.retain("alert/quota", b"")
    for parcel in wired.write_all():
        wired.acknowledge(parcel)
    wired.lose()
    wired.outbox.connected(20)
    assert wired.write_all() == [Retained("status", b"online"), Retained("alert/quota", b"")]


def test_what_was_in_flight_when_the_connection_broke_goes_first_on_the_next() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.post(final(1, 0.0))
    wired.outbox.tell(transient("a"))
    wired.outbox.tell(transient("b"))
    wired.write_all()
    wired.outbox.tell(transient("c"))
    wired.lose()
    wired.outbox.connected(20)
    assert wired.write_all() == [final(1, 0.0), *map(transient, "abc")]
    assert not wired.outbox.lean(final(1, 0.0))


def test_a_transient_that_waited_too_long_is_dropped_and_counted() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.tell(transient("short", until=5.0))
    wired.outbox.tell(transient("long", until=60.0))
    assert wired.write_all(now=6.0) == [transient("long", until=60.0)]
    assert wired.outbox.dropped["expired"] == 1


def test_too_many_transients_push_out_the_oldest() -> None:
    wired = Wired(Outbox(5.0, transients=2))
    for name in "abc":
        wired.outbox.tell(transient(name))
    assert wired.write_all() == [transient("b"), transient("c")]
    assert wired.outbox.dropped["transients"] == 1


def test_a_full_outbox_ends_its_oldest_final_as_evicted_but_never_the_one_in_flight() -> None:
    wired = Wired(Outbox(5.0, finals=2))
    wired.outbox.post(final(1, 0.0))
    wired.write_all()
    assert wired.outbox.post(final(2, 0.0)) is None
    assert wired.outbox.post(final(3, 0.0)) is None
    assert wired.outbox.post(final(4, 0.0)) == final(2, 0.0)
    wired.acknowledge(final(1, 0.0))
    assert wired.write_all() == [final(3, 0.0)]
    wired.acknowledge(final(3, 0.0))
    assert wired.outbox.finals == 2
    assert wired.outbox.dropped["evicted"] == 1


def test_a_refused_final_stays_first_and_is_not_offered_before_its_time() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.post(final(1, 0.0))
    wired.outbox.post(final(2, 0.0))
    wired.write_all()
    assert wired.outbox.refused(1, retry_at=4.0) == final(1, 0.0)
    assert wired.write_all(now=3.9) == []
    assert wired.outbox.done(3.9)
    assert wired.outbox.held_until(3.9) == 4.0
    assert wired.write_all(now=4.0) == [final(1, 0.0)]
    assert not wired.outbox.done(4.0)


def test_a_final_that_ends_every_connection_is_made_lean_and_then_put_aside() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.post(final(1, 0.0))
    wired.outbox.post(final(2, 0.0))
    for _ in range(LEAN_AFTER):
        assert not wired.outbox.lean(final(1, 0.0))
        assert wired.write() == final(1, 0.0)
        assert wired.outbox.deadly is None
        wired.lose()
    assert wired.outbox.lean(final(1, 0.0))
    assert wired.write() == final(1, 0.0) == wired.outbox.deadly
    wired.lose(retry_at=60.0)
    wired.outbox.release()
    assert wired.write_all() == [final(2, 0.0)]
    wired.acknowledge(final(2, 0.0))
    assert (wired.outbox.aside, wired.outbox.done(59.0)) == (1, True)
    assert wired.write_all(now=60.0) == [final(1, 0.0)]
    wired.acknowledge(final(1, 0.0))
    assert (wired.outbox.aside, wired.outbox.finals) == (0, 0)
    assert not wired.outbox.lean(final(1, 0.0))


def test_what_is_aside_is_tried_again_after_a_loss_that_was_none_of_its_fault() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.post(final(1, 0.0))
    for _ in range(LEAN_AFTER + 1):
        wired.write()
        wired.lose(retry_at=600.0)
    assert wired.write_all() == []
    wired.lose()
    assert wired.write_all() == [final(1, 0.0)]


def test_a_final_that_is_refused_without_end_lets_another_one_have_its_turn() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.post(final(1, 0.0))
    wired.outbox.post(final(2, 0.0))
    for _ in range(TRIES):
        assert wired.write() == final(1, 0.0)
        wired.outbox.refused(wired.mid, retry_at=0.0)
    assert wired.write() == final(2, 0.0)


def test_what_is_said_again_and_ends_every_connection_is_given_up() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.restate([final(1, 0.0), final(2, 0.0)])
    given_up = []
    for _ in range(LEAN_AFTER + 1):
        assert wired.write() == Again(final(1, 0.0))
        given_up.append(wired.lose())
    assert given_up == [False] * LEAN_AFTER + [True]
    assert wired.write_all() == [Again(final(2, 0.0))]
    assert wired.outbox.dropped["refused"] == 1


def test_a_refused_transient_is_dropped_and_counted() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.tell(transient("a"))
    wired.write_all()
    wired.outbox.refused(1, retry_at=0.0)
    assert wired.outbox.done(0.0)
    assert wired.outbox.dropped["refused"] == 1


def answer(name: str, until: float = 100.0) -> Answer:
    return Answer(name.encode(), until, Address())


def test_replies_come_after_all_that_a_robot_lives_by_and_restated_finals_last() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.restate([final(1, 0.0)])
    wired.outbox.answer(answer("a"))
    wired.outbox.retain("state", b"{}")
    wired.outbox.tell(transient("b"))
    wired.outbox.post(final(2, 0.0))
    rest = [transient("b"), Retained("state", b"{}"), answer("a"), Again(final(1, 0.0))]
    assert wired.write_all() == [final(2, 0.0), *rest]


def test_a_flood_of_replies_pushes_out_the_oldest_reply_and_nothing_else() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.tell(transient("speech"))
    for number in range(REPLIES + 6):
        wired.outbox.answer(answer(str(number)))
    assert wired.write() == transient("speech")
    assert wired.write() == answer("6")
    assert wired.outbox.dropped == {"replies": 6}


def test_a_reply_that_nobody_waits_for_any_more_is_dropped() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.answer(answer("a", until=5.0))
    assert wired.write_all(now=5.0) == []
    assert wired.outbox.dropped == {"expired": 1}


def test_restated_finals_fill_the_window_but_for_the_place_of_a_live_one() -> None:
    wired = Wired(Outbox(5.0), window=4)
    wired.outbox.restate(final(seq, 0.0) for seq in range(1, 10))
    assert wired.write_all() == [Again(final(seq, 0.0)) for seq in (1, 2, 3)]
    wired.outbox.post(final(99, 0.0))
    assert wired.write_all() == [final(99, 0.0)]
    assert wired.outbox.restated == 9
    wired.acknowledge(Again(final(1, 0.0)))
    assert wired.outbox.restated == 8
    wired.lose()
    wired.outbox.connected(20)
    assert wired.outbox.restated == 8
    again = [Again(final(seq, 0.0)) for seq in range(2, 10)]
    assert wired.write_all() == [final(99, 0.0), *again]


def test_a_reply_in_flight_when_the_connection_broke_is_written_again() -> None:
    wired = Wired(Outbox(5.0))
    wired.outbox.answer(answer("a"))
    wired.write_all()
    wired.outbox.answer(answer("b"))
    wired.lose()
    wired.outbox.connected(20)
    assert wired.write_all() == [answer("a"), answer("b")]


def test_an_acknowledgement_that_nobody_waits_for_changes_nothing() -> None:
    outbox = Outbox(5.0)
    outbox.post(final(1, 0.0))
    assert outbox.acknowledged(99) is None
    assert outbox.refused(99, 1.0) is None
    assert outbox.finals == 1


class AnyLife(RuleBasedStateMachine):
    """Whatever a broker does: finals come through once, one in flight, and none is lost."""

    @initialize(window=st.integers(1, 30))
    def begin(self, window: int) -> None:
        self.now = 0.0
        self.window = window
        self.wired = Wired(Outbox(5.0, transients=8), window)
        self.posted: list[int] = []
        self.through: list[int] = []
        self.told = self.taken = self.refused = 0
        self.values: dict[str, bytes] = {}
        self.broker: dict[str, bytes | Raised] = {}

    @rule()
    def somebody_speaks(self) -> None:
        self.posted.append(len(self.posted) + 1)
        self.wired.outbox.post(final(self.posted[-1], self.now))

    @rule(life_s=st.integers(1, 20))
    def something_happens(self, life_s: int) -> None:
        self.told += 1
        self.wired.outbox.tell(transient(str(self.told), self.now + life_s))

    @rule(topic=st.sampled_from(["status", "state", "muted"]), value=st.binary(min_size=1))
    def a_state_changes(self, topic: str, value: bytes) -> None:
        self.values[topic] = value
        self.wired.outbox.retain(topic, value)

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def a_message_is_written(self) -> None:
        parcel = self.wired.write(self.now)
        if isinstance(parcel, Transient):
            assert parcel.until > self.now

    @precondition(lambda self: self.wired.flight)
    @rule(data=st.data())
    def the_broker_acknowledges(self, data: st.DataObject) -> None:
        mid = data.draw(st.sampled_from(sorted(self.wired.flight)))
        parcel = self.wired.flight.pop(mid)
        assert self.wired.outbox.acknowledged(mid) == parcel
        if isinstance(parcel, Final):
            self.through.append(parcel.started.seq)
        elif isinstance(parcel, Retained):
            self.broker[parcel.topic] = parcel.payload
        else:
            self.taken += 1

    @precondition(lambda self: self.wired.flight)
    @rule(data=st.data(), wait_s=st.integers(0, 5))
    def the_broker_refuses(self, data: st.DataObject, wait_s: int) -> None:
        mid = data.draw(st.sampled_from(sorted(self.wired.flight)))
        self.refused += isinstance(self.wired.flight.pop(mid), Transient)
        self.wired.outbox.refused(mid, self.now + wait_s)

    @rule()
    def the_connection_breaks(self) -> None:
        self.wired.lose()
        self.wired.outbox.connected(self.window)

    @invariant()
    def at_most_one_final_is_in_flight(self) -> None:
        finals = [parcel for parcel in self.wired.flight.values() if isinstance(parcel, Final)]
        assert len(finals) <= 1
        assert len(self.wired.flight) <= self.window

    @invariant()
    def no_final_is_lost_and_none_comes_through_twice(self) -> None:
        assert len(set(self.through)) == len(self.through)
        assert len(self.through) + self.wired.outbox.finals == len(self.posted)

    def teardown(self) -> None:
        if not hasattr(self, "wired"):
            return
        self.the_connection_breaks()
        while (parcel := self.wired.write(self.now)) is not None:
            self.wired.acknowledge(parcel)
            if isinstance(parcel, Final):
                self.through.append(parcel.started.seq)
            elif isinstance(parcel, Retained):
                self.broker[parcel.topic] = parcel.payload
            else:
                self.taken += 1
        dropped = self.wired.outbox.dropped
        assert sorted(self.through) == self.posted
        assert self.broker == self.values
        assert self.wired.outbox.done(0.0)
        assert self.told == self.taken + self.refused + dropped["expired"] + dropped["transients"]


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
