"""The WebSocket: the only module that imports websocket-client.

A connection is made within one deadline (name, TCP, TLS and upgrade together), follows no redirect
(the library would send the key along), refuses a message over `MAX_MESSAGE` before reading it,
never blocks in `receive()`, and frees its socket also where the peer closed first (the library
would leak it).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import time
from http.cookies import CookieError
from typing import Any
from urllib.parse import urlsplit

import websocket
from msgspec import Struct
from websocket import ABNF

from scribed.errors import Refused, ScribedError, TransportError
from scribed.interfaces import Request
from scribed.uplink import tcp
from scribed.uplink.dial import HandshakeSocket, dial

MAX_MESSAGE = 1 << 20
"""Bytes of the longest message that is read: a transcript with words and characters of 28 s of fast
speech is under 200 kB."""
MAX_CONTROL = 125
"""Bytes of the longest control frame (RFC 6455, 5.5)."""
MAX_FRAMES = 64
"""Frames that are read at once: a peer that never pauses must not keep us from all else."""
SEND_TIMEOUT_S = 10.0
GOODBYE_BYTES = 4096
"""With so much before it that the peer has not acknowledged (0.1 s of speech) none is said."""
MAX_RETRY_AFTER_S = 300.0

_FIN, _MASKED = 0x80, 0x80
_SHORT = 126  # the length of a longer message has a field of its own

_LOST = (
    OSError,
    websocket.WebSocketTimeoutException,
    websocket.WebSocketConnectionClosedException,
)
_HANDSHAKE_ERRORS = (
    *_LOST,
    websocket.WebSocketException,
    *(LookupError, ValueError, CookieError),  # what its parser comes to on what is no HTTP
)


class Close(Struct, frozen=True):
    """The connection is over; `code` is None where no close frame came."""

    code: int | None
    reason: str


class Pong(Struct, frozen=True):
    """The peer answered a ping."""


Received = str | bytes | Close | Pong


def tls_context(ca_file: str) -> ssl.SSLContext:
    """TLS with verification: by the system's authorities, or only by `ca_file`.

    Raises `ScribedError` where the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as exc:
        raise ScribedError(
            f"provider.ca_file: {ca_file} cannot be used ({_words(exc)}); "
            "name a PEM file with the authority's certificate"
        ) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Connection:
    """A connected WebSocket; used and closed by one thread."""

    def __init__(self, request: Request, *, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        deadline = time.monotonic() + timeout_s
        host = urlsplit(request.url).hostname or ""
        try:
            sock = dial(request.url, deadline, tls)
        except ssl.SSLCertVerificationError as exc:
            raise TransportError(
                f"{host}: the certificate is not trusted ({exc.verify_message}); "
                "check the machine's clock, the host name and provider.ca_file"
            ) from exc
        except ssl.SSLError as exc:
            raise TransportError(
                f"{host}: {_words(exc)}; check provider.url, the server must have TLS 1.2 or newer"
            ) from exc
        except (OSError, ValueError) as exc:  # ValueError: what cannot be a host's name
            raise TransportError(f"{host}: {_words(exc)}") from exc
        self._ws = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False)
        recv = self._ws._recv  # noqa: SLF001 -- what its own buffer reads with
        self._ws.frame_buffer = _LimitedFrames(recv, skip_utf8_validation=True)
        guard = HandshakeSocket(sock, deadline)
        try:
            self._ws.connect(
                request.url,
                socket=guard,
                header=request.headers,
                redirect_limit=0,
                suppress_origin=True,
            )
        except _HANDSHAKE_ERRORS as exc:
            sock.close()
            raise _failure(host, guard.status, exc) from exc
        self._ws.sock, self._sock = sock, sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._message = bytearray()  # as far as its fragments are here
        self._text = True
        self._ping: bytes | None = None  # that has no answer yet

    def fileno(self) -> int:
        """The descriptor to wait on, for reading and for writing."""
        return self._sock.fileno()

    def pending(self) -> bool:
        """Whether TLS has decrypted bytes that select() does not see."""
        return self._tls is not None and self._tls.pending() > 0

    def writable(self) -> bool:
        """Whether a message can be sent now without waiting for the peer."""
        return bool(select.select((), (self._sock,), (), 0)[1])

    def unsent(self) -> int:
        """Bytes that the peer's TCP has not acknowledged (SIOCOUTQ)."""
        return tcp.unsent(self._sock)

    def bytes_acked(self) -> int:
        """Bytes that the peer's TCP has acknowledged; 0: the kernel does not count them."""
        return tcp.bytes_acked(tcp.info(self._sock))

    def answered_s(self) -> float | None:
        """How long ago the peer's TCP said anything to a segment on its way; None: none is."""
        return tcp.answered_s(tcp.info(self._sock))

    def retry_s(self) -> float:
        """How long TCP waits for an answer before it sends again the first time."""
        return tcp.retry_s(tcp.info(self._sock))

    def mark(self) -> int:
        """The place in the stream behind all that was sent so far, for `acknowledged()`."""
        return tcp.mark(self._sock)

    def acknowledged(self, mark: int) -> bool:
        """Whether the peer's TCP has acknowledged all up to `mark`, whatever was sent since.

        Where the kernel does not count that: all that was sent at all.
        """
        return tcp.has_passed(tcp.info(self._sock), tcp.unsent(self._sock), mark)

    def send(self, message: str | bytes) -> None:
        """Send one message. Raises `TransportError`; the connection is then lost."""
        if self._ping is not None:
            self._answer_ping()
        self._send(message, ABNF.OPCODE_TEXT if isinstance(message, str) else ABNF.OPCODE_BINARY)

    def ping(self) -> None:
        """Ask the peer for a `Pong`. Raises `TransportError`."""
        self._send(b"", ABNF.OPCODE_PING)

    def receive(self) -> list[Received]:
        """What is here now, as far as it is no flood; after a `Close` only `close()` may follow."""
        received: list[Received] = []
        size = 0
        for _ in range(MAX_FRAMES):
            try:
                self._sock.settimeout(0)
                frame = self._ws.recv_frame()
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except (websocket.WebSocketException, OSError) as exc:
                return [*received, Close(None, _words(exc))]
            received += self._take(frame)
            if received and isinstance(received[-1], Close):
                return received
            size += len(frame.data)
            if size >= MAX_MESSAGE:
                break
        try:
            self._answer_ping()
        except TransportError as exc:
            received.append(Close(None, str(exc)))
        return received

    def close(self) -> None:
        """Say goodbye if the socket takes it at once, and free it; never waits.

        Where much is on its way still nobody will hear the goodbye, and what the kernel would go on
        sending for minutes would take a narrow link from the next connection: it is withdrawn.
        """
        with contextlib.suppress(websocket.WebSocketException, OSError, ValueError):
            # The library has closed it where the peer was lost.
            if self.unsent() > GOODBYE_BYTES:
                tcp.withdraw(self._sock)
            else:
                self._sock.settimeout(0)
                self._ws.send_close()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._ws.shutdown()
        self._sock.close()

    def _send(self, payload: str | bytes, opcode: int) -> None:
        left = memoryview(masked(payload, opcode))
        try:
            self._sock.settimeout(SEND_TIMEOUT_S)
            while left:
                left = left[self._sock.send(left) :]
        except OSError as exc:
            raise TransportError(_words(exc)) from exc

    def _answer_ping(self) -> None:
        """Answer the last ping, and with it those before, where that needs no waiting."""
        if self._ping is not None and self.writable():
            payload, self._ping = self._ping, None
            self._send(payload, ABNF.OPCODE_PONG)

    def _take(self, frame: Any) -> list[Received]:
        if frame.opcode == ABNF.OPCODE_CLOSE:
            code = int.from_bytes(frame.data[:2], "big") if len(frame.data) >= 2 else None
            return [Close(code, frame.data[2:].decode(errors="replace"))]
        if frame.opcode == ABNF.OPCODE_PING:
            self._ping = frame.data
            return []
        if frame.opcode == ABNF.OPCODE_PONG:
            return [Pong()]
        if frame.opcode != ABNF.OPCODE_CONT:
            self._message.clear()
            self._text = frame.opcode == ABNF.OPCODE_TEXT
        self._message += frame.data
        if len(self._message) > MAX_MESSAGE:
            return [Close(None, f"a message over {MAX_MESSAGE} bytes")]
        if not frame.fin:
            return []
        whole, self._message = bytes(self._message), bytearray()
        return [whole.decode(errors="replace") if self._text else whole]


def masked(payload: str | bytes, opcode: int) -> bytes:
    """A whole message as a client sends it (RFC 6455, 5.2). The library does the same, in three
    times the time."""
    data = payload.encode() if isinstance(payload, str) else payload
    size, key = len(data), os.urandom(4)
    mask = (key * (size // 4 + 1))[:size]
    covered = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
    first, second = _FIN | opcode, _MASKED | min(size, _SHORT)
    if size < _SHORT:
        head = struct.pack("!BB", first, second)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, second, size)
    else:
        head = struct.pack("!BBQ", first, second + 1, size)
    return b"".join((head, key, covered.to_bytes(size, "little")))


class _LimitedFrames(websocket.frame_buffer):
    """Refuses a frame by its declared length, before its payload is read."""

    def recv_length(self) -> None:
        super().recv_length()
        length, opcode = self.length or 0, (self.header or (0,) * 5)[4]
        if length > (MAX_CONTROL if opcode >= ABNF.OPCODE_CLOSE else MAX_MESSAGE):
            raise websocket.WebSocketPayloadException(f"a message of {length} bytes")


def _failure(host: str, status: int, exc: Exception) -> TransportError:
    """What an upgrade came to that ended in `exc`, after an answer with HTTP `status` or 0."""
    if status in (301, 302, 303, 307, 308):
        words = f"HTTP {status}: a redirect is not followed; correct provider.url"
    elif isinstance(exc, websocket.WebSocketBadStatusException) and status:
        return _refused(exc)
    elif status >= 400:
        return Refused(status, "")  # its headers are no headers, or its body did not come whole
    elif isinstance(exc, _LOST):
        words = _words(exc)
    else:  # in no words of the library, which quotes what it got, perhaps the key
        words = "what answers there is no WebSocket server; correct provider.url"
    return TransportError(f"{host}: {words}")


def _refused(exc: websocket.WebSocketBadStatusException) -> Refused:
    body = (exc.resp_body or b"").decode(errors="replace")
    after = (exc.resp_headers or {}).get("retry-after", "")
    retry_after_s = min(float(after), MAX_RETRY_AFTER_S) if after.isdecimal() else None
    return Refused(exc.status_code, body, retry_after_s)


def _words(exc: BaseException) -> str:
    """What happened, in one short line without numbers of errors."""
    if isinstance(exc, (socket.gaierror, UnicodeError)):
        return "the name cannot be resolved"
    if isinstance(exc, (TimeoutError, websocket.WebSocketTimeoutException)):
        return "timed out"
    if isinstance(exc, ssl.SSLError):
        return "TLS: " + (exc.reason or str(exc)).replace("_", " ").lower()
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
