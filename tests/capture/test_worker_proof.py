"""The capture thread and what is wrong with the sound: told once, taken back, in the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scribed import parts
from scribed.capture.ear import LULL_PARTS
from scribed.capture.orders import Mute
from scribed.capture.proof import Kind, Sound
from scribed.capture.sources.alsa import AlsaSource
from scribed.config import Audio
from scribed.model import Alert, AlertCleared
from tests.capture.rig import Rig, silence, until, voice
from tests.capture.test_proof import VOICE
from tests.parts.asound import Asound

SILENT_S = 2.0


@pytest.fixture
def live() -> Iterator[Rig]:
    """Hears a pipe that is taken for a live microphone."""
    with Rig(reopen=True, silent_s=SILENT_S) as rig:
        yield rig


def say(rig: Rig, pcm: bytes) -> None:
    """Let it be heard, in pieces that a pipe holds."""
    heard_ms = rig.capture.report.samples // 16
    for at in range(0, len(pcm), 32_000):
        rig.say(pcm[at : at + 32_000])
        heard_ms += len(pcm[at : at + 32_000]) // 32
        rig.hears(heard_ms)


def sounds(tenths: int) -> bytes:
    return b"".join(VOICE() for _ in range(tenths))


def alerts(rig: Rig) -> list[Any]:
    told = rig.of("main", Alert, AlertCleared)
    return [each for each in told if each.code == "silent_device"]


def test_a_dead_microphone_is_told_once_with_its_evidence_and_taken_back(live: Rig) -> None:
    say(live, sounds(5) + silence(1900))
    assert alerts(live) == []
    say(live, silence(3000))
    (raised,) = until(lambda: alerts(live))
    assert raised.message == "stdin: digital silence for 2 s"
    assert raised.severity == "error"
    assert "audio.silent_s" in raised.remedy
    sound = live.capture.report.sound
    assert sound.is_dead
    assert 4.9 - 0.1 - LULL_PARTS / 10 <= sound.still_s <= 5.0
    say(live, sounds(12))
    until(lambda: alerts(live) == [raised, AlertCleared("silent_device")])
    assert live.capture.report.sound.fault is None


def test_the_report_says_so_before_the_alert_does(live: Rig) -> None:
    """Who is told looks at the report at once."""
    say(live, silence(1900))
    live.say(silence(200))
    until(lambda: alerts(live))
    assert live.capture.report.sound.is_dead


def test_a_stuck_value_is_told_too_though_it_opens_the_gate(live: Rig) -> None:
    say(live, voice(2500))
    (raised,) = until(lambda: alerts(live))
    assert raised.message == "stdin: a stuck value (10000) for 2 s"


def test_a_mute_proves_nothing(live: Rig) -> None:
    say(live, silence(2500))
    (raised,) = until(lambda: alerts(live))
    live.ask(lambda command: Mute(True, command)).answer()
    assert live.capture.report.sound == Sound()
    live.ask(lambda command: Mute(False, command)).answer()
    say(live, silence(100))
    assert live.capture.report.sound.is_dead
    assert alerts(live) == [raised]


def test_a_lost_device_has_no_sound_to_complain_of(asound: Asound) -> None:
    mic = asound.fault("mic")
    mic.on("zeros")
    with Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True, silent_s=0.5) as rig:
        until(lambda: alerts(rig))
        mic.on("unplugged")
        until(lambda: len(alerts(rig)) == 2)
        assert alerts(rig)[1] == AlertCleared("silent_device")
        mic.off("unplugged")
        until(lambda: len(alerts(rig)) == 3)  # it came back as dead as before
        assert rig.capture.report.sound.is_dead
        mic.off("zeros")
        until(lambda: len(alerts(rig)) == 4)
        assert rig.capture.report.sound.fault is None


@pytest.mark.parametrize("switch", ["zeros", "stuck"])
@pytest.mark.parametrize("options", [{"rates": [44_100], "channels": [2]}, {"rates": [48_000]}])
def test_it_is_found_through_mixing_and_resampling(
    asound: Asound, switch: str, options: dict[str, Any]
) -> None:
    mic = asound.fault("mic", **options)
    with Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True, silent_s=0.5) as rig:
        rig.hears(200)
        mic.on(switch)
        until(lambda: alerts(rig))
        assert rig.capture.report.sound.still_at == (0 if switch == "zeros" else 0x3939)
        mic.off(switch)
        until(lambda: len(alerts(rig)) == 2)


@pytest.mark.parametrize(
    ("source", "limit_s"), [("alsa", 5.0), ("file", None), ("stdin", None), ("url", None)]
)
def test_only_of_a_device_digital_silence_is_a_fault(source: Any, limit_s: float | None) -> None:
    assert parts.silent_s(Audio(source=source)) == limit_s


def test_a_warning_is_what_does_not_keep_it_from_hearing(live: Rig) -> None:
    offset = b"".join(
        (int.from_bytes(sound[at : at + 2], "little", signed=True) // 8 - 6000).to_bytes(
            2, "little", signed=True
        )
        for sound in [sounds(120)]
        for at in range(0, len(sound), 2)
    )
    say(live, offset)
    (raised,) = until(lambda: alerts(live))
    assert raised.severity == "warning"
    assert raised.message == "stdin: a DC offset of 18% of full scale"
    fault = live.capture.report.sound.fault
    assert fault is not None
    assert fault.kind is Kind.OFFSET
    assert not live.capture.report.sound.is_dead


def test_what_is_no_microphone_may_be_silent_for_ever() -> None:
    with Rig() as rig:
        say(rig, silence(20_000) + voice(20_000))
        assert alerts(rig) == []
        assert rig.capture.report.sound.still_s > 19
