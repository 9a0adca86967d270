"""Finals that wait: none is lost, fresh ones go first, and thousands cost little."""

from __future__ import annotations

import sys
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.finals import LIMIT, PLAIN, Durable, Finals, pack, unpack
from scribed.model import Closed, EarlierBoot, Outcome, Word
from tests.delivery.peers import ended, final, started

STALE_S = 5.0
SENTENCE = "please turn left at the second door and then wait for me there until i come"
BEFORE = EarlierBoot("boot-0", 1e9, clock_synced=None)


def seqs(finals: Finals, now: float) -> list[int]:
    """All that can be written at `now`, one after the other."""
    written = []
    while (item := finals.peek(now)) is not None:
        finals.fly(item)
        finals.land()
        written.append(item.started.seq)
    return written


def posted(*items: Durable, limit: int = LIMIT) -> Finals:
    finals = Finals(STALE_S, limit)
    for item in items:
        finals.post(item)
    return finals


@pytest.mark.parametrize(
    "item",
    [
        final(7, 100.0),
        final(7, 100.0, text="naïve 停 \u2028", words=None, boot=BEFORE),
        Closed(started(7, 98.0), ended(7, 100.0), Outcome.NO_SPEECH),
        Closed(started(7, 98.0, BEFORE), None, Outcome.QUARANTINED),
    ],
)
def test_what_is_packed_comes_out_as_it_was(item: Durable) -> None:
    assert unpack(pack(item)) == item


def test_all_come_out_in_order_whether_packed_or_not() -> None:
    count = 3 * PLAIN
    finals = posted(*(final(seq, 100.0 + seq / 1000) for seq in range(count)))
    assert len(finals) == count
    assert seqs(finals, 100.0) == list(range(count))
    assert len(finals) == 0


def test_speech_that_may_be_obeyed_does_not_wait_for_what_an_outage_left() -> None:
    finals = posted(final(1, 10.0), final(2, 11.0), final(9, 12.0, boot=BEFORE))
    finals.post(final(3, 100.0))
    assert seqs(finals, 101.0) == [3, 9, 1, 2]


def test_what_grows_stale_while_it_waits_joins_the_others_behind_them() -> None:
    finals = posted(final(1, 10.0), final(2, 100.0), final(3, 103.0))
    assert seqs(finals, 106.0) == [3, 1, 2]


def test_the_one_in_flight_goes_back_to_where_it_was() -> None:
    finals = posted(final(1, 10.0), final(2, 100.0), final(3, 100.0))
    for expected in (2, 2):
        item = finals.peek(101.0)
        assert item is not None
        assert item.started.seq == expected
        finals.fly(item)
        assert len(finals) == 3
        finals.back()
    assert seqs(finals, 101.0) == [2, 3, 1]


def test_late_ones_that_are_refused_do_not_hold_up_fresh_ones_nor_the_other_way() -> None:
    finals = posted(final(1, 10.0), final(2, 10.0))
    late = finals.peek(100.0)
    assert late is not None
    finals.fly(late)
    finals.back(retry_at=130.0)
    finals.post(final(3, 100.0))
    assert seqs(finals, 101.0) == [3]
    assert finals.held_until(101.0) == 130.0
    finals.post(final(4, 129.0))
    fresh = finals.peek(129.5)
    assert fresh is not None
    finals.fly(fresh)
    finals.back(retry_at=133.0)
    assert seqs(finals, 130.0) == [1, 2]
    assert finals.held_until(130.0) == 133.0
    finals.release()
    assert seqs(finals, 130.0) == [4]


def flown(finals: Finals, now: float) -> int:
    """Write the next one; its `seq`."""
    item = finals.peek(now)
    assert item is not None
    finals.fly(item)
    return item.started.seq


@pytest.mark.parametrize("boot", [None, BEFORE])
def test_an_end_that_is_refused_holds_up_no_final_nor_the_other_way(
    boot: EarlierBoot | None,
) -> None:
    end = Closed(started(1, 99.0, boot), None, Outcome.NO_SPEECH)
    finals = posted(end, final(2, 100.0, boot=boot), final(3, 100.0, boot=boot))
    assert flown(finals, 100.0) == 1
    finals.back(retry_at=103.0)
    assert flown(finals, 101.0) == 2
    finals.back(retry_at=104.0)
    assert seqs(finals, 101.0) == []
    assert seqs(finals, 103.0) == [1]
    assert seqs(finals, 104.0) == [2, 3]


def test_a_hold_does_not_outlive_the_freshness_of_what_was_refused() -> None:
    finals = posted(final(1, 100.0), final(2, 104.0))
    assert flown(finals, 104.5) == 1
    finals.back(retry_at=130.0)
    assert seqs(finals, 106.0) == [2, 1]


def test_what_is_put_aside_holds_up_nobody_and_takes_turns() -> None:
    finals = posted(*(final(seq, 100.0) for seq in (1, 2, 3)), final(4, 10.0))
    for seq, until in ((1, 110.0), (2, 120.0)):
        assert flown(finals, 100.0) == seq
        finals.put_aside(until)
    assert (len(finals), finals.aside) == (4, 2)
    assert seqs(finals, 119.0) == [3, 4]
    assert finals.held_until(119.0) == 120.0
    assert flown(finals, 120.0) == 1
    finals.put_aside(180.0)
    finals.release()
    assert finals.peek(179.0) is None
    assert seqs(finals, 180.0) == [2, 1]  # and the next at once, as the first came through
    assert finals.aside == 0


def test_where_there_is_no_room_the_oldest_end_as_evicted_before_anything_is_lost() -> None:
    finals = Finals(STALE_S, limit=2)
    closed = Closed(started(1, 0.0), None, Outcome.NO_SPEECH)
    results = [finals.post(item) for item in (closed, final(2, 1.0), final(3, 2.0), final(4, 3.0))]
    assert results == [(None, False), (None, False), (closed, False), (final(2, 1.0), False)]
    assert len(finals) == 4
    assert finals.post(final(5, 4.0)) == (final(3, 2.0), True)  # and the first end is lost
    outcomes = []
    while (item := finals.peek(50.0)) is not None:
        finals.fly(item)
        finals.land()
        outcomes.append((item.started.seq, getattr(item, "outcome", None)))
    evicted = Outcome.EVICTED
    assert outcomes == [(2, evicted), (3, evicted), (4, None), (5, None)]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["post", "write", "back"])), max_size=80)
)
def test_whatever_happens_none_is_lost_and_fresh_ones_keep_their_order(
    steps: list[tuple[int, str]],
) -> None:
    finals, now, count, through = Finals(STALE_S), 0.0, 0, []
    for seconds, step in steps:
        now += seconds
        if step == "post":
            count += 1
            finals.post(final(count, now - seconds))
        elif finals.flying is None and (item := finals.peek(now)) is not None:
            finals.fly(item)
            if step == "back":
                finals.back()
            else:
                through.append((item.started.seq, now - item.ended.at if item.ended else 0))
                finals.land()
        assert len(finals) + len(through) == count
    fresh = [seq for seq, age_s in through if age_s <= STALE_S]
    assert fresh == sorted(fresh)
    rest = seqs(finals, now + 60)
    assert sorted([seq for seq, _ in through] + rest) == list(range(1, count + 1))


def test_ten_thousand_finals_of_25_words_fit_into_16_mib(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (SENTENCE.split() * 2)[:25]

    def spoken(seq: int) -> Durable:
        at = 400 * seq % 977  # so that no two are alike
        timed = tuple(
            Word(word, at + 310 * index, at + 310 * index + 270, 0.5 + (at + index) % 500 / 1000)
            for index, word in enumerate(words)
        )
        return final(seq, 1000.0 + seq, f"{' '.join(words)} {seq}.", words=timed)

    finals = Finals(STALE_S)
    tracemalloc.start()
    began = time.perf_counter()
    for seq in range(LIMIT):
        finals.post(spoken(seq))
    took_s = time.perf_counter() - began
    full, _ = tracemalloc.get_traced_memory()
    for seq in range(LIMIT, LIMIT + 1000):
        finals.post(spoken(seq))
    beyond, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with capsys.disabled():
        each = f"{full / LIMIT:.0f} bytes each, {(beyond - full) / 1000:.0f} for an evicted one"
        sys.stdout.write(f"\n  {LIMIT} finals of 25 words: {full / 2**20:.1f} MiB, {each}; ")
        sys.stdout.write(f"{took_s / LIMIT * 1e6:.0f} us to make and pack one (traced)\n")
    assert full < 16 * 2**20
    assert len(finals) == LIMIT + 1000
