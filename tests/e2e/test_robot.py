"""A robot that speaks and moves, and says so: what it hears of itself is nobody's order."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from paho.mqtt.client import MQTTv5

from tests.e2e import contract
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.cloud import Cloud
from tests.parts.robot import Robot, silence

SAID = "I go forward ten meters now."
HEARD = "Go forward ten meters."


class Stage:
    """A robot whose microphone hears all the time: silence, or what somebody says."""

    def __init__(self, robot: Robot, cloud: Cloud, voice: bytes) -> None:
        self.robot, self.cloud, self.voice = robot, cloud, voice
        self._next: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._over, self._spoken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._play, name="microphone")

    def __enter__(self) -> Stage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _play(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            while not self._over.is_set():
                try:
                    self.robot.speak(self._next.get_nowait())
                    self._spoken.set()
                except queue.Empty:
                    self.robot.speak(silence(0.04))

    def hears(self, pcm: bytes) -> None:
        """Begin to say `pcm`; `has_heard()` waits for its end."""
        self._spoken.clear()
        self._next.put(pcm)

    def has_heard(self) -> None:
        assert self._spoken.wait(20)

    def asks(self, name: str, **args: Any) -> dict[str, Any]:
        before = len(self.robot.on("reply"))
        topic, port = f"scribed/r7/mic/cmd/{name}", self.robot.broker.port
        publish.single(topic, json.dumps(args), qos=1, port=port, protocol=MQTTv5)
        self.robot.wait_for(lambda: len(self.robot.on("reply")) > before)
        reply: dict[str, Any] = self.robot.on("reply")[before].payload
        assert reply["ok"], reply
        result: dict[str, Any] = reply["result"]
        return result

    def is_told(self, **fields: Any) -> None:
        """Wait for a `state` with these fields."""
        self.robot.wait_for(lambda: fields.items() <= self.robot.state.items())

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [message.payload for message in self.robot.finals]

    @property
    def speech(self) -> list[bool]:
        return [message.payload["active"] for message in self.robot.on("speech")]


@pytest.fixture
def sections() -> dict[str, dict[str, Any]]:
    return {"audio": {"source": "stdin"}, "shutdown": {"grace_s": 1.0}}


@pytest.fixture
def stage(
    cloud: Cloud,
    tmp_path: Path,
    command: bytes,
    sections: dict[str, dict[str, Any]],
    request: pytest.FixtureRequest,
) -> Iterator[Stage]:
    cloud.always.answer = lambda _audio: HEARD
    configured = {**sections, "provider": {"url": cloud.url}, **getattr(request, "param", {})}
    with WatchedRobot(tmp_path, configured) as robot, Stage(robot, cloud, command) as stage:
        robot.wait_for(lambda: robot.status == "online")
        robot.wait_for(lambda: robot.state.get("hearing") is not None)
        yield stage


def test_while_the_robot_speaks_nothing_is_sent_and_afterwards_it_hears(stage: Stage) -> None:
    robot, cloud = stage.robot, stage.cloud
    stage.is_told(hearing=True, echo_signal="never")
    assert stage.asks("robot_speaking", on=True, id="tts-1", ttl_ms=15000, text=SAID) == {
        "speaking": True,
        "ttl_ms": 15000,
    }
    stage.is_told(hearing=False, hearing_reason="robot_speaking", echo_signal="ok")
    stage.hears(stage.voice + silence(0.6))
    stage.has_heard()
    assert stage.asks("robot_speaking", on=False, id="tts-1") == {"speaking": False, "ttl_ms": 0}
    stage.is_told(hearing=True, hearing_reason="ok")
    assert (cloud.connections, stage.speech) == (0, [])
    stage.hears(stage.voice + silence(0.6))
    robot.wait_for_texts(1)
    (final,) = stage.finals
    assert (final["seq"], final["caution"], final["text"]) == (1, [], HEARD)
    assert (final["while_robot_speaking"], final["while_robot_moving"]) == (False, None)
    assert len(cloud.commits) == 1
    assert_accounted(robot)


def test_who_was_speaking_when_the_robot_began_is_committed_and_the_rest_dropped(
    stage: Stage,
) -> None:
    stage.hears(stage.voice + stage.voice + silence(0.6))
    stage.robot.wait_for(lambda: stage.speech == [True])
    stage.asks("robot_speaking", on=True, id="tts-1")
    stage.robot.wait_for_texts(1)
    stage.has_heard()
    (final,) = stage.finals
    assert final["final_reason"] == "gated"
    assert "cut" in final["caution"]
    assert stage.robot.on("text") == []
    assert stage.speech == [True, False]
    assert_accounted(stage.robot)


@pytest.mark.parametrize("stage", [{"echo": {"max_s": 1.0}}], indirect=True)
def test_an_id_that_is_stuck_leaves_nobody_deaf_nor_does_a_broker_that_goes_away(
    stage: Stage,
) -> None:
    assert stage.asks("robot_speaking", on=True, id="stuck", ttl_ms=3_600_000)["ttl_ms"] == 1000
    stage.is_told(hearing=False, hearing_reason="robot_speaking")
    stage.robot.broker.restart()
    stage.is_told(hearing=True)
    stage.hears(stage.voice + silence(0.6))
    stage.robot.wait_for_texts(1)
    assert stage.finals[0]["caution"] == []
    assert_accounted(stage.robot)


def test_a_restart_forgets_what_the_robot_said(stage: Stage) -> None:
    stage.asks("robot_speaking", on=True, id="tts-1")
    stage.is_told(hearing_reason="robot_speaking", echo_signal="ok")
    stage.robot.start()
    stage.robot.wait_for(lambda: stage.robot.state.get("echo_signal") == "never")
    assert stage.robot.state["hearing_reason"] != "robot_speaking"


@pytest.mark.parametrize("stage", [{"echo": {"mode": "mark"}}], indirect=True)
def test_what_is_marked_is_told_with_cautions_and_never_as_plain_text(stage: Stage) -> None:
    stage.asks("robot_speaking", on=True, id="tts-1", text=SAID)
    stage.asks("robot_moving", on=True, id="base")
    stage.hears(stage.voice + silence(0.6))
    stage.robot.wait_for_texts(1)
    (final,) = stage.finals
    assert final["caution"] == ["robot_speaking", "robot_moving", "echo_text"]
    assert (final["while_robot_speaking"], final["while_robot_moving"]) == (True, True)
    assert stage.robot.on("text") == []
    assert_accounted(stage.robot)


@pytest.mark.parametrize("stage", [{"echo": {"mode": "barge_in"}}], indirect=True)
def test_somebody_who_interrupts_the_robot_is_told_at_once_and_heard_out(stage: Stage) -> None:
    stage.asks("robot_speaking", on=True, id="tts-1", text="Once upon a time there was a king.")
    stage.hears(stage.voice + silence(0.6))
    stage.robot.wait_for(lambda: stage.speech == [True])
    assert stage.asks("robot_speaking", on=False, id="tts-1")["speaking"] is False
    stage.robot.wait_for_texts(1)
    (final,) = stage.finals
    assert (final["final_reason"], final["caution"]) == ("commit", ["robot_speaking"])


@pytest.mark.parametrize("stage", [{"listen": {"mode": "on_request"}}], indirect=True)
def test_on_request_it_hears_only_who_asked_for_it(stage: Stage) -> None:
    stage.is_told(hearing=False, hearing_reason="not_listening")
    stage.hears(stage.voice + silence(0.6))
    stage.has_heard()
    assert stage.asks("listen", ttl_ms=2000) == {"listening": True, "ttl_ms": 2000}
    stage.is_told(hearing=True)
    stage.hears(stage.voice * 2 + silence(0.8))
    stage.robot.wait_for_texts(1)
    stage.is_told(hearing=False, hearing_reason="not_listening")
    (final,) = stage.finals
    assert (final["trigger"], final["final_reason"], final["caution"]) == ("listen", "commit", [])
    assert final["audio_ms"] > 3000, "to its end, which the window did not reach"
    assert stage.cloud.connections == 1


@pytest.mark.parametrize(
    "stage", [{"transcript": {"fast_words": ["ten meters"], "partials": False}}], indirect=True
)
def test_a_word_of_command_is_told_once_unless_the_robot_is_deaf(stage: Stage) -> None:
    stage.is_told(hearing=True, fast_words="ok")
    stage.asks("robot_speaking", on=True, id="tts-1")
    stage.is_told(fast_words="deaf")
    stage.asks("robot_speaking", on=False, id="tts-1")
    stage.is_told(fast_words="ok")
    stage.hears(stage.voice + silence(0.6))
    stage.robot.wait_for_texts(1)
    stage.robot.wait_for(lambda: stage.robot.on("word/ten-meters"))
    (word,) = stage.robot.on("word/ten-meters")
    contract.check(word)
    assert (word.payload["word"], word.payload["text"]) == ("ten meters", HEARD)
    assert word.payload["seq"] == stage.finals[0]["seq"]
    assert stage.robot.on("partial") == []


@pytest.mark.parametrize("stage", [{"transcript": {"fast_words": ["stop"]}}], indirect=True)
def test_a_service_that_is_away_takes_the_fast_words_with_it(stage: Stage) -> None:
    stage.is_told(hearing=True, fast_words="ok")
    stage.cloud.always.http_status = 503
    stage.hears(stage.voice + silence(0.6))
    stage.is_told(hearing=True, fast_words="link_down")
