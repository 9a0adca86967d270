"""Where ElevenLabs is asked for text and for tokens, and scribed for figures. Pure.

Hosts of the regions: `elevenlabs` for Python, environments of 2.78.0.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from scribed.config import ProviderSection

HOSTS = {
    "": "api.elevenlabs.io",
    "us": "api.us.elevenlabs.io",
    "eu": "api.eu.residency.elevenlabs.io",
    "in": "api.in.residency.elevenlabs.io",
    "sg": "api.sg.residency.elevenlabs.io",
}
"""By `provider.region`; those of a residency take the keys of accounts that were made there."""
REALTIME_PATH = "/v1/speech-to-text/realtime"
_NO_HOST = re.compile(r"[\s/@\[\]?#\\]")
TOKEN_PATH = "/v1/single-use-token/realtime_scribe"  # noqa: S105 -- a path


def realtime_url(provider: ProviderSection) -> str:
    """The URL of the WebSocket, without a query; `provider.url` goes before the region."""
    parts = urlsplit(provider.url or f"wss://{HOSTS[provider.region]}")
    path = parts.path if parts.path.strip("/") else REALTIME_PATH
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def minting_url(provider: ProviderSection) -> str:
    """Where the endpoint itself makes single-use tokens: https, or http beside ws.

    A path that stands before `REALTIME_PATH` in `provider.url` stands before this one as well.
    """
    parts = urlsplit(realtime_url(provider))
    scheme = "https" if parts.scheme == "wss" else "http"
    base = parts.path.removesuffix(REALTIME_PATH) if parts.path.endswith(REALTIME_PATH) else ""
    return urlunsplit((scheme, parts.netloc, base + TOKEN_PATH, "", ""))


def is_host(text: str) -> bool:
    """Whether that can be a host's name or address, and is no more: no port, no URL."""
    if ":" not in text:
        return _NO_HOST.search(text) is None
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` does not leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


MAX_SOCKET_PATH = 107
"""Bytes that Linux takes for the name of a Unix socket."""


class Door(NamedTuple):
    """Where scribed listens: a Unix socket, or a port of a loopback address."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def door(listen: str) -> Door:
    """What `metrics.listen` names. Raises `ValueError` that says what is allowed."""
    kind, _, path = listen.partition(":")
    if kind == "unix":
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError("an absolute path, as unix:/run/scribed/metrics.sock")
        if len(path.encode()) > MAX_SOCKET_PATH:
            raise ValueError(f"the path of a socket has at most {MAX_SOCKET_PATH} bytes")
        return Door(path=path)
    host, _, port = listen.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("unix:PATH or HOST:PORT, as 127.0.0.1:9469")
    if not is_loopback(host):
        raise ValueError(
            "a loopback address: whoever reaches it may read it. For other machines have a proxy "
            "that asks who they are in front of it"
        )
    return Door(host=host, port=int(port))
