"""One POST over HTTPS, bounded in time and in bytes; `http.client` alone bounds neither."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from scribed.errors import TransportError

MAX_ANSWER = 1 << 16
"""Bytes of the longest answer, with its headers."""
MAX_RETRY_AFTER_S = 300.0
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered; the body has no repr, since it may hold a secret."""

    status: int
    body: str = field(default="", repr=False)
    retry_after_s: float | None = None


def post(
    url: str, headers: Mapping[str, bytes], *, timeout_s: float, tls: ssl.SSLContext | None
) -> HttpAnswer:
    """POST nothing to `url`, http:// or https://, within `timeout_s`; no redirect is followed.

    `tls` None trusts the system's authorities. Only the look-up of the host's name may take longer
    than `timeout_s`: it has no limit. Raises `TransportError`, which names the host and holds
    nothing of the URL's path, the headers or the answer.
    """
    deadline = time.monotonic() + timeout_s
    host = urlsplit(url).hostname or ""
    try:
        with _connect(url, deadline, tls) as sock:
            answer = _exchange(url, headers, sock, deadline)
    except ssl.SSLCertVerificationError as exc:
        raise TransportError(
            f"{host}: the certificate is not trusted ({exc.verify_message}); "
            "check the machine's clock, the host name and provider.ca_file"
        ) from exc
    except ssl.SSLError as exc:
        raise TransportError(
            f"{host}: {_words(exc)}; the server must have TLS 1.2 or newer"
        ) from exc
    except (OSError, UnicodeError) as exc:
        raise TransportError(f"{host}: {_words(exc)}") from exc
    except (http.client.HTTPException, ValueError):  # they quote what came, perhaps a secret
        raise TransportError(f"{host}: what answers there is no HTTP server") from None
    if answer.status in _REDIRECTS:
        raise TransportError(f"{host}: HTTP {answer.status}: a redirect is not followed")
    return answer


def _exchange(
    url: str, headers: Mapping[str, bytes], sock: socket.socket, deadline: float
) -> HttpAnswer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", _port(url))
    connection.default_port = 443 if parts.scheme == "https" else 80  # left out of Host
    wire: Any = _Wire(sock, deadline)
    connection.sock = wire
    path = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~")
    connection.request("POST", path, b"", {**headers, "Connection": "close"})
    response = connection.getresponse()
    after = response.headers.get("retry-after", "")
    body = b""
    try:
        body = response.read()
    except (OSError, http.client.HTTPException):
        if response.status < 400:  # of a refusal the status is enough
            raise
    return HttpAnswer(
        response.status,
        body.decode(errors="replace"),
        min(float(after), MAX_RETRY_AFTER_S) if after.isdecimal() else None,
    )


class _Wire:
    """What `http.client` sees of the socket, whose owner closes it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_remaining(self._deadline))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        """The answer may still be unread."""


class _Reader(io.RawIOBase):
    """The answer, until `deadline` and up to `MAX_ANSWER`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline, self._left = sock, deadline, MAX_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise OSError(f"an answer over {MAX_ANSWER} bytes")
        self._sock.settimeout(_remaining(self._deadline))
        count = self._sock.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def _connect(url: str, deadline: float, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection to the first address that takes it, with TLS for https://."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    addresses = socket.getaddrinfo(host, _port(url), type=socket.SOCK_STREAM)
    last: OSError = OSError("no address")
    for n, (family, kind, protocol, _, address) in enumerate(addresses):
        with contextlib.ExitStack() as stack:
            try:
                sock = stack.enter_context(socket.socket(family, kind, protocol))
                # A black hole may not take the time of the addresses behind it.
                sock.settimeout(_remaining(deadline) / (len(addresses) - n))
                sock.connect(address)
                sock.settimeout(_remaining(deadline))
                if parts.scheme == "https":
                    context = tls or ssl.create_default_context()
                    sock = context.wrap_socket(sock, server_hostname=host)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as exc:
                last = exc
            else:
                stack.pop_all()
                return sock
    raise last


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _words(exc: OSError | UnicodeError) -> str:
    """What happened, in one short line without numbers of errors."""
    if isinstance(exc, (socket.gaierror, UnicodeError)):
        return "the name cannot be resolved"
    if isinstance(exc, TimeoutError):
        return "timed out"
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "a fault of TLS").lower().replace("_", " ")
    return (exc.strerror or str(exc) or type(exc).__name__).lower()
