"""Where OpenMind is asked, and in which language. Pure.

Facts: OpenMind's API reference and OM1's clients of 2026.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from scribed.config import ProviderSection


class Route(NamedTuple):
    """One of the services behind OpenMind's proxy."""

    url: str
    model: str
    greets: bool  #: it says `connection` when it is ready
    regional: bool  #: it takes languages with their region, and detects none
    partials: bool  #: it tells what it hears before it has made up its mind


ROUTES = {
    "elevenlabs": Route(
        "wss://api.openmind.com/api/core/elevenlabs/asr",
        "scribe_v2_realtime",
        greets=True,
        regional=False,
        partials=True,
    ),
    "google": Route(
        "wss://api.openmind.com/api/core/google/asr",
        "chirp_3",
        greets=True,
        regional=True,
        partials=False,
    ),
    "riva": Route(
        "wss://api-asr.openmind.org/", "riva", greets=False, regional=True, partials=False
    ),
}
REGIONS = {
    "de": "de-DE",
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nl": "nl-NL",
    "pl": "pl-PL",
    "pt": "pt-BR",
    "ru": "ru-RU",
    "zh": "cmn-Hans-CN",
}
"""The languages that OpenMind lists, as Google and Riva call them where no region is configured."""


def url(settings: ProviderSection, key: str) -> str:
    """The URL of the WebSocket, which holds the key; without one (Riva on the robot) it has none.

    `provider.url` goes before the route's own, and takes the route's path unless it has one.
    """
    usual = urlsplit(ROUTES[settings.openmind.route].url)
    parts = urlsplit(settings.url) if settings.url else usual
    path = parts.path if parts.path.strip("/") else usual.path
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "api_key"]
    query += [("api_key", key)] if key else []
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(query), ""))


def language(settings: ProviderSection) -> str | None:
    """The language as the route calls it; None: not said, so that the service detects it, or takes
    its own default where it detects none."""
    if settings.language == "auto":
        return None
    base, *rest = settings.language.replace("_", "-").split("-")
    base = base.lower()
    if not ROUTES[settings.openmind.route].regional:
        return base
    if not rest:
        return REGIONS.get(base, base)
    return "-".join([base, *(part.title() if len(part) == 4 else part.upper() for part in rest)])
