"""What is asked of ElevenLabs in the query of a connection, and whether the service does it. Pure.

Everything about a session is said in its URL; the service tells in `session_started` what it made
of it. A parameter that it does not know it ignores without a word, so its echo is compared.

Names, forms and defaults: ElevenLabs' API reference and SDK types of November 2026, and captures.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

from scribed.config import ElevenLabs, ProviderSection
from scribed.endpoints import realtime_url
from scribed.languages import canonical
from scribed.model import RATE

AUDIO_FORMAT = f"pcm_{RATE}"
ENTITY_CATEGORIES = frozenset({"all", "pii", "phi", "pci", "other", "offensive_language"})
"""Names of many entity types at once, which an echo may spell out."""
MAX_SHOWN = 80
SECTION = "provider.elevenlabs."
FLAGS = ("include_timestamps", "include_language_detection", "no_verbatim",
         "filter_background_audio", "diarize")  # fmt: skip
"""Keys that are off where the service is told nothing."""
OF_VAD = ("vad_silence_threshold_secs", "vad_threshold", "min_speech_duration_ms",
          "min_silence_duration_ms")  # fmt: skip
"""Keys that count only where the service commits by itself."""

Difference = tuple[str, str, str]
"""A parameter, what was asked for, and what the service uses instead; the values as JSON, short."""


def url(settings: ProviderSection, token: str) -> str:
    """The URL to connect to; `token` may be empty. It holds the token: it must not be logged."""
    query = [(name, value) for name, values in _asked(settings) for value in values]
    if token:
        query.append(("token", token))
    return f"{realtime_url(settings)}?{urlencode(query, quote_via=quote)}"


def language(settings: ProviderSection) -> str | None:
    """The language that the service is told: lower-case and without a region; None: none."""
    return None if settings.language == "auto" else base_language(settings.language)


def base_language(code: str) -> str:
    """`code` without its region or script, lower-case: "en" of "en-US"."""
    return re.split("[-_]", code, maxsplit=1)[0].lower()


def notices(settings: ProviderSection) -> list[str]:
    """What of valid settings is not sent as it stands, or has no effect; a line each, by key."""
    lines = []
    if "elevenlabs" in (settings.name, settings.openmind.route):
        lines += _stripped("provider.language", settings.language, "is sent")
    for code in settings.languages:
        lines += _stripped("provider.languages", code, "counts")
    if settings.name == "openmind":
        if settings.languages:
            lines.append("provider.languages: has no effect, openmind tells no language")
        if settings.openmind.route == "google" and settings.language == "auto":
            lines.append(
                'provider.language: "auto" is en-US to the google route; name the language'
            )
        return lines
    options = settings.elevenlabs
    if settings.languages and not options.include_language_detection:
        needed = f"{SECTION}include_language_detection = true"
        lines.append(f"provider.languages: has no effect without {needed}")
    for code in options.secondary_languages:
        lines += _stripped(f"{SECTION}secondary_languages", code, "is sent")
    return lines + _idle(options)


def _stripped(key: str, code: str, verb: str) -> list[str]:
    base = base_language(code)
    if base == code.lower():
        return []
    return [f'{key}: "{code}" {verb} as "{base}": the service knows no regions']


def _idle(options: ElevenLabs) -> list[str]:
    """What has no effect as the other keys are, and what may not have the one it promises."""
    lines, defaults = [], ElevenLabs()
    if options.commit_strategy == "manual":
        idle = [name for name in OF_VAD if getattr(options, name) != getattr(defaults, name)]
        why = 'has no effect with commit_strategy = "manual"'
        lines += [f"{SECTION}{name}: {why}" for name in idle]
    mode = options.entity_redaction_mode
    if mode != defaults.entity_redaction_mode and not options.entity_redaction:
        lines.append(f"{SECTION}entity_redaction_mode: has no effect without entity_redaction")
    if not options.enable_logging:
        lines.append(
            f"{SECTION}enable_logging: false is granted to enterprise plans only; on others the "
            "service keeps the speech all the same, and alert/provider_keeps_data is raised"
        )
    return lines


def _asked(settings: ProviderSection) -> list[tuple[str, list[str]]]:
    """Every parameter with its values in the wire's form; a list is repeated, none is not sent."""
    options = settings.elevenlabs
    asked: list[tuple[str, list[str]]] = [
        ("model_id", [options.model_id]),
        ("audio_format", [AUDIO_FORMAT]),
        ("commit_strategy", [options.commit_strategy]),
    ]
    if options.commit_strategy != "manual":
        for name in OF_VAD:
            value = getattr(options, name)
            asked.append((name, [_decimal(value)] if value else []))
    asked.append(("language_code", [code] if (code := language(settings)) else []))
    asked.append(("secondary_languages", _secondary(options)))
    asked += [(name, ["true"] if getattr(options, name) else []) for name in FLAGS]
    asked.append(("keyterms", list(options.keyterms)))
    asked.append(("entity_detection", list(options.entity_detection)))
    asked.append(("entity_redaction", list(options.entity_redaction)))
    if options.entity_redaction:
        asked.append(("entity_redaction_mode", [options.entity_redaction_mode]))
    asked.append(("transcript_edit", [options.transcript_edit] if options.transcript_edit else []))
    asked.append(("enable_logging", [] if options.enable_logging else ["false"]))
    interval = options.keepalive_interval_ms
    asked.append(("keepalive_interval_ms", [_decimal(interval)] if interval else []))
    return asked


def _secondary(options: ElevenLabs) -> list[str]:
    return list(dict.fromkeys(map(base_language, options.secondary_languages)))


def _decimal(number: float) -> str:
    """No exponent and no more digits than it has: 1.5, 700."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


# The echo


def differences(settings: ProviderSection, config: dict[str, Any]) -> list[Difference]:
    """What the service says that it does in `config` of `session_started`, and was not asked to.

    A key that is missing says nothing; `enable_logging` is "disable_logging" on the wire. Never
    raises, whatever `config` holds.
    """
    said = dict(config)
    if isinstance(disabled := said.get("disable_logging"), bool):
        said.setdefault("enable_logging", not disabled)
    found = [
        (name, _shown(asked), _shown(said[name]))
        for name, asked, is_met in _expected(settings)
        if name in said and not is_met(asked, said[name])
    ]
    return found + _strategy(settings.elevenlabs.commit_strategy, said)


def _expected(settings: ProviderSection) -> list[tuple[str, Any, Any]]:
    """Each parameter that has an echo: its name, what was asked for, and how the two compare."""
    options = settings.elevenlabs
    expected: list[tuple[str, Any, Any]] = [
        ("model_id", options.model_id, _is_same_or_silent),
        ("audio_format", AUDIO_FORMAT, _is_same_or_silent),
        ("sample_rate", RATE, _is_same_or_silent),
        ("language_code", language(settings), _is_language),
        ("secondary_languages", _secondary(options), _are_languages),
        *((name, getattr(options, name), _is_flag) for name in FLAGS),
        ("enable_logging", options.enable_logging, _is_same_or_silent),
        ("keyterms", list(options.keyterms), _is_set),
        ("entity_detection", list(options.entity_detection), _are_entities),
        ("entity_redaction", list(options.entity_redaction), _are_entities),
        ("transcript_edit", options.transcript_edit or None, _is_set),
        ("keepalive_interval_ms", options.keepalive_interval_ms or None, _is_number),
    ]
    if options.entity_redaction:
        mode = options.entity_redaction_mode
        expected.append(("entity_redaction_mode", mode, _is_same_or_silent))
    if options.commit_strategy != "manual":
        expected += [(n, getattr(options, n), _is_number) for n in OF_VAD if getattr(options, n)]
    return expected


def _strategy(asked: str, config: dict[str, Any]) -> list[Difference]:
    """Of the commit strategy, which comes under two names; one may be a boolean.

    Whether `vad_commit_strategy` is true for turn prediction nobody says.
    """
    for name in ("commit_strategy", "vad_commit_strategy"):
        echoed = config.get(name)
        if isinstance(echoed, str):
            differs = echoed != asked
            return [("commit_strategy", _shown(asked), _shown(echoed))] if differs else []
        if isinstance(echoed, bool) and asked != "turn_prediction" and echoed != (asked == "vad"):
            return [("vad_commit_strategy", _shown(asked == "vad"), _shown(echoed))]
    return []


def _is_same_or_silent(asked: Any, echoed: Any) -> bool:
    alike = isinstance(echoed, bool) is isinstance(asked, bool)
    return echoed is None or (alike and bool(echoed == asked))


def _is_flag(asked: bool, echoed: Any) -> bool:
    return asked is (False if echoed is None else echoed)


def _is_number(asked: float | None, echoed: Any) -> bool:
    """The service may have made a float of 32 bits of it; 0 and null are both "off"."""
    if isinstance(echoed, bool) or not isinstance(echoed, (int, float, type(None))):
        return False
    return (asked or 0) * (1 - 1e-6) <= (echoed or 0) <= (asked or 0) * (1 + 1e-6)


def _is_language(asked: str | None, echoed: Any) -> bool:
    if asked is None or not isinstance(echoed, str):
        return asked is None and not echoed
    return canonical(echoed) == canonical(asked)


def _are_languages(asked: list[str], echoed: Any) -> bool:
    return {canonical(code) for code in _texts(echoed)} == {canonical(code) for code in asked}


def _is_set(asked: Any, echoed: Any) -> bool:
    return set(_texts(echoed)) == set(_texts(asked))


def _are_entities(asked: list[str], echoed: Any) -> bool:
    said = set(_texts(echoed))
    if said and ENTITY_CATEGORIES & set(asked):
        return True  # it may have been spelt out
    return said == set(asked)


def _texts(value: Any) -> list[str]:
    """The strings in a list, or the one that there is instead; what is empty is nothing."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [v if isinstance(v, str) else _shown(v) for v in values if v]


def _shown(value: Any) -> str:
    """`value` as JSON, on one line of bounded length."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return "(nested too deeply)"
    text = "".join(char if char.isprintable() else " " for char in text[:MAX_SHOWN])
    return text if len(text) < MAX_SHOWN else text[:-1] + "…"
