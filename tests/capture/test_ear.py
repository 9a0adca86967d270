"""VAD, gate, levels and mailboxes together: whatever the settings, an utterance is whole."""

from __future__ import annotations

import itertools
import select
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribed.capture.ear import Ear
from scribed.capture.gate import Gate
from scribed.capture.posting import SETTLING, Posting
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceAudio,
    UtteranceCut,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.worker import Budget, Mailbox
from tests.capture.rig import AnySound, Files


def test_levels_are_those_of_the_utterance_however_much_is_heard_at_once() -> None:
    loud, faint = b"\x00\x40" * RATE, b"\x00\x01" * RATE
    ear = Ear(AnySound(), Gate(), lambda at, _: UtteranceStarted(UtteranceId("u"), 1, at))
    events = ear.hear(Block(loud + bytes(RATE * 2) + faint + bytes(RATE * 2), 0, 0.0))
    levels = [round(e.level_dbfs or 0) for e in events if isinstance(e, UtteranceEnded)]
    assert levels == [-6, -42]


# Extreme settings: the least and the most that `[vad]` takes, and all between


def key(least: float, most: float) -> st.SearchStrategy[int]:
    """A value of a key: its ends above all."""
    return st.one_of(st.sampled_from([int(least), int(most)]), st.integers(int(least), int(most)))


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    start_ms = draw(key(10, 1000))
    return Gate(
        frame_ms=draw(st.sampled_from([10, 20, 30])),
        pre_roll_ms=draw(key(0, 2000)),
        start_ms=start_ms,
        start_window_ms=draw(st.one_of(st.just(start_ms), key(10, 2000))),
        hangover_ms=draw(key(100, 5000)),
        early_commit_ms=draw(st.one_of(st.just(0), key(10, 5000))),
        min_utterance_ms=draw(key(0, 2000)),
        max_utterance_s=draw(st.sampled_from([5.0, 5.01, 28.0])),
    )


sounds = st.lists(
    st.tuples(
        st.sampled_from(["voice", "every other frame", "one in nine", "silence", "lost"]),
        st.integers(1, 400),
    ),
    min_size=1,
    max_size=12,
)
PATTERNS = {
    "voice": [True],
    "every other frame": [True, False],
    "one in nine": [True] + [False] * 8,
    "silence": [False],
}


Script = list[tuple[str, int]]


def blocks(gate: Gate, script: Script, per_block: int) -> Iterator[Block]:
    """The sound of `script`: each voiced frame bears its number, counted from 1."""
    frame_bytes = pcm_bytes(gate.frame_ms)
    position = 0
    numbers = itertools.count(1)
    for kind, frames in script:
        if kind == "lost":
            position += frames * frame_bytes // SAMPLE_BYTES
            continue
        pattern = itertools.cycle(PATTERNS[kind])
        for first in range(0, frames, per_block):
            pcm = b"".join(
                next(numbers).to_bytes(4, "little") * (frame_bytes // 4)
                if next(pattern)
                else bytes(frame_bytes)
                for _ in range(min(per_block, frames - first))
            )
            yield Block(pcm, position, position / RATE)
            position += len(pcm) // SAMPLE_BYTES


def voiced(gate: Gate, audio: bytes | bytearray) -> list[int]:
    """The numbers of the voiced frames in `audio`."""
    starts = range(0, len(audio), pcm_bytes(gate.frame_ms))
    return [number for n in starts if (number := int.from_bytes(audio[n : n + 4], "little"))]


def an_ear(gate: Gate) -> Ear:
    identities = itertools.count()
    return Ear(
        AnySound(),
        gate,
        lambda at, continues: UtteranceStarted(
            UtteranceId(f"u{(n := next(identities))}"), n, at, continues=continues
        ),
    )


@settings(max_examples=60)
@given(gates(), sounds, st.integers(1, 50))
def test_whatever_the_settings_the_gate_loses_and_doubles_nothing_of_an_utterance(
    gate: Gate, script: Script, per_block: int
) -> None:
    ear = an_ear(gate)
    events = [event for block in blocks(gate, script, per_block) for event in ear.hear(block)]
    events += ear.close(EndReason.SHUTDOWN)

    most = gate.frames(gate.max_utterance_s * 1000)
    seen: list[int] = []
    open_id, frames = None, 0
    for event in events:
        match event:
            case UtteranceStarted(id=id):
                assert open_id is None
                open_id, frames = id, 0
            case UtteranceHeld(id=id) | UtterancePaused(id=id) | UtteranceResumed(id=id):
                assert id == open_id
            case UtteranceAudio(id=id, pcm=audio):
                assert id == open_id
                frames += len(audio) // pcm_bytes(gate.frame_ms)
                seen += voiced(gate, audio)
            case UtteranceEnded(id=id, audio_ms=audio_ms):
                assert id == open_id
                assert 0 < audio_ms <= frames * gate.frame_ms
                assert frames <= most
                open_id = None
    assert open_id is None
    assert seen == sorted(set(seen))


# What is handed on


class Desk:
    """Mailboxes that capture's `Posting` fills, and what the store makes of its own."""

    def __init__(self, store_limit: int = 1 << 20, chunk_ms: int = 100) -> None:
        self.store: Mailbox[Any] = Mailbox(SETTLING + store_limit)
        self.uplink: Mailbox[Any] = Mailbox(1 << 20)
        self.delivery: Mailbox[Any] = Mailbox(1 << 20)
        self.budget = Budget(1 << 30)
        self.posting = Posting(
            store=self.store,
            uplink=self.uplink,
            delivery=self.delivery,
            budget=self.budget,
            chunk_bytes=pcm_bytes(chunk_ms),
        )
        self.files = Files()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        for mailbox in (self.store, self.uplink, self.delivery):
            mailbox.close()

    def write(self) -> list[Any]:
        """Let the store do what it was told; return that."""
        items = self.store.drain()
        for item in items:
            self.files.take(item)
        return items


@settings(max_examples=60)
@given(gates(), sounds, st.integers(1, 50), st.sampled_from([20, 100, 1000]))
def test_whatever_the_settings_a_kill_at_any_moment_costs_nothing_that_was_handed_on(
    gate: Gate, script: Script, per_block: int, chunk_ms: int
) -> None:
    ear = an_ear(gate)
    heard = 0
    ends: dict[UtteranceId, int] = {}
    with Desk(chunk_ms=chunk_ms) as desk:

        def write() -> None:
            for item in desk.store.drain():
                match item:
                    case UtteranceAudio(pcm=pcm) | UtteranceHeld(pcm=pcm):
                        assert len(pcm) <= pcm_bytes(min(chunk_ms, 100))
                    case UtteranceCut(id=id, nbytes=nbytes):
                        following = list(desk.files.audio.values())[-1]
                        gone = voiced(gate, desk.files.audio[id][-nbytes:])
                        assert voiced(gate, following)[: len(gone)] == gone
                    case _:
                        assert isinstance(item, UtteranceStarted | UtteranceEnded)
                desk.files.take(item)
                if isinstance(item, UtteranceEnded):
                    ends[item.id] = len(desk.files.audio[item.id])

        for block in blocks(gate, script, per_block):
            desk.posting.post(ear.hear(block))
            write()
            heard = max([heard, *voiced(gate, block.pcm)])
            if ear.is_open:  # to the last frame
                kept = voiced(gate, list(desk.files.audio.values())[-1])
                assert kept == list(range(kept[0], heard + 1))
        desk.posting.post(ear.close(EndReason.SHUTDOWN))
        write()

        sent = desk.uplink.drain()
        assert desk.files.audio == Files(no_pauses(sent)).audio
        assert ends == {each: len(audio) for each, audio in desk.files.audio.items()}
        assert desk.budget.used == sum(map(len, desk.files.audio.values()))
        told = [item for item in sent if isinstance(item, UtteranceStarted | UtteranceEnded)]
        assert desk.delivery.drain() == told
        assert_pauses_are_silent(gate, sent)
        for started in told:
            if isinstance(started, UtteranceStarted) and started.continues is not None:
                before = voiced(gate, desk.files.audio[started.continues])
                after = voiced(gate, desk.files.audio[started.id])
                assert before[-1] + 1 == after[0]


@pytest.mark.parametrize(("chunk_ms", "wakes_at"), [(100, [1, 2, 3, 4, 5]), (250, [2, 5])])
def test_who_sends_chunks_is_woken_for_each_and_at_once_for_all_else(
    chunk_ms: int, wakes_at: list[int]
) -> None:
    said_by, pcm = UtteranceId("1"), bytes(pcm_bytes(100))
    with Desk(chunk_ms=chunk_ms) as desk:

        def woken() -> bool:
            was_woken = bool(select.select([desk.uplink], [], [], 0)[0])
            if was_woken:
                desk.uplink.drain()
            return was_woken

        # an opening wakes everybody, and may leave what is no chunk
        left = UtteranceAudio(said_by, bytes(pcm_bytes(60)))
        desk.posting.post([UtteranceStarted(said_by, 1, 0.0), left])
        assert woken()
        said = []
        for n in range(1, 6):
            desk.posting.post([UtteranceAudio(said_by, pcm)])
            said += [n] if woken() else []
        assert said == wakes_at
        assert len(desk.store) == 7
        desk.posting.post([UtteranceEnded(said_by, 0.5, EndReason.COMMIT, 500, 0)])
        assert woken()


def no_pauses(sent: list[Any]) -> list[Any]:
    """What the uplink was given that the store is given, too."""
    return [item for item in sent if not isinstance(item, UtterancePaused | UtteranceResumed)]


def assert_pauses_are_silent(gate: Gate, sent: list[Any]) -> None:
    """From a pause to where it resumes, or to the end, nothing is said; then something is."""
    paused, resumed = None, False
    for item in sent:
        match item:
            case UtterancePaused(id=id):
                assert paused is None
                assert not resumed
                paused = id
            case UtteranceResumed(id=id):
                assert paused == id
                paused, resumed = None, True
            case UtteranceAudio(id=id, pcm=pcm):
                assert paused in (None, id)
                said = voiced(gate, pcm)
                assert not (paused and said)
                assert not resumed or said
                resumed = False
            case _:
                assert not resumed
                paused = None


def test_pauses_are_for_the_uplink_alone_in_their_place_among_the_audio() -> None:
    gate = Gate(early_commit_ms=200)
    talk = [("voice", 40), ("silence", 15), ("voice", 10), ("silence", 30)]
    ear = an_ear(gate)
    with Desk() as desk:
        order: list[tuple[str, int]] = []
        for block in blocks(gate, talk, 5):
            desk.posting.post(ear.hear(block))
            desk.write()
            for item in desk.uplink.drain():
                audio = len(item.pcm) // 640 if isinstance(item, UtteranceAudio) else 0
                if audio and order[-1][0] == "UtteranceAudio":
                    audio += order.pop()[1]
                order.append((type(item).__name__, audio))
        assert order == [
            ("UtteranceStarted", 0),
            ("UtteranceAudio", 50),
            ("UtterancePaused", 0),
            ("UtteranceAudio", 5),
            ("UtteranceResumed", 0),
            ("UtteranceAudio", 20),
            ("UtterancePaused", 0),
            ("UtteranceAudio", 15),
            ("UtteranceEnded", 0),
        ]
        assert len(desk.delivery.drain()) == 2


CUT = Gate(pre_roll_ms=0, max_utterance_s=5.0)
TALK = [("voice", 210), ("silence", 10), ("voice", 60)]  # the cut is in the pause, at 4.2 s


def test_the_next_utterance_is_with_the_store_before_the_one_that_was_cut_is_shortened() -> None:
    ear = an_ear(CUT)
    with Desk() as desk:
        order: list[str] = []
        for block in blocks(CUT, TALK, 5):
            desk.posting.post(ear.hear(block))
            for item in desk.write():
                told = f"{type(item).__name__} {item.id}"
                order += [told] if told not in order[-1:] else []
        assert order == [
            "UtteranceStarted u0",
            "UtteranceAudio u0",
            "UtteranceHeld u0",
            "UtteranceStarted u1",
            "UtteranceAudio u1",
            "UtteranceCut u0",
            "UtteranceEnded u0",
            "UtteranceAudio u1",
        ]
        assert [item.id for item in desk.delivery.drain()] == ["u0", "u0", "u1"]


def test_an_utterance_of_which_a_stuck_store_lacks_a_piece_is_never_sealed_there() -> None:
    ear = an_ear(CUT)
    with Desk(store_limit=3) as desk:
        script = [("voice", 40), ("silence", 30), ("voice", 40), ("silence", 30)]
        taken: list[list[str]] = []
        for n, block in enumerate(blocks(CUT, script, 5)):
            desk.posting.post(ear.hear(block))
            if n in (13, 27):  # after each of the two
                taken.append([f"{type(item).__name__} {item.id}" for item in desk.store.drain()])
        assert taken[0] == ["UtteranceStarted u0", "UtteranceAudio u0", "UtteranceAudio u0"]
        assert taken[1] == ["UtteranceStarted u1", "UtteranceAudio u1", "UtteranceAudio u1"]
        ends = [item.id for item in desk.uplink.drain() if isinstance(item, UtteranceEnded)]
        assert ends == ["u0", "u1"]


def test_what_a_stuck_store_did_not_take_of_what_is_held_back_it_gets_later_and_in_order() -> None:
    ear = an_ear(CUT)
    with Desk(store_limit=35) as desk:  # the opening, 3 s, and 400 ms of what is held
        for n, block in enumerate(blocks(CUT, TALK, 5)):
            desk.posting.post(ear.hear(block))
            if n == 36:
                assert len(desk.write()) == 35
        desk.posting.post(ear.close(EndReason.FLUSH))
        desk.write()
        assert desk.files.audio == Files(desk.uplink.drain()).audio
