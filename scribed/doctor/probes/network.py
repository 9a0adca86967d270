"""Names, TLS and the clock of others: nothing but a greeting is exchanged, and no key."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from scribed import clock
from scribed.doctor.network import Greeting, Lookup
from scribed.uplink.dial import dial

LOOKUP_S = 8.0
"""More than the 5 s after which glibc asks the second name server."""
GREET_S = 6.0
_MAX_ANSWER = 8192


def look_up(host: str, resolve: Callable[..., list[Any]] = socket.getaddrinfo) -> Lookup:
    """What `host` is by the machine's resolver, which may take as long as it likes."""
    begun = time.monotonic()
    try:
        found = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or "it cannot be a host's name"
        may_pass = isinstance(exc, socket.gaierror) and exc.errno == socket.EAI_AGAIN
        return Lookup(host, (), why, time.monotonic() - begun, may_pass)
    addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
    return Lookup(host, addresses, "" if addresses else "no address", time.monotonic() - begun)


def greet(
    host: str, port: int, key: str, context: Callable[[], ssl.SSLContext], *, is_http: bool
) -> Greeting:
    """Shake hands with the server that `key` ("provider", "mqtt") means, and hang up.

    An HTTP server is asked for its clock: also one whose certificate is refused, since that may be
    this machine's clock's fault. Nothing is believed of the latter but that.
    """
    date = None
    try:
        tls = context()
    except OSError as exc:
        return Greeting(
            host, key, problem=f"{exc.filename or key + '.ca_file'} cannot be used ({exc})"
        )
    try:
        with contextlib.closing(_dial(host, port, tls)) as connection:
            version = connection.version() or "TLS"
            ends = _ends(connection)
            if is_http:
                date = _date(connection, host)
    except ssl.SSLCertVerificationError as exc:
        date = _date_of_anybody(host, port) if is_http else None
        why = exc.verify_message or str(exc)
        return Greeting(host, key, untrusted=why, date=date, asked_at=clock.wall())
    except (OSError, ValueError) as exc:
        return Greeting(host, key, problem=_words(exc, port))
    return Greeting(host, key, version=version, ends=ends, date=date, asked_at=clock.wall())


def _dial(host: str, port: int, tls: ssl.SSLContext) -> ssl.SSLSocket:
    literal = f"[{host}]" if ":" in host else host
    connection = dial(f"wss://{literal}:{port}", time.monotonic() + GREET_S, tls)
    assert isinstance(connection, ssl.SSLSocket), "wss:// is TLS"
    return connection


def _ends(connection: ssl.SSLSocket) -> float | None:
    certificate = connection.getpeercert() or {}
    ends = certificate.get("notAfter")
    return float(ssl.cert_time_to_seconds(ends)) if isinstance(ends, str) else None


def _date_of_anybody(host: str, port: int) -> float | None:
    """The clock of whoever answers there: no key goes there, and nothing else comes of it."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with contextlib.closing(_dial(host, port, anybody)) as connection:
            return _date(connection, host)
    except (OSError, ValueError):
        return None


def _date(connection: ssl.SSLSocket, host: str) -> float | None:
    """The Date in the answer to a HEAD; None: it says none."""
    answer = b""
    try:
        connection.settimeout(GREET_S)
        connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER:
            piece = connection.recv(_MAX_ANSWER - len(answer))
            if not piece:
                break
            answer += piece
    except (OSError, ValueError):
        return None
    for line in answer.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "date":
            with contextlib.suppress(TypeError, ValueError):
                return email.utils.parsedate_to_datetime(value.strip()).timestamp()
    return None


def _words(exc: OSError | ValueError, port: int) -> str:
    if isinstance(exc, socket.gaierror):
        return "its name cannot be looked up; see dns"
    if isinstance(exc, TimeoutError):
        return f"port {port} did not answer within {GREET_S:.0f} s"
    if isinstance(exc, ConnectionRefusedError):
        return f"nothing listens on port {port}"
    if isinstance(exc, ssl.SSLError):
        return f"no TLS on port {port} ({(exc.reason or str(exc)).replace('_', ' ').lower()})"
    if isinstance(exc, OSError) and exc.strerror:
        return f"port {port}: {exc.strerror.lower()}"
    return f"port {port}: {exc}"
