"""What is wrong between keys, or with the form of a value that no type can say. Pure.

`section.key: what is wrong, what is allowed`, a line for each; `refusal()` has that form.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import urlsplit

from scribed.config import Audio, Config, ElevenLabs, Mqtt, ProviderSection, Recorder
from scribed.endpoints import MAX_SOCKET_PATH, door, is_host, is_loopback
from scribed.text import slug

UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that fit into no name, path or line: controls, and what in a variable was no UTF-8."""
MAX_KEYTERMS = 50
MAX_KEYTERM = 20
"""The service ends a session that has more keyterms, or longer ones (in characters)."""
MIN_EARLY_MS = 100
MAX_FAST_WORDS, MAX_FAST_WORD = 32, 40
"""Each is looked for in each partial; and a phrase that is longer is no word of command."""
MIN_VAD_THRESHOLD = 0.1
MIN_KEEPALIVE_MS = 500
_RECORDED_PER_S = 33_000
_MAX_SHOWN = 80
_MAY_HOLD_A_SECRET = frozenset(
    [
        "audio.path",
        "provider.url",
        "provider.key_file",
        "provider.elevenlabs.token_url",
        "provider.elevenlabs.token_command",
        "mqtt.password_file",
        "mqtt.key_file",
    ]
)
"""Keys that people put a secret into by mistake: a value that is not allowed is not repeated."""
_LANGUAGE = re.compile("[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_URL_PATH = re.compile("/[!-~]*")
_ENTITY = re.compile("[a-z][a-z0-9_]*")


def contradictions(config: Config) -> list[str]:
    """Every problem of a configuration whose values are each allowed by themselves."""
    problems = [*_audio_problems(config.audio), *_vad_problems(config)]
    retry, spool, cost = config.retry, config.spool, config.cost
    if retry.initial_s > retry.max_s:
        problems.append(
            f"retry.initial_s: {retry.initial_s} is longer than retry.max_s = {retry.max_s}"
        )
    if spool.runtime_max_mb > spool.max_mb:
        problems.append(
            f"spool.runtime_max_mb: {spool.runtime_max_mb} is more than spool.max_mb = "
            f"{spool.max_mb}; make it at most as much: what is in the one has to fit into the other"
        )
    problems += _recorder_problems(config.recorder)
    problems += _provider_problems(config.provider)
    problems += _elevenlabs_problems(config.provider.elevenlabs)
    problems += _fast_word_problems(config.transcript.fast_words)
    problems += _topic_problems(config.mqtt.topic)
    if config.metrics.listen:
        try:
            door(config.metrics.listen)
        except ValueError as exc:
            problems.append(refusal("metrics.listen", config.metrics.listen, str(exc)))
    problems += _broker_problems(config.mqtt)
    if cost.at_limit != "warn" and not cost.daily_limit_s:
        problems.append(
            f"cost.at_limit: {show(cost.at_limit)} needs a limit; "
            "say in cost.daily_limit_s how many seconds a day may cost"
        )
    return problems


def _recorder_problems(recorder: Recorder) -> list[str]:
    """A recording is as long as is kept, and up to 2 s more, with two characters for each frame."""
    needed = math.ceil((recorder.seconds + 2) * _RECORDED_PER_S / 2**20)
    if not recorder.seconds or recorder.max_mb >= needed:
        return []
    return [
        f"recorder.max_mb: {recorder.max_mb} has no room for one recording of recorder.seconds = "
        f"{recorder.seconds}; make it at least {needed}"
    ]


def refusal(path: str, value: Any, allowed: str) -> str:
    """The problem of a key whose value is not allowed, without the value where it may be secret."""
    shown = "the value" if path in _MAY_HOLD_A_SECRET else show(value)
    return f"{path}: {shown} is not allowed; {allowed}"


def show(value: Any) -> str:
    """`value` as the file has it, on one line of bounded length."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = UNFIT.sub(lambda char: f"\\u{ord(char[0]):04x}", shown)
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"


def _audio_problems(audio: Audio) -> list[str]:
    problems = []
    if audio.source == "url":
        problems += [
            f'audio.{name}: ffmpeg sees to that with audio.source = "url"; leave it 0'
            for name in ("rate", "channels")
            if getattr(audio, name)
        ]
    if isinstance(audio.channel, str) and audio.channel != "mix":
        problems.append(refusal("audio.channel", audio.channel, '"mix", or a number from 0'))
    if isinstance(audio.channel, int) and not 0 <= audio.channel < (audio.channels or 8):
        allowed = f"a number from 0 to {(audio.channels or 8) - 1}"
        problems.append(refusal("audio.channel", audio.channel, allowed))
    needed = {"file": "name a recording", "url": "name a URL that ffmpeg can read"}
    if audio.source in needed and not audio.path:
        problems.append(
            f'audio.path: is needed with audio.source = "{audio.source}"; {needed[audio.source]}'
        )
    if not audio.device:
        problems.append('audio.device: is empty; "auto" or the name of an ALSA capture device')
    return problems


def _vad_problems(config: Config) -> list[str]:
    vad, early_ms = config.vad, config.vad.early_commit_ms
    problems = []
    if vad.start_ms > vad.start_window_ms:
        problems.append(
            f"vad.start_ms: {vad.start_ms} does not fit into vad.start_window_ms = "
            f"{vad.start_window_ms}; make it at most as long"
        )
    if not early_ms:
        return problems
    key, strategy = "vad.early_commit_ms", config.provider.elevenlabs.commit_strategy
    if early_ms < MIN_EARLY_MS:
        problems.append(f"{key}: {early_ms} is too short; 0 (off), or at least {MIN_EARLY_MS}")
    elif early_ms >= vad.hangover_ms:
        problems.append(
            f"{key}: {early_ms} is not before vad.hangover_ms = {vad.hangover_ms} has ended the "
            "utterance; make it shorter, or 0 (off)"
        )
    elif config.provider.name != "elevenlabs":
        problems.append(f'{key}: needs provider.name = "elevenlabs"; else 0 (off)')
    elif strategy != "manual":
        problems.append(
            f'{key}: needs provider.elevenlabs.commit_strategy = "manual", '
            f"and it is {show(strategy)}; else 0 (off)"
        )
    return problems


def _provider_problems(provider: ProviderSection) -> list[str]:
    problems = _url_problems("provider.url", provider.url)
    if provider.region and provider.url:
        problems.append("provider.region: has no effect beside provider.url; leave out one of them")
    elif provider.region and provider.name != "elevenlabs":
        problems.append(f"provider.region: {provider.name} has none; leave it out")
    return problems + _language_problems("provider.languages", provider.languages)


def _elevenlabs_problems(options: ElevenLabs) -> list[str]:
    at = "provider.elevenlabs."
    problems = _token_problems(options)
    if 0 < options.vad_threshold < MIN_VAD_THRESHOLD:
        allowed = f"0 (the service's own), or at least {MIN_VAD_THRESHOLD}"
        problems.append(refusal(f"{at}vad_threshold", options.vad_threshold, allowed))
    problems += _language_problems(f"{at}secondary_languages", options.secondary_languages)
    problems += _keyterm_problems(options.keyterms)
    if options.filter_background_audio and options.include_timestamps:
        problems.append(
            f"{at}filter_background_audio: the service refuses it together with "
            "include_timestamps; set include_timestamps = false"
        )
    for name in ("entity_detection", "entity_redaction"):
        entities = getattr(options, name)
        wrong = [entity for entity in entities if not _ENTITY.fullmatch(entity)]
        if wrong:
            problems.append(
                f'{at}{name}: {show(wrong[0])} is not allowed; "all", a category as "pii", '
                'or a type as "email_address"'
            )
        elif entities and options.transcript_edit:
            problems.append(
                f"{at}{name}: the service refuses it together with transcript_edit; "
                "leave out one of them"
            )
    if 0 < options.keepalive_interval_ms < MIN_KEEPALIVE_MS:
        allowed = f"0 (off), or at least {MIN_KEEPALIVE_MS}"
        problems.append(
            refusal(f"{at}keepalive_interval_ms", options.keepalive_interval_ms, allowed)
        )
    return problems


def _token_problems(options: ElevenLabs) -> list[str]:
    at = "provider.elevenlabs."
    given = [name for name in ("token_url", "token_command") if getattr(options, name)]
    if given and options.auth != "token":
        return [f'{at}{name}: has an effect only with auth = "token"' for name in given]
    if len(given) > 1:
        return [f"{at}token_url: there is a token_command as well; leave out one of them"]
    if options.token_command and not options.token_command[0]:
        return [f"{at}token_command: names no command; the list begins with a program"]
    return _url_problems(f"{at}token_url", options.token_url, scheme="https")


def _keyterm_problems(keyterms: tuple[str, ...]) -> list[str]:
    key = "provider.elevenlabs.keyterms"
    problems = []
    if len(keyterms) > MAX_KEYTERMS:
        extra = show(keyterms[MAX_KEYTERMS])
        problems.append(f"{key}: {len(keyterms)} are too many; at most {MAX_KEYTERMS}, "
                        f"leave out those from {extra} on")  # fmt: skip
    for term in keyterms:
        if not term.strip():
            problems.append(f"{key}: one is empty; leave it out")
        elif len(term) > MAX_KEYTERM:
            problems.append(
                f"{key}: {show(term)} has {len(term)} characters; at most {MAX_KEYTERM} each"
            )
    return problems


def _fast_word_problems(fast_words: tuple[str, ...]) -> list[str]:
    key, problems = "transcript.fast_words", []
    if len(fast_words) > MAX_FAST_WORDS:
        problems.append(f"{key}: {len(fast_words)} are too many; at most {MAX_FAST_WORDS}")
    first: dict[str, str] = {}
    for word in fast_words:
        level = slug(word)
        if not level:
            problems.append(f'{key}: {show(word)} has no word in it; letters or digits, as "stop"')
        elif len(word) > MAX_FAST_WORD:
            problems.append(
                f"{key}: {show(word)} has {len(word)} characters; at most {MAX_FAST_WORD} each"
            )
        elif level in first:
            problems.append(
                f"{key}: {show(word)} and {show(first[level])} are both word/{level}; "
                "leave out one of them"
            )
        first.setdefault(level, word)
    return problems


def _language_problems(key: str, codes: tuple[str, ...]) -> list[str]:
    return [
        f'{key}: {show(code)} is not allowed; ISO 639 codes, as "en" or "deu"'
        for code in codes
        if not _LANGUAGE.fullmatch(code)
    ]


def _url_problems(key: str, url: str, *, scheme: str = "wss") -> list[str]:
    """What is wrong with the URL at `key`, which may be empty; unencrypted only to this machine."""
    if not url:
        return []
    form = refusal(key, url, f"{scheme}://HOST[:PORT][/PATH]")
    plain = {"wss": "ws", "https": "http"}[scheme]
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            return [f"{key}: holds a user or a query; a key belongs into provider.key_file"]
        port = parts.port
    except ValueError:  # no number from 0 to 65535, or half a pair of brackets
        return [form]
    if parts.scheme not in (scheme, plain) or not parts.hostname or port == 0:
        return [form]
    if parts.scheme == plain and not is_loopback(parts.hostname):
        what = "speech and key" if scheme == "wss" else "key and token"
        return [
            f"{key}: {plain}:// would send {what} unencrypted to {parts.hostname}; "
            f"use {scheme}://, {plain}:// is for a loopback address only"
        ]
    return []


def _broker_problems(mqtt: Mqtt) -> list[str]:
    problems = []
    if mqtt.password_file and not mqtt.username:
        problems.append("mqtt.username: is empty, but there is a mqtt.password_file; name the user")
    problems += _host_problems(mqtt.host)
    if mqtt.transport == "unix":
        if not mqtt.path.startswith("/") or len(mqtt.path.encode()) > MAX_SOCKET_PATH:
            allowed = f"the whole path of the broker's socket, of at most {MAX_SOCKET_PATH} bytes"
            problems.append(refusal("mqtt.path", mqtt.path, allowed))
        if mqtt.tls:
            problems.append("mqtt.tls: a Unix socket needs none; leave it false")
    elif mqtt.path and mqtt.transport == "tcp":
        problems.append('mqtt.path: is for mqtt.transport = "websockets" or "unix"; leave it empty')
    elif mqtt.path and not _URL_PATH.fullmatch(mqtt.path):
        problems.append(refusal("mqtt.path", mqtt.path, 'a path of a URL, as "/mqtt"'))
    if mqtt.cert_file and not mqtt.tls:
        problems.append("mqtt.cert_file: has an effect only with mqtt.tls = true")
    if mqtt.key_file and not mqtt.cert_file:
        problems.append("mqtt.key_file: there is no mqtt.cert_file whose key it is; name it")
    return problems


def _host_problems(host: str) -> list[str]:
    if not host:
        return ["mqtt.host: is empty; name the broker's host"]
    if is_host(host):
        return []
    return [  # it may be a URL with a password in it: not repeated
        "mqtt.host: is no host's name or address alone; the port belongs into mqtt.port, the user "
        "into mqtt.username, the password into the file of mqtt.password_file"
    ]


def _topic_problems(topic: str) -> list[str]:
    rest = topic.replace("{robot}", "").replace("{source}", "")
    if "{" in rest or "}" in rest:
        return [refusal("mqtt.topic", topic, "only {robot} and {source} may stand in braces")]
    if not topic or topic.startswith(("/", "$")) or topic.endswith("/") or set(topic) & set("#+"):
        allowed = (
            "levels divided by /, without # and +, not starting with / or $, not ending with /"
        )
        return [refusal("mqtt.topic", topic, allowed)]
    return []
