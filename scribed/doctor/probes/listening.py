"""Listens on the microphone for a moment: a process of its own, `python -m` this module.

A sound server that hangs, or a library that crashes, then ends this process and no examination. It
reads `[audio]` as JSON from standard input and prints what it heard, or why not.
"""

from __future__ import annotations

import dataclasses
import select
import sys
import time

import msgspec

from scribed.capture.sources.alsa import AlsaSource
from scribed.capture.sources.finding import Finding
from scribed.capture.vad import WebRtcVad
from scribed.config import Audio
from scribed.doctor.sound import Listened
from scribed.errors import SourceError
from scribed.model import pcm_bytes

LISTEN_S = 1.5
_SETTLE_S = 0.3
"""Many adapters click when they start."""
_WAIT_MS = 100
_AGGRESSIVENESS = 2


class Answer(msgspec.Struct, frozen=True):
    """One of the two."""

    heard: Listened | None = None
    problem: str = ""


def listen(audio: Audio) -> Answer:
    """Hear the device for `LISTEN_S`."""
    try:
        source = AlsaSource(audio)
    except SourceError as exc:
        return Answer(problem=str(exc))
    try:
        return Answer(heard=_hear(source, audio.frame_ms))
    except SourceError as exc:
        return Answer(problem=str(exc))
    finally:
        source.close()


def _hear(source: AlsaSource, frame_ms: int) -> Listened:
    device = source.device
    finding, vad = Finding([device.name], frame_ms), WebRtcVad(_AGGRESSIVENESS)
    poll, size = select.poll(), pcm_bytes(frame_ms)
    for fd, events in source.pollable():
        poll.register(fd, events)
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < _SETTLE_S + LISTEN_S:
        poll.poll(_WAIT_MS)
        block = source.read()
        pcm = block.pcm if block and passed >= _SETTLE_S else b""
        for start in range(0, len(pcm), size):
            frame = pcm[start : start + size]
            finding.hear(device.name, frame, voiced=vad(frame))
        if block is None:
            time.sleep(_WAIT_MS / 1000)  # some PCMs are always readable
    heard = finding.heard(device.name)
    return Listened(
        device.name,
        device.rate,
        device.channels,
        LISTEN_S,
        heard.quiet_dbfs,
        heard.peak_dbfs,
        heard.speech_ms,
    )


def main() -> None:
    """Answer the question on standard input."""
    audio = msgspec.json.decode(sys.stdin.buffer.read(), type=Audio)
    answer = listen(audio)
    heard = answer.heard and dataclasses.asdict(answer.heard)
    sys.stdout.write(msgspec.json.encode({"heard": heard, "problem": answer.problem}).decode())


if __name__ == "__main__":
    main()
