"""In a lull an ear leaves most for later: nobody can tell by what it decides, and says of it."""

from __future__ import annotations

import random
from array import array

from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.ear import LULL_PARTS, Ear
from scribed.capture.floor import Floor
from scribed.capture.gate import Gate, GateEvent
from scribed.capture.trace import Witness
from scribed.capture.two_stage import Confirmation, TwoStage
from scribed.capture.vad import WebRtcVad
from scribed.interfaces import Vad
from scribed.model import (
    RATE,
    Block,
    EndReason,
    UtteranceAudio,
    UtteranceId,
    UtteranceStarted,
    Verdict,
)
from tests.capture.rig import AnySound
from tests.capture.test_two_stage import CHUNK, FRAME, FRAME_MS, Ears

AMPLITUDES = (0, 2, 40, 300, 4000, 12_000)

Doing = tuple[str, int, int]
"""What is done to an ear: what is heard, so many frames at this amplitude; or something else."""

doings = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.sampled_from(AMPLITUDES), st.integers(1, 60)),
        st.tuples(st.sampled_from(("close", "reset", "resume", "lose")), st.just(0), st.just(0)),
        st.tuples(st.just("miss"), st.just(0), st.integers(1, 12_000)),
    ),
    max_size=12,
)


class Onlooker(Witness):
    """Is told everything at once, so that nothing can be left for later."""

    wants_stand = False

    def stands(self, stand: object) -> None:
        """It does not ask."""

    def heard(self, block: object, decisions: object) -> None:
        """It keeps nothing."""

    def noted(self, notes: object) -> None:
        """Nor that."""


def ear(vad: Vad, witness: Witness | None = None) -> Ear:
    numbers = iter(range(10_000))

    def identify(at: float, continues: UtteranceId | None) -> UtteranceStarted:
        number = next(numbers)
        return UtteranceStarted(UtteranceId(str(number)), number, at, continues=continues)

    return Ear(vad, Gate(), identify, silent_s=1.0, witness=witness)


def sound(amplitude: int, frames: int, seed: int) -> bytes:
    rng = random.Random(seed)
    samples = (rng.randint(-amplitude, amplitude) for _ in range(frames * FRAME // 2))
    return array("h", samples).tobytes()


def told(to: Ear, doings: list[Doing], parts: list[int]) -> list[object]:
    """All that comes of it, and how it stands when it has been closed: what it hears comes in
    blocks of so many frames, over and over."""
    position, said, block = 0, [], 0
    for n, (what, amplitude, amount) in enumerate(doings):
        match what:
            case "hear":
                pcm = sound(amplitude, amount, n)
                while pcm:
                    size = parts[block % len(parts)] * FRAME
                    block += 1
                    part, pcm = pcm[:size], pcm[size:]
                    said += to.hear(Block(part, position, position / RATE))
                    position += len(part) // 2
            case "miss":
                position += amount
            case "close":
                said += to.close(EndReason.FLUSH)
            case "reset":
                to.reset()
            case "resume":
                to.resume()
            case _:
                to.lose()
    said += to.close(EndReason.FLUSH)
    levels = to.level_dbfs, to.noise_floor_dbfs, to.sound, to.refused_frames
    return [*joined(said), levels]


def joined(events: list[GateEvent]) -> list[object]:
    """Audio as one, however it was cut."""
    found: list[object] = []
    for event in events:
        last = found[-1] if found else None
        both = isinstance(event, UtteranceAudio) and isinstance(last, UtteranceAudio)
        if both and isinstance(event, UtteranceAudio) and isinstance(last, UtteranceAudio):
            found[-1] = UtteranceAudio(event.id, last.pcm + event.pcm)
        else:
            found.append(event)
    return found


def two_stage(*, neural: bool) -> TwoStage:
    confirmation = Confirmation(Ears(), CHUNK, FRAME_MS) if neural else None
    return TwoStage(WebRtcVad(2), Floor(FRAME_MS), confirmation, FRAME_MS)


@given(doings, st.lists(st.integers(1, 7), min_size=1, max_size=5), st.sampled_from(range(4)))
def test_it_decides_the_same_as_if_it_had_looked_at_once(
    doings: list[Doing], parts: list[int], kind: int
) -> None:
    def vad() -> Vad:
        vads: list[Vad] = [AnySound(), WebRtcVad(2), two_stage(neural=False)]
        return vads[kind] if kind < len(vads) else two_stage(neural=True)

    assert told(ear(vad()), doings, parts) == told(ear(vad(), Onlooker()), doings, parts)


@given(
    st.lists(st.tuples(st.sampled_from(AMPLITUDES), st.integers(1, 40)), max_size=8),
    st.booleans(),
)
def test_frames_are_judged_together_as_one_by_one(
    sounds: list[tuple[int, int]], neural: bool
) -> None:
    together, singly = two_stage(neural=neural), two_stage(neural=neural)
    for n, (amplitude, frames) in enumerate(sounds):
        pcm = sound(amplitude, frames, n)
        verdicts = together.judge(pcm, FRAME, together.ask(pcm, FRAME))
        each = [singly(pcm[at : at + FRAME]) for at in range(0, len(pcm), FRAME)]
        assert [verdict is Verdict.VOICED for verdict in verdicts] == each


def test_what_is_said_of_the_sound_is_half_a_second_old_at_most() -> None:
    listening, part = ear(AnySound()), bytes(5 * FRAME)
    for n in range(LULL_PARTS):
        assert listening.hear(Block(part, n * 1600, n / 10)) == []
        assert listening.level_dbfs is None
    listening.hear(Block(part, LULL_PARTS * 1600, LULL_PARTS / 10))
    assert listening.level_dbfs is not None
    assert listening.sound.still_s == (LULL_PARTS + 1) / 10
