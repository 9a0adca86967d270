"""A real client of the simulator, and waiting for what must come."""

from __future__ import annotations

import array
import base64
import contextlib
import json
import math
import ssl
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from scribed.simulate.server import Server

PATIENCE_S = 10.0
SPEECH = Path(__file__).parents[3] / "shared" / "audio"


class Client:
    """One connection, blocking."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, pcm: bytes = b"", *, commit: bool = False) -> None:
        self.socket.send(
            json.dumps(
                {
                    "message_type": "input_audio_chunk",
                    "audio_base_64": base64.b64encode(pcm).decode(),
                    "commit": commit,
                    "sample_rate": 16_000,
                }
            )
        )

    def say(self, pcm: bytes) -> None:
        """Send 100 ms at a time, as fast as the socket takes it, and commit."""
        for start in range(0, len(pcm), 3200):
            self.send(pcm[start : start + 3200])
        self.send(commit=True)

    def next(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE_S))
        return frame

    def until(self, kind: str) -> dict[str, Any]:
        """Read on until a frame of this type."""
        while (frame := self.next())["message_type"] != kind:
            pass
        return frame

    def until_closed(self) -> tuple[list[dict[str, Any]], int, str]:
        """Read everything; return it with the close code and reason."""
        frames = []
        try:
            while True:
                frames.append(self.next())
        except ConnectionClosed:
            code, reason = self.socket.close_code, self.socket.close_reason
        return frames, code or 0, reason or ""


@contextlib.contextmanager
def session(
    server: Server,
    query: str = "",
    *,
    key: str | None = "a key",
    trust: ssl.SSLContext | None = None,
) -> Iterator[Client]:
    """Open a session and leave it."""
    with connect(
        f"{server.url}/v1/speech-to-text/realtime?{query}",
        additional_headers={} if key is None else {"xi-api-key": key},
        ssl=trust,
        open_timeout=PATIENCE_S,
        close_timeout=PATIENCE_S,
    ) as socket:
        yield Client(socket)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does, and fail if it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def voice(seconds: float) -> bytes:
    """A voice that WebRTC VAD takes for one in all its modes, 16 kHz mono s16le: a buzz of 130 Hz
    with eleven harmonics in syllables."""
    samples = array.array("h")
    for index in range(round(seconds * 16_000)):
        at = 2 * math.pi * index / 16_000
        buzz = sum(math.sin(130 * k * at) / k for k in range(1, 12))
        samples.append(int(3000 * (0.6 + 0.4 * math.sin(4 * at)) * buzz))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def speech(name: str) -> bytes:
    """Real speech, 16 kHz mono s16le; the test is skipped where the recordings are not."""
    path = SPEECH / f"{name}.wav"
    if not path.exists():
        pytest.skip(f"no recording {path}")
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())
