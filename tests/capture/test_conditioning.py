"""What the gate hears, what is sent, and what is measured, are each what the keys say."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest

from scribed import parts
from scribed.capture.conditioning import Conditioner
from scribed.capture.ear import Ear
from scribed.capture.gate import Gate
from scribed.capture.proof import DEAF_S, Kind
from scribed.capture.shaping import Gain
from scribed.capture.vad import WebRtcVad
from scribed.config import Audio
from scribed.model import (
    RATE,
    Block,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from tests.capture.rig import AnySound

PART = pcm_bytes(100)


class Marks:
    """A stage that appends its name to all that it hears."""

    def __init__(self, value: int) -> None:
        self._value, self.resets = value, 0

    def __call__(self, pcm: bytes) -> bytes:
        return array("h", (sample * 10 + self._value for sample in array("h", pcm))).tobytes()

    def reset(self) -> None:
        self.resets += 1


class Listens(AnySound):
    """A VAD that remembers what it was asked about."""

    def __init__(self) -> None:
        self.heard = b""

    def __call__(self, frame: bytes) -> bool:
        self.heard += frame
        return True


def ear(vad: Any, conditioner: Conditioner | None, silent_s: float | None = None) -> Ear:
    def identify(at: float, _: object) -> UtteranceStarted:
        return UtteranceStarted(UtteranceId("u"), 1, at)

    return Ear(vad, Gate(), identify, silent_s=silent_s, conditioner=conditioner)


def heard(ear: Ear, pcm: bytes) -> list[Any]:
    return ear.hear(Block(pcm, 0, 0.0))


def values(pcm: bytes) -> set[int]:
    return set(array("h", pcm))


def test_shared_stages_come_first_and_each_branch_has_its_own() -> None:
    said = Conditioner([Marks(1), Marks(2)], Marks(3), Marks(4))(bytes(PART))
    assert (values(said.gate), values(said.uplink)) == ({123}, {124})


def test_a_stage_that_both_have_is_heard_by_once() -> None:
    both = Marks(3)
    said = Conditioner([], both, both)(bytes(PART))
    assert said.gate is said.uplink
    assert values(said.gate) == {3}


@pytest.mark.parametrize(
    ("gate", "uplink", "expected"), [(3, None, ({13}, {1})), (None, 4, ({1}, {14}))]
)
def test_a_branch_may_have_nothing_of_its_own(
    gate: int | None, uplink: int | None, expected: tuple[set[int], set[int]]
) -> None:
    stages = [None if each is None else Marks(each) for each in (gate, uplink)]
    said = Conditioner([Marks(1)], *stages)(bytes(PART))
    assert (values(said.gate), values(said.uplink)) == expected


def test_the_vad_hears_what_is_for_the_gate_and_the_utterance_is_what_is_for_the_uplink() -> None:
    vad, shared = Listens(), Marks(1)
    listener = ear(vad, Conditioner([shared], Marks(3), Marks(4)))
    events = heard(listener, bytes(PART * 3))
    assert values(vad.heard) == {13}
    assert len(vad.heard) == PART * 3
    sent = b"".join(each.pcm for each in events if isinstance(each, UtteranceAudio))
    assert values(sent) == {14}
    listener.reset()
    assert shared.resets == 1


def test_levels_are_those_of_the_microphone() -> None:
    half = array("h", [16384, -16384] * RATE).tobytes()  # -6 dBFS
    softer = ear(AnySound(), Conditioner([Gain(-20.0)], None, None))
    events = heard(softer, half + bytes(PART * 20))
    (ended,) = (each for each in events if isinstance(each, UtteranceEnded))
    assert ended.level_dbfs == pytest.approx(-6, abs=0.1)


def test_a_converters_noise_made_loud_is_no_proof_of_hearing() -> None:
    chance = random.Random(4)
    dither = array("h", (chance.choice((-1, 0, 0, 1)) for _ in range(10 * RATE))).tobytes()
    deaf = ear(AnySound(), Conditioner([Gain(40.0)], None, None), silent_s=5.0)
    for _ in range(int(DEAF_S / 10) + 1):  # the sound is looked at by the half second
        heard(deaf, dither)
    assert deaf.is_open  # it takes that for a voice
    assert deaf.sound.fault is not None
    assert deaf.sound.fault.kind is Kind.DEAF


def test_an_offset_is_found_although_it_is_taken_away() -> None:
    asked = Listens()
    chance = random.Random(4)
    off = array("h", (5000 + chance.randrange(-90, 90) for _ in range(11 * RATE))).tobytes()
    listener = ear(asked, parts.conditioner(Audio(high_pass=True)), silent_s=5.0)
    heard(listener, off)
    assert listener.sound.fault is not None
    assert listener.sound.fault.kind is Kind.OFFSET
    rest = array("h", asked.heard)
    assert abs(sum(rest) / len(rest)) < 1


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    assert parts.conditioner(Audio()) is None


@pytest.mark.parametrize(
    "audio",
    [
        Audio(gain_db=6.0),
        Audio(high_pass=True),
        Audio(high_pass=10.0, gain_db=-3.0),
        Audio(auto_gain=True),
        Audio(noise_suppression=True),
        Audio(auto_gain=True, noise_suppression="gate"),
        Audio(auto_gain="uplink", noise_suppression="gate"),
    ],
)
def test_whatever_is_asked_for_not_a_sample_is_lost(audio: Audio) -> None:
    if audio.auto_gain or audio.noise_suppression:
        pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")
    shapes = parts.conditioner(audio)
    assert shapes is not None
    for frames in (1, 5):
        said = shapes(bytes(pcm_bytes(20)) * frames)
        assert len(said.gate) == len(said.uplink) == pcm_bytes(20) * frames


def test_what_is_for_the_gate_alone_is_not_sent(humming: bytes) -> None:
    pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")
    shapes = parts.conditioner(Audio(noise_suppression="gate"))
    assert shapes is not None
    said = shapes(humming)
    assert said.uplink == humming
    assert said.gate != humming


def test_a_fan_that_keeps_the_gate_open_does_not_behind_noise_suppression(humming: bytes) -> None:
    pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")
    plain, cleaned = ear(WebRtcVad(2), None), ear(WebRtcVad(2), parts.conditioner(CLEAN))
    heard(plain, humming)
    heard(cleaned, humming)
    assert (plain.is_open, cleaned.is_open) == (True, False)


CLEAN = Audio(noise_suppression="gate")


@pytest.fixture
def humming() -> bytes:
    """8 s of a fan near by: noise below 600 Hz at -30 dBFS."""
    chance, smooth, samples = random.Random(8), [0.0, 0.0], array("h")
    for _ in range(8 * RATE):
        smooth[0] += 0.21 * (chance.gauss(0, 3300) - smooth[0])
        smooth[1] += 0.21 * (smooth[0] - smooth[1])
        samples.append(round(smooth[1]))
    return samples.tobytes()
