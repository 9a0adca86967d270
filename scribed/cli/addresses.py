"""A broker in one word, as people write it: HOST, HOST:PORT, a URL, or unix:PATH. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from scribed.config import Mqtt
from scribed.errors import ScribedError

SHAPES = "HOST, HOST:PORT, ws://HOST/PATH, wss://HOST/PATH, mqtts://HOST or unix:/PATH"
PLAIN_PORT, TLS_PORT = 1883, 8883
_UNIX = "unix:"
_Transport = Literal["tcp", "websockets", "unix"]
_SCHEMES: dict[str, tuple[_Transport, bool, int]] = {
    "mqtt": ("tcp", False, PLAIN_PORT),
    "mqtts": ("tcp", True, TLS_PORT),
    "ws": ("websockets", False, 80),
    "wss": ("websockets", True, 443),
}
"""The transport, whether it is within TLS, and the usual port."""


class Address(NamedTuple):
    """What a word says; `port` and `tls` are None where it does not say."""

    transport: _Transport = "tcp"
    host: str = ""  #: "" of a Unix socket
    port: int | None = None
    path: str = ""
    tls: bool | None = None


def usual_port(transport: str, *, tls: bool) -> int:
    """Where a broker listens, unless somebody says otherwise."""
    return _SCHEMES[_scheme(transport, tls=tls)][2]


def address(text: str) -> Address:
    """Read `text`. Raises `ScribedError`."""
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path.startswith("/") or path.startswith("//"):
            raise ScribedError(f'"{text}" is no broker; a Unix socket is unix:/PATH')
        return Address("unix", path=path, tls=False)
    if "://" in text:
        return _of_url(text)
    host, port = _host_and_port(text, text)
    return Address(host=host, port=port)


def word(mqtt: Mqtt) -> str:
    """`mqtt` as it may be written; of TCP it does not say whether it is within TLS."""
    if mqtt.transport == "unix":
        return f"{_UNIX}{mqtt.path}"
    host = f"[{mqtt.host}]" if ":" in mqtt.host else mqtt.host
    place = f"{host}:{mqtt.port}{mqtt.path}"
    if mqtt.transport == "tcp":
        return place
    return f"{_scheme(mqtt.transport, tls=mqtt.tls)}://{place}"


def _scheme(transport: str, *, tls: bool) -> str:
    """The one that says so; a Unix socket has no port, and any will do."""
    way = ("tcp" if transport == "unix" else transport, tls)
    return next(name for name, known in _SCHEMES.items() if known[:2] == way)


def _of_url(text: str) -> Address:
    scheme = text.partition("://")[0]
    if scheme not in _SCHEMES:
        raise _no_broker(text)
    try:
        parts = urlsplit(text)
    except ValueError as exc:
        raise _no_broker(text) from exc
    if "@" in parts.netloc:  # not repeated: there may be a password in it
        raise ScribedError("no user and no password in a broker's URL: they have options")
    transport, tls, _ = _SCHEMES[scheme]
    path = parts.path if transport == "websockets" else parts.path.rstrip("/")
    if parts.query or parts.fragment or (path and transport == "tcp"):
        raise _no_broker(text)
    host, port = _host_and_port(parts.netloc, text)
    return Address(transport, host, port, "" if path == "/" else path, tls)


def _host_and_port(place: str, text: str) -> tuple[str, int | None]:
    host, colon, port = place.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or place.endswith("]"):
        host, port = place, ""
    host = host.strip("[]")
    if not host or (port and not (port.isdecimal() and 1 <= int(port) <= 65_535)):
        raise _no_broker(text)
    return host, int(port) if port else None


def _no_broker(text: str) -> ScribedError:
    return ScribedError(f'"{text}" is no broker; it is {SHAPES}')
