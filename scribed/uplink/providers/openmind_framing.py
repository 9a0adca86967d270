"""How audio is packed for OpenMind: in JSON as documented, or in binary frames. Pure.

Facts: OpenMind's API reference; for the binary frame OM1's Go client of 2026 (`packageAudio`).
"""

from __future__ import annotations

import binascii

import msgspec

from scribed.config import ProviderSection
from scribed.model import RATE, pcm_bytes, seconds
from scribed.uplink.providers.chunking import OPENMIND_MAX_BYTES, chunk_bytes, chunks
from scribed.uplink.providers.openmind_route import language


class Framing:
    """The audio of one connection, as messages of a chunk or more; none is without audio."""

    def __init__(self, settings: ProviderSection) -> None:
        said: dict[str, str | int] = {"rate": RATE}
        if (code := language(settings)) is not None:
            said["language_code"] = code
        header = msgspec.json.encode(said)
        self._binary = settings.openmind.framing == "binary"
        self._prefix = len(header).to_bytes(4, "big") + header
        self._said = "," + header[1:-1].decode()  # in the first message of a connection
        self._chunk_bytes = chunk_bytes(settings)
        self._silence = bytes(pcm_bytes(settings.openmind.trailing_silence_ms))
        self._waiting = b""  # less than a chunk
        self._sent_bytes = 0

    def audio(self, pcm: bytes) -> list[str | bytes]:
        """The messages for all that there is with `pcm`, where that is a chunk: what is left over
        of one would be late by the length of the next."""
        self._waiting += pcm
        return self._messages() if len(self._waiting) >= self._chunk_bytes else []

    def end(self) -> list[str | bytes]:
        """The messages for what is left, and for the silence behind it."""
        self._waiting += self._silence
        return self._messages()

    def sent_s(self) -> float:
        """Seconds of audio in all messages so far."""
        return seconds(self._sent_bytes)

    def _messages(self) -> list[str | bytes]:
        pcm, self._waiting = self._waiting, b""
        self._sent_bytes += len(pcm)
        return [self._message(chunk) for chunk in chunks(pcm, OPENMIND_MAX_BYTES)]

    def _message(self, pcm: bytes) -> str | bytes:
        if self._binary:
            return self._prefix + pcm
        # Written by hand: base64 needs no escaping, and this is the hot path.
        audio = binascii.b2a_base64(pcm, newline=False).decode("ascii")
        said, self._said = self._said, ""
        return f'{{"audio":"{audio}"{said}}}'
