"""The frames of a broker's WebSocket, read in pieces: a large command is never in memory whole.

paho's own reader keeps each frame until it has all of it, and answers a ping without the mask that
a client's frames must have.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

PIECE_BYTES = 16 << 10
"""What is read at once at most; paho takes up to 100 such before it returns."""
_DATA = (0, 2)  # a message's first frame, of bytes, and those that continue it
_CONTROL, _CLOSE, _PING, _PONG = 8, 8, 9, 10
_CONTROL_BYTES = 125


class Frames:
    """A WebSocket that paho has opened, read in another way; all else is `made`'s own.

    What is no data is no error: it is skipped, a ping and a close are answered where there is room.
    """

    def __init__(self, made: Any, connection: Any) -> None:
        """`connection` is the socket beneath; it does not block."""
        self._made, self._connection = made, connection
        self._head = bytearray()  # of the frame that begins
        self._opcode, self._left = 0, 0  # of the frame that is being read
        self._said = bytearray()  # by a control frame, so far

    def recv(self, nbytes: int) -> bytes:
        """Up to `nbytes` of what the broker sends; empty: it hung up.

        Raises `BlockingIOError` where there is nothing now, and `ConnectionError` on what no server
        may send.
        """
        if not self._left and not self._begin():
            return b""
        data: bytes = self._connection.recv(min(nbytes, self._left, PIECE_BYTES))
        self._left -= len(data)
        if self._opcode in _DATA or not data:
            return data
        if self._opcode >= _CONTROL:
            self._said += data
            self._answer()
        raise BlockingIOError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def _begin(self) -> bool:
        """Read the next frame's header; False: the broker hung up."""
        while (wanted := _size(self._head) - len(self._head)) > 0:
            data = self._connection.recv(wanted)
            if not data:
                return False
            self._head += data
        head, self._head = self._head, bytearray()
        self._opcode, short = head[0] & 0x0F, head[1]
        self._left = int.from_bytes(head[2:], "big") if len(head) > 2 else short
        if short & 0x80:
            raise ConnectionError("the broker's WebSocket masks its frames")
        if self._opcode >= _CONTROL and self._left > _CONTROL_BYTES:
            raise ConnectionError("the broker's WebSocket sends a control frame that is too large")
        if not self._left:
            self._answer()
            raise BlockingIOError
        return True

    def _answer(self) -> None:
        """All of a frame was read: answer it, if it asks for that."""
        if self._left:
            return
        said, self._said = bytes(self._said), bytearray()
        answers = {_CLOSE: _CLOSE, _PING: _PONG}
        # Behind half a frame of ours an answer would be taken for the rest of it.
        if self._opcode in answers and not self._made._sendbuffer:  # noqa: SLF001 -- see the module
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(said))
            head = bytes([0x80 | answers[self._opcode], 0x80 | len(said)])
            with contextlib.suppress(BlockingIOError):
                self._connection.send(head + mask + masked)


def _size(head: bytearray) -> int:
    """Bytes of a header that begins with `head`."""
    return 2 if len(head) < 2 else 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
