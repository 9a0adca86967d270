"""The query string of the ElevenLabs realtime endpoint: what was asked for. Pure.

Ranges and defaults are those of the vendor's SDKs and API reference; `config()` has the names
that the service itself puts on the wire, which differ from its documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

MODELS = (
    "scribe_v2_realtime",
    "scribe_v2_realtime_turbo",
    "scribe_v2_realtime_lite",
    "scribe_v3_live",
)
TURN_MODELS = ("scribe_v3_live",)  # that predict turns, and do so unless they are asked not to
RATES = {
    "pcm_8000": 8_000,
    "pcm_16000": 16_000,
    "pcm_22050": 22_050,
    "pcm_24000": 24_000,
    "pcm_44100": 44_100,
    "pcm_48000": 48_000,
    "ulaw_8000": 8_000,
}
REGION = re.compile("[-_]")
STRATEGIES = ("manual", "vad", "turn_prediction")
REDACTIONS = ("redacted", "entity_type", "enumerated_entity_type")
KEYTERMS_LIMIT = 50
KEYTERM_CHARS = 20
TRANSCRIPT_EDIT_CHARS = 2000


class QueryError(Exception):
    """The service would refuse this query; `str()` is the text of its frame."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid query, with the service's defaults where it is silent."""

    model_id: str = "scribe_v2_realtime"
    audio_format: str = "pcm_16000"
    commit_strategy: str = "manual"
    language_code: str | None = None
    secondary_languages: tuple[str, ...] = ()
    vad_silence_threshold_secs: float = 1.5
    vad_threshold: float = 0.4
    min_speech_duration_ms: int = 100
    min_silence_duration_ms: int = 100
    include_timestamps: bool = False
    include_language_detection: bool = False
    filter_background_audio: bool = False
    no_verbatim: bool = False
    enable_logging: bool = True
    keyterms: tuple[str, ...] = ()
    entity_detection: tuple[str, ...] = ()
    entity_redaction: tuple[str, ...] = ()
    entity_redaction_mode: str = "enumerated_entity_type"
    transcript_edit: str | None = None
    keepalive_interval_ms: int | None = None
    diarize: bool = False

    @property
    def rate(self) -> int:
        """Samples per second of the audio that this session sends."""
        return RATES[self.audio_format]

    @property
    def bytes_per_s(self) -> int:
        return self.rate if self.audio_format == "ulaw_8000" else 2 * self.rate

    @property
    def mute_language(self) -> str | None:
        """The language code with a region tag that keeps the service from transcribing at all."""
        code = self.language_code
        return code if code is not None and REGION.search(code) else None

    @property
    def note(self) -> str | None:
        """What the service would not say."""
        notes = []
        if self.mute_language:
            notes.append(
                f'language_code "{self.mute_language}" has a region tag: the service never '
                f'transcribes such a session; use "{REGION.split(self.mute_language)[0]}"'
            )
        if self.model_id not in TURN_MODELS:
            live = [
                name
                for name, asked in (
                    ("commit_strategy=turn_prediction", self.commit_strategy == "turn_prediction"),
                    ("diarize", self.diarize),
                )
                if asked
            ]
            notes += [
                f"{name} is answered here, but the service may have it only with {TURN_MODELS[0]}"
                for name in live
            ]
        return "; ".join(notes) or None

    def config(self) -> dict[str, Any]:
        """Return the echo in `session_started`, under the names of the wire.

        `disable_logging` stays false: without an enterprise plan the service warns and logs.
        """
        return {
            "sample_rate": self.rate,
            "audio_format": self.audio_format,
            "language_code": self.language_code,
            "secondary_languages": list(self.secondary_languages),
            "timestamps_granularity": "word",
            "vad_commit_strategy": self.commit_strategy != "manual",
            "vad_silence_threshold_secs": self.vad_silence_threshold_secs,
            "vad_threshold": self.vad_threshold,
            "min_speech_duration_ms": self.min_speech_duration_ms,
            "min_silence_duration_ms": self.min_silence_duration_ms,
            "max_tokens_to_recompute": 5,
            "model_id": self.model_id,
            "disable_logging": False,
            "include_timestamps": self.include_timestamps,
            "include_language_detection": self.include_language_detection,
            "filter_background_audio": self.filter_background_audio,
            "keyterms": list(self.keyterms),
            "no_verbatim": self.no_verbatim,
            "entity_detection": list(self.entity_detection) or None,
            "keepalive_interval_ms": self.keepalive_interval_ms,
        }


def parse(query: str) -> Parameters:
    """Read a query string as the service does. Raises `QueryError`.

    A name that the service does not know is ignored without a word; so it is here.
    """
    fields = _fields(query)
    read = {name: take(name, fields[name]) for name, take in READERS.items() if name in fields}
    if read.get("model_id") in TURN_MODELS:
        read = {"commit_strategy": "turn_prediction", **read}
    parameters = Parameters(**read)
    _refuse_pairs(parameters)
    return parameters


def _fields(query: str) -> dict[str, list[str]]:
    """Every value of each name, in order."""
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return fields


def _refuse_pairs(parameters: Parameters) -> None:
    if parameters.filter_background_audio and parameters.include_timestamps:
        raise QueryError(
            "filter_background_audio cannot be combined with include_timestamps. "
            "This will be supported in a future update."
        )
    if parameters.transcript_edit and (parameters.entity_detection or parameters.entity_redaction):
        raise QueryError(
            "transcript_edit cannot be combined with entity_detection or entity_redaction."
        )


Reader = Callable[[str, Sequence[str]], Any]  # name, every value given for it → what it means


def _text(_name: str, values: Sequence[str]) -> str | None:
    return values[-1] or None


def _flag(name: str, values: Sequence[str]) -> bool:
    flags = {"true": True, "false": False}
    if values[-1] not in flags:
        raise QueryError(f"{name} must be true or false, not '{values[-1]}'.")
    return flags[values[-1]]


def _list(_name: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(value for value in values if value)


def _choice(allowed: Sequence[str]) -> Reader:
    def read(name: str, values: Sequence[str]) -> str:
        if values[-1] not in allowed:
            raise QueryError(
                f"'{values[-1]}' is not a valid {name}. Supported: {', '.join(allowed)}."
            )
        return values[-1]

    return read


def _number(kind: type[int] | type[float], low: float, high: float) -> Reader:
    def read(name: str, values: Sequence[str]) -> float:
        try:
            number = kind(values[-1])
        except ValueError:
            number = high + 1
        if not low <= number <= high:
            raise QueryError(
                f"{name} must be between {low} and {high} inclusive, not '{values[-1]}'."
            )
        return number

    return read


def _keyterms(name: str, values: Sequence[str]) -> tuple[str, ...]:
    terms = _list(name, values)
    if len(terms) > KEYTERMS_LIMIT:
        raise QueryError(f"At most {KEYTERMS_LIMIT} keyterms are allowed, not {len(terms)}.")
    for term in terms:
        if len(term) > KEYTERM_CHARS:
            raise QueryError(
                f"Each keyterm must be at most {KEYTERM_CHARS} characters. "
                f"'{term}' is {len(term)} characters."
            )
    return terms


def _instruction(name: str, values: Sequence[str]) -> str | None:
    if len(values[-1]) > TRANSCRIPT_EDIT_CHARS:
        raise QueryError(f"{name} must be at most {TRANSCRIPT_EDIT_CHARS} characters.")
    return values[-1] or None


READERS: Mapping[str, Reader] = {
    "model_id": _choice(MODELS),
    "audio_format": _choice(tuple(RATES)),
    "commit_strategy": _choice(STRATEGIES),
    "language_code": _text,
    "secondary_languages": _list,
    "vad_silence_threshold_secs": _number(float, 0.3, 3.0),
    "vad_threshold": _number(float, 0.1, 0.9),
    "min_speech_duration_ms": _number(int, 50, 2000),
    "min_silence_duration_ms": _number(int, 50, 2000),
    "include_timestamps": _flag,
    "include_language_detection": _flag,
    "filter_background_audio": _flag,
    "no_verbatim": _flag,
    "enable_logging": _flag,
    "keyterms": _keyterms,
    "entity_detection": _list,
    "entity_redaction": _list,
    "entity_redaction_mode": _choice(REDACTIONS),
    "transcript_edit": _instruction,
    "keepalive_interval_ms": _number(int, 500, 10_000),
    "diarize": _flag,
}
