"""How fast audio goes out where the service takes only so much of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scribed import clock
from scribed.interfaces import Session
from scribed.uplink.pace import SLACK_S, Pace
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.parts.cloud import Cloud
from tests.uplink.rig import Rig


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    server = Cloud()
    yield server
    server.close()


def replayed(pace: Pace, seconds: float, piece_s: float = 0.1) -> float:
    """When all of a recording is out that could be sent at once."""
    now = 100.0
    for _ in range(round(seconds / piece_s)):
        now = max(now, pace.until())
        pace.sent(piece_s, now)
    return max(now, pace.until()) - 100.0


@pytest.mark.parametrize("rate", [1.0, 2.0, 4.0])
def test_what_is_replayed_goes_out_at_the_rate_that_the_service_takes(rate: float) -> None:
    assert replayed(Pace(rate), 10.0) == pytest.approx(10.0 / rate - SLACK_S)


def test_without_a_limit_nothing_waits() -> None:
    assert replayed(Pace(None), 60.0) == 0.0


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_live_speech_never_waits(rate: float) -> None:
    pace, now = Pace(rate), 0.0
    for n in range(600):
        now = n * 0.1 + (n % 3) * 0.05  # it does not come quite evenly
        assert now >= pace.until()
        pace.sent(0.1, now)


def test_after_a_pause_nothing_is_saved_up() -> None:
    pace = Pace(2.0)
    replayed(pace, 1.0)
    pace.sent(1.0, 1000.0)
    assert pace.until() == pytest.approx(1000.5 - SLACK_S)


def test_an_utterance_that_waited_is_sent_no_faster_than_its_session_takes_it(
    cloud: Cloud,
) -> None:
    def slow(context: str) -> Session:
        session = ElevenLabsSession(rig.config.provider, "k3y", previous_text=context)
        session.max_rate = 2.0
        return session

    rig = Rig(cloud.url, new_session=slow)
    with rig:
        begun = clock.now()
        rig.say(1, 3.0)
        assert rig.texts(1) == ["utterance 1 48000"]
        assert clock.now() - begun >= 3.0 / 2.0 - SLACK_S
