"""The endpoints of OpenMind's proxy: what each speaks, who may come in, and what may be varied.

From OpenMind's API reference and from what OM1's own clients accept. Where these are silent or
contradict each other, `Options` has both.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs

FEWEST_HZ, MOST_HZ = 8_000, 48_000
DEFAULT_HZ = 16_000
TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})+\Z")  # as en-US


class Unsupported(Exception):
    """Recognition fails over this value of the first message."""


class Asked(NamedTuple):
    """What a connection's first message asks for."""

    rate: int
    mute: str | None = None  # why nothing of it will ever be transcribed


@dataclass(frozen=True, slots=True)
class Route:
    """One speech service behind the proxy."""

    name: str
    hello: str | None  # the text of the first message; None: it does not greet
    language: str  # where the client says none
    rates: tuple[int, ...] | None  # samples per second; None: any from 8 to 48 kHz
    session_s: float  # audio of one recognition session, by the clock
    partials: bool = False
    stamped: bool = False  # `time` in transcripts
    vad_events: bool = False
    tells: bool = True  # of errors; else it only writes its own log
    restart_info: bool = True
    cut: bool = False  # at the end of the session the connection is closed, not begun anew
    silence_s: float = math.inf  # without speech, and it is closed
    audio_timeout_s: float = math.inf  # without audio, and recognition fails
    keyless: bool = False  # everybody may come in
    tagged: bool = False  # a language needs its region: en-US. Elsewhere it is read or ignored

    def asked(self, fields: Mapping[str, Any]) -> Asked:
        """Read what a first message asks for. Raises `Unsupported`."""
        rate = fields.get("rate", DEFAULT_HZ)
        language = fields.get("language_code", self.language)
        if not isinstance(rate, int) or isinstance(rate, bool) or not self._takes(rate):
            raise Unsupported(f"rate {rate!r}")
        if not isinstance(language, str) or (self.tagged and not TAG.match(language)):
            raise Unsupported(f"language_code {language!r}")
        if not self.partials or "-" not in language:
            return Asked(rate)
        return Asked(
            rate,
            f'language_code "{language}" has a region tag: ElevenLabs never transcribes such a '
            f'session; use "{language.partition("-")[0]}"',
        )

    def silence(self, idle_s: float) -> float:
        """Return after how long without speech it closes; 0 is its own time."""
        return idle_s if idle_s and self.silence_s < math.inf else self.silence_s

    def _takes(self, rate: int) -> bool:
        return FEWEST_HZ <= rate <= MOST_HZ if self.rates is None else rate in self.rates


ELEVENLABS = Route(
    "elevenlabs",
    "Connected to ElevenLabs ASR service",
    language="auto",
    rates=(8_000, 16_000, 22_050, 44_100),
    session_s=300,
    partials=True,
    stamped=True,
    silence_s=30,  # undocumented
)
GOOGLE_V2 = Route(
    "google",
    "Connected to ASR v2 service",
    language="en-US",
    rates=None,
    session_s=240,
    vad_events=True,
    audio_timeout_s=10,
    tagged=True,
)
GOOGLE_V1 = Route(
    "google-v1",
    "Connected to ASR v1 service",
    language="en-US",
    rates=None,
    session_s=240,
    restart_info=False,
    audio_timeout_s=10,
    tagged=True,
)
RIVA = Route(
    "riva",
    None,
    language="en-US",
    rates=None,
    session_s=300,
    tells=False,
    restart_info=False,
    cut=True,
    keyless=True,
)

ROUTES: Mapping[str, Route] = MappingProxyType(
    {
        "/api/core/elevenlabs/asr": ELEVENLABS,
        "/api/core/v1/elevenlabs/asr": ELEVENLABS,
        "/api/core/google/asr": GOOGLE_V2,
        "/api/core/google/asr/v2": GOOGLE_V2,
        "/api/core/google/asr/v1": GOOGLE_V1,
        "/api/core/v1/google/asr": GOOGLE_V2,
        "/api/core/v1/google/asr/v2": GOOGLE_V2,
        "/api/core/v1/google/asr/v1": GOOGLE_V1,
        "/": RIVA,  # a host of its own, in the cloud as on the robot
    }
)

MISSING_KEY = "Missing API key. Please connect with ?api_key=YOUR_API_KEY"
REFUSALS: Mapping[int, str] = MappingProxyType(
    {
        401: "Invalid API key: it does not exist or was revoked",
        402: "Insufficient balance",
        403: "Forbidden: this API key has no access to speech recognition",
        429: "Rate limit exceeded",
    }
)


@dataclass(frozen=True, slots=True)
class Options:
    """What is undocumented or contradictory of OpenMind's, and what may go wrong there."""

    final: str | None = None  #: the `type` of a final; None: there is none (documented)
    endpoint_s: float = 0.8  #: silence after which the server commits
    threshold: float = 0.4  #: of `Endpointing`
    restart: str = "lose"  #: what becomes of the open segment then: "lose" | "commit"
    unix_offset_s: float = 0.0  #: the time of day, less `now`
    clock_off_s: float = 0.0  #: the service's clock, less the time of day
    hello: bool = True  #: `connection` is sent
    echo: bool = False  #: a partial repeats what was just committed, as ElevenLabs' own does
    binary: str = "header"  #: | "raw": a binary frame is audio to its first byte, as old Riva's


DEFAULTS = Options()


def credential(query: str) -> str | None:
    """Return the key of an upgrade: of its query, where it belongs; "" where that is empty."""
    keys = parse_qs(query, keep_blank_values=True).get("api_key")
    return keys[-1] if keys else None


def admits(path: str, query: str, key: str | None) -> bool:
    """Decide on an upgrade. With `key` only that is accepted, without it any that is not empty."""
    if ROUTES[path].keyless:
        return True
    given = credential(query)
    return bool(given) and key in (None, given)


def refusal(status: int, given: str | None) -> str:
    """Return the JSON body of an upgrade that HTTP refuses; `given` is the client's key.

    It has `error`, and neither `type` nor `message` as a message has.
    """
    error = REFUSALS.get(status, HTTPStatus(status).phrase)
    return json.dumps({"error": MISSING_KEY if status == 401 and not given else error})
