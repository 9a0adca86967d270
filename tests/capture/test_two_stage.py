"""Which of WebRTC's voices the second stage believes, frame by frame; what the gate makes of it."""

from __future__ import annotations

import random
from array import array

import pytest

from scribed.capture.ear import Ear
from scribed.capture.floor import Floor
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.two_stage import AWAKE_MS, LENT_MS, TRUSTED_MS, Confirmation, TwoStage
from scribed.capture.vad import WebRtcVad
from scribed.model import (
    Block,
    UtteranceAudio,
    UtteranceId,
    UtteranceStarted,
    Verdict,
)
from tests.capture.rig import AnySound

FRAME_MS, FRAME, CHUNK = 20, 640, 1024
NOISE, VOICE = 300, 3000  # amplitudes; a voice has an even sample at the start of a frame


class Ears:
    """A model that hears a voice in all that is loud, and remembers how much it was given."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.chunks, self.resets, self._deaf = 0, 0, deaf

    def __call__(self, chunk: bytes) -> float:
        self.chunks += 1
        return 0.0 if self._deaf or max(array("h", chunk)) < VOICE / 2 else 0.9

    def reset(self) -> None:
        self.resets += 1


def sound(amplitude: int, duration_ms: int, seed: int = 1) -> bytes:
    rng = random.Random(seed + amplitude)
    return array(
        "h", (rng.randint(-amplitude, amplitude) for _ in range(16 * duration_ms))
    ).tobytes()


def two_stage(model: Ears | None = None) -> TwoStage:
    confirmation = Confirmation(model, CHUNK, FRAME_MS) if model else None
    return TwoStage(AnySound(), Floor(FRAME_MS), confirmation, FRAME_MS)


def verdicts(vad: TwoStage, pcm: bytes) -> str:
    """One character each."""
    return "".join(verdict.value for verdict in vad.judge(pcm, FRAME, vad.ask(pcm, FRAME)))


def test_steady_noise_is_too_faint_however_much_of_a_voice_webrtc_takes_it_for() -> None:
    vad = two_stage()
    verdicts(vad, sound(NOISE, 2000))
    assert set(verdicts(vad, sound(NOISE, 5000, seed=2))) == {"~"}


def test_a_voice_over_it_is_voiced_and_so_is_what_follows_it_at_once() -> None:
    vad = two_stage()
    verdicts(vad, sound(NOISE, 4000))
    said = verdicts(vad, sound(VOICE, 600) + sound(NOISE, 1000))
    assert said.strip("~").strip("#") == "", "voiced once, without a hole"
    begun_ms, over_ms = said.index("#") * FRAME_MS, (said.rindex("#") + 1) * FRAME_MS
    assert begun_ms <= 60
    assert 600 + LENT_MS - 100 <= over_ms <= 600 + LENT_MS + 60


def test_silence_is_unvoiced_without_a_question() -> None:
    model = Ears()
    assert set(verdicts(two_stage(model), bytes(FRAME * 200))) == {"."}
    assert model.chunks == 0


def test_what_the_model_takes_for_no_voice_is_refused() -> None:
    vad = two_stage(Ears(deaf=True))
    said = verdicts(vad, sound(NOISE, 4000) + sound(VOICE, 1000))
    assert "#" not in said
    assert said[-50:].count("x") > 40


def test_the_model_sleeps_until_something_stands_out_and_hears_what_was_before() -> None:
    model = Ears()
    vad = two_stage(model)
    verdicts(vad, sound(NOISE, 4000))
    asleep, resets = model.chunks, model.resets
    verdicts(vad, sound(NOISE, 3000, seed=2))
    assert model.chunks == asleep
    verdicts(vad, sound(VOICE, 60))
    assert model.chunks - asleep >= 5, "160 ms of before"
    verdicts(vad, sound(NOISE, 3000, seed=3))
    awake_ms = (model.chunks - asleep) * 32
    assert awake_ms <= 160 + 60 + LENT_MS + AWAKE_MS + 60
    assert model.resets > resets


def test_what_the_model_has_once_confirmed_it_need_not_confirm_in_every_syllable() -> None:
    model = Ears()
    vad = two_stage(model)
    verdicts(vad, sound(NOISE, 4000))
    loud, quiet = sound(VOICE, 300), sound(VOICE // 3, 5000)  # as loud as a voice, none to it
    said = verdicts(vad, loud + quiet)
    voiced_ms = (said.rindex("#") + 1) * FRAME_MS
    assert 300 + TRUSTED_MS - 60 <= voiced_ms <= 300 + TRUSTED_MS + 60
    assert said[voiced_ms // FRAME_MS :].startswith("xxx")


@pytest.mark.parametrize("model", [None, Ears()])
def test_a_pause_in_which_nothing_was_to_be_heard_forgets_the_voice_and_not_the_noise(
    model: Ears | None,
) -> None:
    vad = two_stage(model)
    verdicts(vad, sound(NOISE, 4000) + sound(VOICE, 300))
    vad.resume()
    assert set(verdicts(vad, sound(NOISE, 1000, seed=3))) == {"~"}
    assert "#" in verdicts(vad, sound(VOICE, 300))


def test_after_a_reset_it_decides_as_if_it_were_new() -> None:
    vad = two_stage(Ears())
    pcm = sound(NOISE, 3000) + sound(VOICE, 500) + sound(NOISE, 1000)
    first = verdicts(vad, pcm)
    vad.reset()
    assert verdicts(vad, pcm) == first


def started_and_heard(vad: TwoStage, pcm: bytes) -> tuple[list[float], int]:
    """When utterances began, and how many bytes they had."""
    ear = Ear(vad, Gate(), lambda at, _: UtteranceStarted(UtteranceId("u"), 1, at))
    events: list[GateEvent] = ear.hear(Block(pcm, 0, 0.0))
    began = [event.at for event in events if isinstance(event, UtteranceStarted)]
    return began, sum(len(event.pcm) for event in events if isinstance(event, UtteranceAudio))


def test_an_utterance_that_the_second_stage_refuses_is_never_sent() -> None:
    pcm = sound(NOISE, 4000) + sound(VOICE, 3000) + sound(NOISE, 1000)
    assert started_and_heard(two_stage(Ears(deaf=True)), pcm) == ([], 0)


def test_noise_behind_speech_does_not_hold_the_gate_open() -> None:
    # In the first second everything stands out, so it begins with silence.
    pcm = bytes(FRAME * 100) + sound(VOICE, 1000) + sound(NOISE // 3, 20_000)
    began, heard = started_and_heard(two_stage(Ears()), pcm)
    assert len(began) == 1
    assert heard / 32 < 300 + 1000 + TRUSTED_MS + LENT_MS + 600


def test_it_goes_on_from_where_another_was() -> None:
    pcm = sound(NOISE, 4000) + sound(VOICE, 500) + sound(NOISE, 3000)
    one = real()
    verdicts(one, pcm)
    state = one.state()
    assert state is not None
    other = real()
    other.restore(state)
    more = sound(VOICE, 500, seed=2) + sound(NOISE, 9000, seed=2)
    assert verdicts(other, more) == verdicts(one, more)
    assert other.state() == one.state()


def test_while_the_model_is_awake_it_cannot_say_where_it_is() -> None:
    vad = real()
    verdicts(vad, sound(NOISE, 4000) + sound(VOICE, 500))
    assert vad.state() is None


def test_the_memory_of_another_kind_of_gate_is_refused() -> None:
    with_model, without = real(), TwoStage(WebRtcVad(2), Floor(FRAME_MS), None, FRAME_MS)
    state = without.state()
    assert state is not None
    with pytest.raises(ValueError, match=r"without scribed\[neural\]"):
        with_model.restore(state)
    with pytest.raises(ValueError, match="not how a gate of two stages remembers"):
        with_model.restore(b"42")


def real() -> TwoStage:
    """With webrtcvad in front."""
    confirmation = Confirmation(Ears(), CHUNK, FRAME_MS)
    return TwoStage(WebRtcVad(0), Floor(FRAME_MS), confirmation, FRAME_MS)


def test_frames_that_the_second_stage_refuses_are_counted_and_no_others() -> None:
    def ear(vad: TwoStage | AnySound) -> Ear:
        return Ear(vad, Gate(), lambda at, _: UtteranceStarted(UtteranceId("u"), 1, at))

    judged, plain = ear(two_stage()), ear(AnySound())
    pcm = sound(NOISE, 4000) + bytes(FRAME * 100)
    refused = verdicts(two_stage(), pcm).count(Verdict.FAINT.value)
    for each in (judged, plain):
        each.hear(Block(pcm, 0, 0.0))
    assert judged.refused_frames == refused > 100
    assert plain.refused_frames == 0
