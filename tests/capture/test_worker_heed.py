"""The capture thread while the robot speaks, and with a window for those who ask: what it hands
on, what it says of itself, and that it hears again by itself."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import pytest

from scribed import clock
from scribed.capture.heed import Heed
from scribed.capture.orders import Listen, Robot
from scribed.config import Echo
from scribed.config import Listen as ListenSection
from scribed.model import (
    RATE,
    Alert,
    AlertCleared,
    Attention,
    Block,
    Command,
    Device,
    EndReason,
    RobotDid,
    RobotDoes,
    UtteranceStarted,
    seconds,
)
from scribed.worker import Stop
from tests.capture.rig import Asked, Rig, silence, until, voice
from tests.capture.test_worker_proof import sounds

ECHO = Echo(lead_ms=200, tail_ms=500, max_s=2.0)
BEGAN = 1000.0


class Script:
    """A live source whose sound has the times that the test gives it."""

    live = True

    def __init__(self) -> None:
        self.device = Device("script", RATE, 1, "open")
        self._blocks: collections.deque[Block] = collections.deque()
        self.now = BEGAN

    def plays(self, pcm: bytes) -> None:
        """`pcm` is heard next, in blocks of 100 ms."""
        for start in range(0, len(pcm), 3200):
            piece = pcm[start : start + 3200]
            self._blocks.append(Block(piece, round((self.now - BEGAN) * RATE), self.now))
            self.now = round(self.now + seconds(len(piece)), 3)

    def pollable(self) -> list[tuple[int, int]]:
        return []

    def read(self) -> Block | None:
        return self._blocks.popleft() if self._blocks else None

    def close(self) -> None:
        """There is nothing to free."""


class Stage:
    """The capture thread, and the time that goes by in what it hears."""

    def __init__(self, heed: Heed, **options: Any) -> None:
        self.script = Script()
        self.rig = Rig(lambda: self.script, reopen=True, heed=heed, **options)

    def plays(self, pcm: bytes) -> None:
        before = self.rig.capture.report.samples
        self.script.plays(pcm)
        until(lambda: self.rig.capture.report.samples == before + len(pcm) // 2, "the sound")

    def asks(self, order: Any) -> dict[str, Any]:
        asked: Asked = self.rig.ask(order)
        return asked.answer().result

    def speaks(self, *, on: bool = True, id: str = "", ttl_s: float | None = None) -> Any:
        does = RobotDoes("speaking", on, self.script.now, id, ttl_s)
        return self.asks(lambda command: Robot(does, command))

    def listen(self, ttl_s: float | None = None) -> Any:
        at = self.script.now
        return self.asks(lambda command: Listen(at, ttl_s, command))

    @property
    def attention(self) -> list[str | None]:
        return [item.deaf_to for item in self.rig.of("main", Attention)]


@pytest.fixture
def drop() -> Iterator[Stage]:
    stage = Stage(Heed(ECHO))
    with stage.rig:
        yield stage


@pytest.fixture
def on_request() -> Iterator[Stage]:
    stage = Stage(Heed(listen=ListenSection(mode="on_request", window_s=2.0)))
    with stage.rig:
        yield stage


def test_what_is_said_while_the_robot_speaks_goes_nowhere(drop: Stage) -> None:
    assert drop.speaks() == {"speaking": True, "ttl_ms": 2000}
    drop.plays(voice(1000))
    assert drop.rig.capture.report.deaf_to == "robot_speaking"
    assert drop.speaks(on=False) == {"speaking": False, "ttl_ms": 0}
    drop.plays(voice(500))
    assert drop.rig.of("uplink") == []
    drop.plays(silence(100) + voice(300) + silence(400))
    (started,) = drop.rig.started
    assert started.at == pytest.approx(BEGAN + 1.6 - 0.1, abs=0.021), "no pre-roll of the robot's"
    (ended,) = drop.rig.ends
    assert (ended.reason, ended.robot) == (EndReason.COMMIT, RobotDid(False, None))
    assert drop.attention == ["robot_speaking", None]
    assert drop.rig.capture.report.samples == RATE * 23 // 10, "it has heard it all"


def test_the_open_utterance_is_committed_before_the_gate_closes(drop: Stage) -> None:
    drop.plays(voice(600))
    assert drop.rig.started
    drop.speaks()
    (ended,) = drop.rig.ends
    assert ended.reason is EndReason.GATED
    assert ended.audio_ms == 600
    assert ended.robot.speaking, "its end may be the robot's own: within the lead"
    drop.plays(voice(300))
    assert len(drop.rig.started) == 1


def test_who_was_done_before_the_lead_is_not_taken_for_the_robot(drop: Stage) -> None:
    drop.plays(voice(600) + silence(180))
    drop.plays(silence(20) + silence(100))
    (ended,) = drop.rig.ends
    drop.speaks()
    assert ended.robot == RobotDid(None, None)
    assert ended.reason is EndReason.COMMIT


def test_a_robot_that_never_says_that_it_is_done_is_heard_past_the_cap(drop: Stage) -> None:
    drop.speaks(ttl_s=1e6)
    drop.plays(voice(2000) + silence(500))
    assert drop.rig.started == []
    drop.plays(voice(400) + silence(400))
    assert len(drop.rig.started) == 1
    assert drop.attention == ["robot_speaking", None]


def test_a_stuck_id_does_not_live_on_another_s_account(drop: Stage) -> None:
    drop.speaks(id="stuck", ttl_s=1.0)
    drop.speaks(id="other")
    drop.speaks(id="other", on=False)
    drop.plays(silence(1500) + voice(400) + silence(400))
    assert len(drop.rig.started) == 1


def test_marking_hears_on_and_says_so() -> None:
    stage = Stage(Heed(Echo(mode="mark")))
    with stage.rig as rig:
        stage.plays(voice(600))
        stage.speaks()
        stage.plays(voice(600) + silence(400))
        assert [end.reason for end in rig.ends] == [EndReason.GATED, EndReason.COMMIT]
        assert [end.robot.speaking for end in rig.ends] == [True, True]
        assert stage.attention == []


def test_barging_in_is_one_utterance_that_is_told_at_its_start() -> None:
    stage = Stage(Heed(Echo(mode="barge_in")))
    with stage.rig as rig:
        stage.speaks()
        stage.plays(silence(500) + voice(300))
        assert len(rig.of("delivery", UtteranceStarted)) == 1, "the speech event"
        stage.speaks(on=False)
        stage.plays(voice(600) + silence(400))
        (ended,) = rig.ends
        assert (ended.reason, ended.robot.speaking) == (EndReason.COMMIT, True)


def test_a_click_before_the_robot_spoke_opens_nothing_after_it(drop: Stage) -> None:
    drop.plays(voice(80))  # a candidate, by 20 ms too short
    drop.speaks(ttl_s=0.1)
    drop.plays(silence(600) + voice(60) + silence(400))
    assert drop.rig.started == []


# A window that was asked for


def test_on_request_only_what_begins_in_the_window_is_an_utterance(on_request: Stage) -> None:
    assert on_request.rig.capture.report.deaf_to == "not_listening"
    on_request.plays(voice(1000) + silence(500))
    assert on_request.rig.started == []
    assert on_request.listen() == {"listening": True, "ttl_ms": 2000}
    on_request.plays(voice(500) + silence(500))
    (started,) = on_request.rig.started
    assert started.trigger == "listen"
    assert started.at >= BEGAN + 1.5
    on_request.plays(silence(1000) + voice(1000) + silence(500))
    assert len(on_request.rig.started) == 1
    assert on_request.attention == [None, "not_listening"]


def test_a_dead_microphone_is_found_though_nobody_asks_for_it() -> None:
    heed = Heed(listen=ListenSection(mode="on_request", window_s=0.5))
    stage = Stage(heed, silent_s=2.0)
    with stage.rig:
        stage.plays(sounds(10))
        report = stage.rig.capture.report
        assert report.level_dbfs == pytest.approx(-25.0, abs=1.0)
        assert report.sound.fault is None
        stage.plays(silence(900))
        stage.listen()
        stage.plays(silence(1600))
        (alert,) = stage.rig.of("main", Alert)
        assert (alert.code, alert.message) == ("silent_device", "script: digital silence for 2 s")
        stage.plays(sounds(12))
        assert stage.rig.of("main", AlertCleared) == [AlertCleared("silent_device")]
    assert stage.rig.started == []


def test_what_began_inside_the_window_is_heard_to_its_end(on_request: Stage) -> None:
    on_request.listen(1.0)
    on_request.plays(silence(960) + voice(2000) + silence(400))
    (ended,) = on_request.rig.ends
    assert (ended.reason, ended.audio_ms) == (EndReason.COMMIT, 2100)
    on_request.plays(voice(500) + silence(300))
    assert len(on_request.rig.started) == 1
    assert on_request.attention == [None, "not_listening"]


def test_a_window_where_it_always_listens_is_no_news() -> None:
    stage = Stage(Heed())
    with stage.rig:
        assert stage.listen(5.0) == {"listening": True, "ttl_ms": None}
        assert stage.attention == []


def test_what_comes_after_the_end_is_told_that_nobody_listens() -> None:
    rig = Rig()
    with rig:
        answers = Asked(), Asked()
        does = RobotDoes("speaking", True, clock.now())
        commands = [Command("test", {}, True, each, each) for each in answers]
        rig.capture.inbox.put(Stop(), wake=False)
        rig.capture.inbox.put(Robot(does, commands[0]), wake=False)
        rig.capture.inbox.put(Listen(clock.now(), None, commands[1]))
        rig.ended()
    for each in answers:
        error = each.answer().error
        assert error is not None
        assert error.code == "failed"
