"""Audio on its way to ElevenLabs as messages, and what of it is uncommitted. Pure.

The service commits by itself when about 36 s of audio are uncommitted (35.8 s were measured), and
ends a session that commits less than 0.3 s. Where its cut lies nobody says: after one we count from
when we heard of it, which is the least that it can have.
"""

from __future__ import annotations

import binascii
import json

from scribed.model import RATE, pcm_bytes, seconds
from scribed.text import clean
from scribed.uplink.providers.chunking import chunks

MIN_COMMIT_BYTES = pcm_bytes(350)
"""The service ends a session that commits less than 0.3 s; a shorter one is padded with silence."""
MIN_PAUSE_BYTES = pcm_bytes(300)
"""In mid-utterance nothing is padded."""
MAX_CHUNK_BYTES = pcm_bytes(1000)
OWN_COMMIT_BYTES = pcm_bytes(35_500)
"""From so much uncommitted audio on the service may have committed by itself."""
MAX_PREVIOUS = 49
"""Characters of `previous_text`: the service wants fewer than 50."""


class Chunks:
    """See the module. `out` is what is to be sent; `previous_text` goes with the first message."""

    def __init__(self, chunk_ms: int, previous_text: str) -> None:
        self.out: list[str | bytes] = []
        self.sent_bytes = 0  #: on this connection, with all padding
        self.last_sent_at = 0.0
        self.committed_at = float("-inf")  #: by us
        self._chunk_bytes = pcm_bytes(chunk_ms)
        self._waiting = b""  # less than a chunk
        self._uncommitted = 0  # since the last commit that we know of
        self._previous = _last_words(previous_text)

    @property
    def offset_s(self) -> float:
        """Where in the connection's audio what comes next begins."""
        return seconds(self.sent_bytes + len(self._waiting))

    @property
    def uncommitted(self) -> int:
        """Bytes since the last commit that we know of."""
        return self._uncommitted + len(self._waiting)

    @property
    def can_pause(self) -> bool:
        """Whether there is enough for a commit as it is."""
        return MIN_PAUSE_BYTES <= self.uncommitted < OWN_COMMIT_BYTES

    def audio(self, pcm: bytes, now: float) -> None:
        """Send all that there is with `pcm`, where that is a chunk: what is left over of one would
        be late by the length of the next."""
        waiting = self._waiting + pcm if self._waiting else pcm
        if len(waiting) >= self._chunk_bytes:
            self._send_all(waiting, now)
        else:
            self._waiting = waiting

    def commit(self, now: float, *, pad: bool = True, certain: bool = True) -> int:
        """Send what waits, and commit; return how many commits of its own the service may have
        made in what is committed. Not `certain`: it may just have made one."""
        own = self.uncommitted // OWN_COMMIT_BYTES
        known = self.uncommitted if certain and not own else 0
        padding = max(0, MIN_COMMIT_BYTES - known) if pad else 0
        self._send(self._waiting + bytes(padding), now, commit=True)
        self._waiting = b""
        self._uncommitted = 0
        self.committed_at = now
        return own

    def silence(self, nbytes: int, now: float) -> None:
        """Send what waits, and so much silence."""
        self._send_all(self._waiting + bytes(nbytes), now)

    def keep_alive(self, now: float) -> None:
        """Send a message without audio: it costs nothing, and counts as a sign of life."""
        self._send(b"", now)

    def cut(self) -> None:
        """The service has committed by itself, somewhere in what was sent."""
        self._uncommitted = 0

    def _send_all(self, pcm: bytes, now: float) -> None:
        self._waiting = b""
        for chunk in chunks(pcm, MAX_CHUNK_BYTES):
            self._send(chunk, now)

    def _send(self, pcm: bytes, now: float, *, commit: bool = False) -> None:
        # Written by hand: base64 needs no escaping, and this is the hot path.
        audio = binascii.b2a_base64(pcm, newline=False).decode("ascii")
        flag = "true" if commit else "false"
        context = ""
        if self._previous:
            context = f',"previous_text":{json.dumps(self._previous)}'
            self._previous = ""
        self.out.append(
            f'{{"message_type":"input_audio_chunk","audio_base_64":"{audio}",'
            f'"commit":{flag},"sample_rate":{RATE}{context}}}'
        )
        self.sent_bytes += len(pcm)
        self._uncommitted += len(pcm)
        self.last_sent_at = now


def _last_words(text: str) -> str:
    """The end of `text`, cut at a word and short enough; "" where not even one word is."""
    text = clean(text)
    if len(text) <= MAX_PREVIOUS:
        return text
    _, _, rest = text[-MAX_PREVIOUS - 1 :].partition(" ")
    return rest
