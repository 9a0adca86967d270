"""What is listened to while the robot speaks or moves, and what only inside a window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.heed import HEARD_OUT_S, NOT_LISTENING, ONSET_S, ROBOT_SPEAKING, Heed
from scribed.config import Echo, Listen, Motion
from scribed.model import (
    RATE,
    Block,
    EndReason,
    RobotDid,
    RobotDoes,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
    seconds,
)

ECHO = Echo(lead_ms=200, tail_ms=500, max_s=10.0)
ON_REQUEST = Listen(mode="on_request", window_s=8.0)
ID = UtteranceId("u1")


def block(start: float, duration_ms: int = 100) -> Block:
    return Block(bytes(pcm_bytes(duration_ms)), round((start - 100) * RATE), start)


def speaks(at: float, *, on: bool = True, id: str = "", ttl_s: float | None = None) -> RobotDoes:
    return RobotDoes("speaking", on, at, id, ttl_s)


def moves(at: float, *, on: bool = True) -> RobotDoes:
    return RobotDoes("moving", on, at)


def test_a_dropping_gate_is_closed_from_the_command_until_the_tail_is_over() -> None:
    heed = Heed(ECHO)
    assert heed.deaf_to(100.0) is None
    assert heed.take(speaks(100.0))
    assert heed.deaf_to(100.1, 100.2) == ROBOT_SPEAKING
    assert not heed.take(speaks(103.0, on=False))
    assert heed.deaf_to(103.3, 103.4) == ROBOT_SPEAKING
    assert heed.deaf_to(103.45, 103.55) is None
    assert heed.deaf_to(103.5, 103.6) is None


def test_the_block_in_which_it_opens_again_is_heard_from_the_next_frame_on() -> None:
    heed = Heed(ECHO)
    heed.take(speaks(100.0))
    heed.take(speaks(103.0, on=False))
    part = heed.part(block(103.45))
    assert part is not None
    assert part.at == pytest.approx(103.51)
    assert part.position == block(103.45).position + 3 * 320
    assert seconds(len(part.pcm)) == pytest.approx(0.04)
    assert heed.part(block(103.41)) is None, "what is left of it is no whole frame"
    assert heed.part(block(103.5)) == block(103.5)


@given(st.floats(100.0, 110.0), st.sampled_from([10, 20, 30]), st.integers(1, 20))
def test_a_part_is_whole_frames_from_after_the_tail_in_its_place(
    start: float, frame_ms: int, frames: int
) -> None:
    heed = Heed(ECHO, frame_ms=frame_ms)
    heed.take(speaks(104.0, ttl_s=1.0))
    whole = block(start, frames * frame_ms)
    part = heed.part(whole)
    if part is None:
        assert whole.end < 105.5 + frame_ms / 1000
        return
    assert len(part.pcm) % pcm_bytes(frame_ms) == 0
    assert part.end == pytest.approx(whole.end)
    assert part.position - whole.position == round((part.at - whole.at) * RATE)
    assert part.at >= 105.5 - 1e-6
    assert part.at - 105.5 < frame_ms / 1000 or part == whole


def test_a_command_that_never_ends_is_over_after_the_cap_and_renewed_before() -> None:
    heed = Heed(ECHO)
    heed.take(speaks(100.0, ttl_s=3600.0))
    assert heed.deaf_to(110.4) == ROBOT_SPEAKING
    assert heed.deaf_to(110.5) is None
    heed.take(speaks(200.0, id="a"))
    heed.take(speaks(209.0, id="a"))
    assert heed.deaf_to(215.0) == ROBOT_SPEAKING
    assert heed.deaf_to(219.5) is None


def test_a_suspended_machine_wakes_up_hearing() -> None:
    heed = Heed(ECHO)
    heed.take(speaks(100.0, ttl_s=10.0))
    assert heed.deaf_to(100.1 + 3600) is None, "the clock has gone on meanwhile"


@pytest.mark.parametrize(
    ("echo", "motion", "does", "commits", "deaf_to"),
    [
        ("drop", "mark", speaks(100.0), True, ROBOT_SPEAKING),
        ("mark", "mark", speaks(100.0), True, None),
        ("barge_in", "mark", speaks(100.0), False, None),
        ("drop", "mark", moves(100.0), False, None),
        ("drop", "drop", moves(100.0), True, NOT_LISTENING),
    ],
)
def test_each_mode_says_what_is_committed_and_what_is_heard(
    echo: str, motion: str, does: RobotDoes, commits: bool, deaf_to: str | None
) -> None:
    heed = Heed(Echo(mode=echo), Motion(mode=motion))  # type: ignore[arg-type]
    assert heed.take(does) is commits
    assert heed.deaf_to(100.1) == deaf_to


def test_only_the_first_command_of_several_commits() -> None:
    heed = Heed(Echo(mode="mark", tail_ms=500))
    assert heed.take(speaks(100.0, id="a"))
    assert not heed.take(speaks(101.0, id="a"))
    assert not heed.take(speaks(101.0, id="b"))
    assert not heed.take(speaks(102.0, id="a", on=False))
    assert not heed.take(speaks(102.0, id="b", on=False))
    assert not heed.take(speaks(102.4, id="c")), "the tail is not over"
    assert not heed.take(speaks(102.5, id="c", on=False))
    assert heed.take(speaks(103.5))


def test_an_utterance_says_what_the_robot_did_during_it() -> None:
    heed = Heed(Echo(mode="mark", lead_ms=200, tail_ms=500))
    started = UtteranceStarted(ID, 1, 100.0)
    audio = UtteranceAudio(ID, b"")
    ended = UtteranceEnded(ID, 101.0, EndReason.COMMIT, 1000)
    assert heed.marked([started, audio]) == [started, audio]
    (unknown,) = heed.marked([ended])
    assert unknown == ended
    heed.take(RobotDoes("speaking", True, 101.1, text="Hello."))
    (reached,) = heed.marked([ended])
    assert isinstance(reached, UtteranceEnded)
    assert reached.robot == RobotDid(True, None, ("Hello.",)), "by the lead"
    heed.marked([UtteranceStarted(ID, 1, 200.0)])
    (later,) = heed.marked([UtteranceEnded(ID, 201.0, EndReason.COMMIT, 1000)])
    assert isinstance(later, UtteranceEnded)
    assert later.robot == RobotDid(False, None)


# A window that was asked for


def test_on_request_nothing_is_heard_outside_a_window() -> None:
    heed = Heed(listen=ON_REQUEST)
    assert heed.deaf_to(100.0) == NOT_LISTENING
    assert heed.deaf_to(100.0, engaged=True) == NOT_LISTENING
    assert heed.listen(100.0, None) == 8.0
    assert heed.deaf_to(100.0, 100.1) is None
    assert heed.deaf_to(107.9, 108.0) is None
    assert heed.deaf_to(108.0, 108.1) == NOT_LISTENING


def test_what_was_said_before_it_opened_is_not_heard() -> None:
    heed = Heed(listen=ON_REQUEST)
    heed.listen(100.0, 2.0)
    part = heed.part(block(99.95))
    assert part is not None
    assert part.at == pytest.approx(100.01)


def test_who_speaks_at_its_end_is_heard_out_and_no_longer() -> None:
    heed = Heed(listen=ON_REQUEST)
    heed.listen(100.0, 2.0)
    assert heed.deaf_to(102.0, stirring=True) is None
    assert heed.deaf_to(102.0 + ONSET_S, stirring=True) == NOT_LISTENING
    assert heed.deaf_to(130.0, engaged=True) is None
    assert heed.deaf_to(102.0 + HEARD_OUT_S, engaged=True) == NOT_LISTENING


def test_a_window_can_be_kept_open_and_closed() -> None:
    heed = Heed(listen=ON_REQUEST)
    heed.listen(100.0, 2.0)
    heed.listen(101.0, 2.0)
    assert heed.deaf_to(102.5) is None
    assert heed.part(block(100.5)) == block(100.5), "it opened at 100"
    assert heed.listen(102.6, 0.0) == 0.0
    assert heed.deaf_to(102.6) == NOT_LISTENING


def test_a_window_does_not_let_the_robot_s_voice_in() -> None:
    heed = Heed(ECHO, listen=ON_REQUEST)
    heed.listen(100.0, 8.0)
    heed.take(speaks(101.0, ttl_s=2.0))
    assert heed.deaf_to(102.0) == ROBOT_SPEAKING
    assert heed.deaf_to(104.0) is None


def test_what_let_it_be_heard_is_told() -> None:
    heed, always = Heed(listen=ON_REQUEST), Heed()
    started = UtteranceStarted(ID, 1, 100.0)
    (said,) = heed.marked([started])
    assert isinstance(said, UtteranceStarted)
    assert said.trigger == "listen"
    assert always.marked([started]) == [started]
    assert always.listen(100.0, 5.0) is None
