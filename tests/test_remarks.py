"""Keys that have no effect are named before anybody wonders."""

from __future__ import annotations

import pytest

from scribed.config import Config, Echo, Listen, Motion, Mqtt, TranscriptSection
from scribed.remarks import remarks

MUTE_ONLY = Mqtt(commands=("mute",))
STOP = TranscriptSection(fast_words=("stop",))
BARGE_IN = Echo(mode="barge_in")


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (Config(listen=Listen(mode="on_request"), mqtt=MUTE_ONLY), "listen.mode"),
        (Config(listen=Listen(window_s=5.0)), "listen.window_s"),
        (Config(echo=Echo(mode="barge_in"), mqtt=MUTE_ONLY), "echo.mode"),
        (Config(echo=Echo(tail_ms=900), mqtt=MUTE_ONLY), "echo.mode"),
        (Config(motion=Motion(mode="drop"), mqtt=MUTE_ONLY), "motion.mode"),
        (
            Config(listen=Listen(mode="on_request", window_s=2.0), echo=Echo(tail_ms=2000)),
            "echo.tail_ms",
        ),
        (Config(transcript=STOP), "transcript.fast_words"),
        (
            Config(transcript=STOP, echo=BARGE_IN, motion=Motion(mode="drop")),
            "transcript.fast_words",
        ),
        (
            Config(transcript=STOP, echo=BARGE_IN, listen=Listen(mode="on_request")),
            "transcript.fast_words",
        ),
    ],
)
def test_what_has_no_effect_is_remarked(config: Config, key: str) -> None:
    (line,) = remarks(config)
    assert line.startswith(f"{key}: ")


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(mqtt=MUTE_ONLY),
        Config(mqtt=MUTE_ONLY, transcript=STOP),
        Config(transcript=STOP, echo=BARGE_IN),
        Config(listen=Listen(mode="on_request", window_s=5.0)),
        Config(echo=Echo(mode="mark", lead_ms=0), motion=Motion(mode="drop")),
    ],
)
def test_what_makes_sense_is_not(config: Config) -> None:
    assert remarks(config) == []
