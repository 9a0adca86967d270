"""How audio is packed for OpenMind: in JSON as documented, or in binary frames. Pure.

Facts: OpenMind's API reference; for the binary frame OM1's Go client of 2026 (`packageAudio`).
"""

from __future__ import annotations

import binascii

import msgspec

from scribed.config import ProviderSection
from scribed.model import RATE, pcm_bytes, seconds
from scribed.uplink.providers.openmind_route import language

MAX_CHUNK_BYTES = 4096
"""Of audio in one message, as OpenMind advises: more is split, whatever `provider.chunk_ms`."""


class Framing:
    """The audio of one connection, as messages of one chunk each; none is without audio."""

    def __init__(self, settings: ProviderSection) -> None:
        said: dict[str, str | int] = {"rate": RATE}
        if (code := language(settings)) is not None:
            said["language_code"] = code
        header = msgspec.json.encode(said)
        self._binary = settings.openmind.framing == "binary"
        self._prefix = len(header).to_bytes(4, "big") + header
        self._said = "," + header[1:-1].decode()  # in the first message of a connection
        self._chunk_bytes = min(pcm_bytes(settings.chunk_ms), MAX_CHUNK_BYTES)
        self._silence = bytes(pcm_bytes(settings.openmind.trailing_silence_ms))
        self._buffer = bytearray()
        self._sent_bytes = 0

    def audio(self, pcm: bytes) -> list[str | bytes]:
        """The messages for all whole chunks that there are now."""
        self._buffer += pcm
        return self._messages(self._chunk_bytes)

    def end(self) -> list[str | bytes]:
        """The messages for what is left, and for the silence behind it."""
        self._buffer += self._silence
        return self._messages(1)

    def sent_s(self) -> float:
        """Seconds of audio in all messages so far."""
        return seconds(self._sent_bytes)

    def _messages(self, least: int) -> list[str | bytes]:
        messages = []
        while len(self._buffer) >= least:
            pcm = bytes(self._buffer[: self._chunk_bytes])
            del self._buffer[: self._chunk_bytes]
            self._sent_bytes += len(pcm)
            messages.append(self._message(pcm))
        return messages

    def _message(self, pcm: bytes) -> str | bytes:
        if self._binary:
            return self._prefix + pcm
        # Written by hand: base64 needs no escaping, and this is the hot path.
        audio = binascii.b2a_base64(pcm, newline=False).decode("ascii")
        said, self._said = self._said, ""
        return f'{{"audio":"{audio}"{said}}}'
