"""What the gate decides is told frame by frame, and hearing it again decides the same."""

from __future__ import annotations

import itertools
import random
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.capture.ear import Ear
from scribed.capture.gate import Gate
from scribed.capture.recorder import Recorder
from scribed.capture.replaying import Notebook, new_ear, replay
from scribed.capture.vad import STATE_BYTES, WebRtcVad
from scribed.interfaces import Vad
from scribed.model import (
    Block,
    CommandError,
    Device,
    EndReason,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.recording import Decisions, Record, Recording, decode, encode, utterances

MICROPHONE = Device("hw:CARD=Mic", 48_000, 2, "open")
T = "2026-06-01T09:30:02.000Z"


class Voices:
    """A `Vad` that hears a voice in every frame that begins with something, and counts them: what
    it remembers is of no use, but for being remembered."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, frame: bytes) -> bool:
        self.heard += 1
        return frame[0] > 0

    def reset(self) -> None:
        self.heard = 0

    def state(self) -> bytes:
        return str(self.heard).encode()

    def restore(self, state: bytes) -> None:
        self.heard = int(state)


def sound(pattern: str, frame_ms: int = 20) -> bytes:
    """A frame for each letter: `#` a voice, `.` none."""
    size = pcm_bytes(frame_ms)
    return b"".join(b"\1" * size if letter == "#" else bytes(size) for letter in pattern)


def heard(gate: Gate, pattern: str) -> str:
    notebook = Notebook()
    ear = new_ear(Voices(), gate, notebook)
    ear.hear(Block(sound(pattern), 0, 0.0))
    return notebook.decisions.text


def test_each_frame_has_a_mark_and_what_happened_is_noted() -> None:
    gate = Gate(pre_roll_ms=40, start_ms=40, start_window_ms=60, hangover_ms=100)
    lines = heard(gate, "....##.#" + "#" * 8 + "........").split("\n")
    assert lines == [
        "....##.#########........",
        ".....????===========....",
        "9 open 8",
        "20 end commit 280 0",
        "",
    ]


def numbered_ear(vad: Vad, gate: Gate, flight: Recorder) -> Ear:
    """An ear that a flight recorder watches."""
    numbers = itertools.count(1)

    def identify(at: float, continues: UtteranceId | None) -> UtteranceStarted:
        seq = next(numbers)
        return UtteranceStarted(UtteranceId(f"u{seq}"), seq, at, continues=continues)

    return Ear(vad, gate, identify, witness=flight)


def recorder(seconds: float = 3.0, on: tuple[str, ...] = ("command", "false_opening")) -> Recorder:
    return Recorder(seconds, on, {"audio.frame_ms": 20, "vad.hangover_ms": 200}, "1.2.3")


def taken(flight: Recorder, asked: Record | None = None) -> Recording:
    recording = flight.take(asked or Record("command", "", COMMAND), MICROPHONE)
    assert isinstance(recording, Recording), recording
    flight.kept()
    return recording


COMMAND: Any = object()
"""Somebody who waits for an answer."""

FROM_OUTSIDE = [EndReason.FLUSH, EndReason.GATED, EndReason.GAP, EndReason.DEVICE_LOST]
ACTS = st.one_of(
    st.tuples(st.just("hear"), st.text("##...", min_size=1, max_size=40)),
    st.tuples(st.just("lose"), st.integers(1, 9000)),
    st.tuples(st.just("close"), st.sampled_from(FROM_OUTSIDE)),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("resume"), st.none()),
)


@settings(deadline=None)
@given(
    acts=st.lists(ACTS, min_size=1, max_size=40),
    early_ms=st.sampled_from([0, 100]),
    maximum_s=st.sampled_from([5.0, 2.5, 28.0]),
    kept_s=st.sampled_from([0.5, 3.0, 60.0]),
    frame_ms=st.sampled_from([10, 20, 30]),
)
def test_whatever_was_heard_and_done_a_recording_heard_again_gives_each_byte(
    acts: list[tuple[str, Any]], early_ms: int, maximum_s: float, kept_s: float, frame_ms: int
) -> None:
    gate = Gate(
        frame_ms=frame_ms,
        hangover_ms=200,
        early_commit_ms=early_ms,
        max_utterance_s=maximum_s,
    )
    flight = Recorder(kept_s, ("command",), {"audio.frame_ms": frame_ms}, "1.2.3")
    ear = numbered_ear(Voices(), gate, flight)
    position = 0
    for act, what in acts:
        if act == "hear":
            pcm = sound(what, frame_ms)
            ear.hear(Block(pcm, position, position / 16_000))
            position += len(pcm) // 2
        elif act == "lose":
            position += what
        elif act == "close":
            ear.close(what)
        elif act == "reset":
            ear.reset()
        else:
            ear.resume()
    if isinstance(flight.take(Record("command", "", COMMAND), MICROPHONE), CommandError):
        return
    flight.kept()
    recording = taken(flight)
    assert len(recording.pcm) <= kept_s * 32_000 + pcm_bytes(100 + 1000)
    found = decode(encode(recording, T))
    assert found is not None
    again, t = found
    assert t == T
    assert again.decisions == recording.decisions
    if recording.stand is not None:
        assert replay(again, Voices(), gate).text == recording.decisions.text


def noise(frames: int, seed: int, level: int = 900) -> bytes:
    """Noise that comes and goes, so that webrtcvad is never quite sure."""
    draw = random.Random(seed)
    samples = array("h")
    for frame in range(frames):
        loud = level * (frame // 37 % 3 == 1) + 8
        previous = 0.0
        for _ in range(320):
            previous = 0.9 * previous + draw.gauss(0, loud)
            samples.append(max(-32_000, min(32_000, round(previous))))
    return samples.tobytes()


def test_webrtcvad_goes_on_from_where_another_one_was() -> None:
    pcm = noise(600, 1)
    frames = [pcm[at : at + 640] for at in range(0, len(pcm), 640)]
    first = WebRtcVad(2)
    for frame in frames[:300]:
        first(frame)
    state = first.state()
    assert state is not None
    assert len(state) == STATE_BYTES
    expected = [first(frame) for frame in frames[300:]]
    assert {True, False} == set(expected)
    second = WebRtcVad(2)
    second.restore(state)
    assert [second(frame) for frame in frames[300:]] == expected
    assert second.state() == first.state()


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not how this webrtcvad"):
        WebRtcVad(2).restore(b"42")


def test_with_the_real_vad_a_recording_from_the_middle_gives_the_same() -> None:
    pcm, gate = noise(1500, 2), Gate(hangover_ms=300)
    flight = Recorder(8.0, ("command",), {"audio.frame_ms": 20}, "1.2.3")
    ear = numbered_ear(WebRtcVad(2), gate, flight)
    for at in range(0, len(pcm), 3200):
        ear.hear(Block(pcm[at : at + 3200], at // 2, at / 32_000))
    recording = taken(flight)
    assert recording.stand is not None
    assert "open" in recording.decisions.text
    assert replay(recording, WebRtcVad(2), gate).text == recording.decisions.text
    longer = replay(recording, WebRtcVad(2), Gate(hangover_ms=600))
    assert longer.text.count("end") > 0
    assert longer.text != recording.decisions.text


def test_nothing_is_recorded_twice_unless_somebody_asks() -> None:
    flight = recorder(1.0, ("command", "false_opening", "error"))
    ear = new_ear_for(flight)
    assert isinstance(flight.take(Record("command", "", COMMAND), MICROPHONE), CommandError)
    ear.hear(Block(sound("." * 100), 0, 0.0))
    assert isinstance(flight.take(Record("hunch"), MICROPHONE), CommandError)
    assert taken(flight, Record("false_opening", "17")).about == "17"
    refused = flight.take(Record("false_opening", "18"), MICROPHONE)
    assert isinstance(refused, CommandError)
    assert "is recorded" in refused.message
    first = flight.take(Record("command", "", COMMAND), MICROPHONE)
    assert isinstance(first, Recording)
    error = Record("error", "no_device")
    assert isinstance(flight.take(error, MICROPHONE), CommandError)
    busy = flight.take(Record("command", "", COMMAND), MICROPHONE)
    assert isinstance(busy, CommandError)
    assert busy.code == "busy"
    assert flight.kept() == error, "who came in the meantime has not asked in vain"
    assert isinstance(flight.take(error, MICROPHONE), Recording)
    assert flight.kept() is None


def test_a_wipe_leaves_nothing() -> None:
    flight = recorder()
    ear = new_ear_for(flight)
    ear.hear(Block(sound("#" * 100), 0, 0.0))
    flight.wipe()
    assert isinstance(flight.take(Record("command", "", COMMAND), MICROPHONE), CommandError)
    ear.hear(Block(sound("." * 10), 1600 * 20, 2.0))
    assert taken(flight).pcm == sound("." * 10)


def test_what_is_no_recording_and_what_was_cut_is_told_apart() -> None:
    flight = recorder()
    ear = new_ear_for(flight)
    ear.hear(Block(sound("." * 30), 0, 0.0))
    whole = encode(taken(flight), T)
    assert decode(b"RIFF") is None
    assert decode(whole.replace(b"scrd", b"LIST")) is None
    with pytest.raises(ValueError, match="it was cut"):
        decode(whole[:-1000])
    with pytest.raises(ValueError, match="later version"):
        decode(whole.replace(b'"v":1', b'"v":2'))
    with pytest.raises(ValueError, match="cannot be read"):
        decode(whole.replace(b'"v":1', b'"v":['))


@pytest.mark.parametrize(
    "words",
    [
        "lost",
        "lost much",
        "close",
        "close door",
        "open",
        "open 1 2",
        "end commit",
        "end x 1 2",
    ],
)
def test_a_note_that_nobody_wrote_is_refused(words: str) -> None:
    flight = recorder()
    new_ear_for(flight).hear(Block(sound("." * 30), 0, 0.0))
    recording = taken(flight)
    decisions = replace(recording.decisions, notes=((3, words),))
    with pytest.raises(ValueError, match="is no note"):
        decode(encode(replace(recording, decisions=decisions), T))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_whatever_is_in_the_file_it_is_heard_or_refused_in_words(data: st.DataObject) -> None:
    """No answer but `ValueError` and one that has a decision for each frame."""
    flight = recorder(30.0)
    ear = new_ear_for(flight)
    ear.hear(Block(sound("." * 10 + "#" * 30 + "." * 20), 0, 0.0))
    content = bytearray(encode(taken(flight), T))
    end = content.index(b"data")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(44, end - 1))
        content[at] = data.draw(st.sampled_from(b'0123456789-.#=?~x e\n{}[],"truefalsn'))
    try:
        found = decode(bytes(content))
        if found is None:
            return
        recording = found[0]
        utterances(recording.decisions, recording.frame_ms)
        gate = Gate(frame_ms=recording.frame_ms, hangover_ms=200)
        again = replay(recording, Voices(), gate)
    except ValueError:
        return
    assert len(again.voices) == len(again.gate) == len(recording.decisions.gate)


def test_an_utterance_that_is_open_from_end_to_end_is_one_and_so_is_one_that_is_closed() -> None:
    began = {"start_ms": None, "end_ms": None, "reason": None, "audio_ms": None}
    assert utterances(Decisions("##", "=="), 20) == [began]
    cut = Decisions("##", "=.", ((1, "close muted"), (1, "end muted 500 0")))
    assert utterances(cut, 20) == [began | {"end_ms": 20, "reason": "muted", "audio_ms": 500}]
    assert utterances(Decisions("..", ".."), 20) == []
    told = utterances(Decisions("##", "?=", ((0, "lost 9"), (1, "open 2"))), 20)
    assert told == [began | {"start_ms": 0}]


def test_another_vad_cannot_go_on_but_may_begin_anew() -> None:
    flight = recorder(30.0)
    ear = new_ear_for(flight)
    ear.hear(Block(sound("." * 60 + "#" * 30), 0, 0.0))
    recording = taken(flight)
    with pytest.raises(ValueError, match="not how this webrtcvad"):
        replay(recording, WebRtcVad(2), Gate())
    found = replay(recording, WebRtcVad(2), Gate(), alike=False)
    assert len(found.gate) == len(recording.decisions.gate)


def test_what_was_heard_by_other_settings_is_of_no_recording_with_the_new_ones() -> None:
    flight = recorder()
    ear = new_ear_for(flight)
    ear.hear(Block(sound("#" * 30), 0, 0.0))
    flight.retune({"audio.frame_ms": 20, "vad.hangover_ms": 200})
    assert taken(flight).decisions.voices == "#" * 30, "they are the same"
    flight.retune({"audio.frame_ms": 20, "vad.hangover_ms": 300})
    ear.hear(Block(sound("." * 10), 9600, 0.6))
    recording = taken(flight)
    assert (recording.pcm, recording.settings["vad.hangover_ms"]) == (sound("." * 10), 300)


def new_ear_for(flight: Recorder) -> Ear:
    return numbered_ear(Voices(), Gate(), flight)
