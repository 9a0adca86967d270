"""Where ElevenLabs is asked for text and for tokens. Pure.

Hosts of the regions: `elevenlabs` for Python, environments of 2.78.0.
"""

from __future__ import annotations

import ipaddress
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


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` does not leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
