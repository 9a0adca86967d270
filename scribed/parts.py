"""What the configuration chooses: the source, the session, the connection.

A library is imported only where it is used; the daemon and `scribed transcribe` share this.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scribed import __version__, kinds
from scribed.capture.conditioning import Conditioner, Stage
from scribed.capture.floor import Floor
from scribed.capture.gate import Gate
from scribed.capture.sources.urls import is_stream
from scribed.capture.two_stage import BELIEVES_MS, Confirmation, TwoStage
from scribed.config import Audio, Config, MetricsSection, ProviderSection
from scribed.endpoints import door
from scribed.errors import ConfigError, ScribedError, SourceError
from scribed.interfaces import Judge, Request, Session, Source, Vad
from scribed.metrics import Family
from scribed.overview import Constants
from scribed.service.credentials import api_key, configured_key, key_problem, may_be_keyless
from scribed.uplink.connection import Connection, tls_context
from scribed.worker import Mailbox

if TYPE_CHECKING:
    from scribed.capture.recorder import Recorder
    from scribed.capture.sources.opening import Look
    from scribed.service.scraped import Scraped

logger = logging.getLogger(__name__)

STDIN_CLOSED = (
    'audio.source: standard input is closed; pipe raw s16le into it, or use "alsa" or "file"'
)

CORNER_HZ = 80.0
"""`audio.high_pass = true`: below every voice, and above most of what is carried by a chassis."""


class Provider:
    """The configured speech service: makes its sessions and connections. For any thread.

    The constructor raises `ScribedError` where `provider.ca_file` cannot be used.
    """

    def __init__(self, settings: ProviderSection, environ: Mapping[str, str]) -> None:
        self._settings, self._environ = settings, environ
        self._context = tls_context(settings.ca_file) if settings.ca_file else None

    def check(self) -> None:
        """Raises `ScribedError` where there is no credential."""
        if problem := key_problem(self._settings, self._environ):
            raise ScribedError(problem)

    def session(self, previous_text: str) -> Session:
        """One connection's session, with the credential as it is now.

        `previous_text` is what was said just before. Raises `ScribedError` where there is no
        credential, `TransportError` where a token for it cannot be had now.
        """
        settings, key = self._settings, self._key()
        match settings.name:
            case "elevenlabs":
                from scribed.uplink.providers.elevenlabs import (
                    ElevenLabsSession,
                )

                token = self._token(key)
                return ElevenLabsSession(settings, key, token=token, previous_text=previous_text)
            case "openmind":
                from scribed.uplink.providers.openmind import OpenMindSession

                return OpenMindSession(settings, key)

    def connect(self, request: Request) -> Connection:
        """Raises `TransportError`."""
        return Connection(request, timeout_s=self._settings.connect_timeout_s, tls=self._tls())

    def _tls(self) -> ssl.SSLContext | None:
        """Made for the first connection: 16 ms and 2 MB, which a start need not wait for."""
        if self._context is None and not self._settings.url.startswith("ws://"):
            self._context = tls_context("")
        return self._context

    def _key(self) -> str:
        if may_be_keyless(self._settings):
            return configured_key(self._settings, self._environ) or ""
        return api_key(self._settings, self._environ)

    def _token(self, key: str) -> str:
        if self._settings.elevenlabs.auth == "key":
            return ""
        from scribed.service.tokens import mint  # http.client, by need

        return mint(self._settings, key or None, tls=self._tls())


def constants(config: Config) -> Constants:
    """What `state` says of the configuration."""
    return Constants(
        version=__version__,
        config_sha=hashlib.sha256(msgspec.json.encode(config)).hexdigest()[:12],
        language=None if config.provider.language == "auto" else config.provider.language,
        stall_s=stall_s(config.audio),
        frame_ms=config.audio.frame_ms,
        fast_words=bool(config.transcript.fast_words),
    )


def vad(config: Config) -> Callable[[], Judge]:
    """What makes the configured detector of voices.

    Where the neural library is absent, or does not load, the noise floor alone is the second stage;
    the journal says so.
    """
    from scribed.capture.vad import WebRtcVad  # only where the gate runs

    if config.vad.engine == "webrtc":
        return lambda: WebRtcVad(config.vad.aggressiveness)
    return lambda: _two_stage(config, WebRtcVad(config.vad.aggressiveness))


def _two_stage(config: Config, first: Vad) -> Judge:
    from scribed.capture import silero  # by need

    frame_ms = config.audio.frame_ms
    confirmation, problem = None, None
    try:
        confirmation = Confirmation(silero.Silero(), silero.CHUNK_BYTES, frame_ms)
    except ScribedError as exc:
        problem = str(exc)
    stages, why = gate_stages(config, neural=problem is None), problem and f" ({problem})"
    logger.info("gate: %s%s", stages, why or "", extra=kinds.GATE_STAGES(error=problem))
    return TwoStage(first, Floor(frame_ms), confirmation, frame_ms)


def gate_stages(config: Config, *, neural: bool) -> str:
    """What judges a frame, in words."""
    if config.vad.engine == "webrtc":
        return "webrtcvad"
    return f"webrtcvad, then the noise floor{' and Silero' if neural else ' alone'}"


def gate(config: Config) -> Gate:
    """The gate as `[vad]` has it, and as much more pre-roll as the engine takes to believe."""
    vad = config.vad
    return Gate(
        frame_ms=config.audio.frame_ms,
        pre_roll_ms=vad.pre_roll_ms + (BELIEVES_MS if vad.engine == "two_stage" else 0),
        start_ms=vad.start_ms,
        start_window_ms=vad.start_window_ms,
        hangover_ms=vad.hangover_ms,
        early_commit_ms=vad.early_commit_ms,
        min_utterance_ms=vad.min_utterance_ms,
        max_utterance_s=vad.max_utterance_s,
    )


def conditioner(audio: Audio) -> Conditioner | None:
    """What is done to the sound before gate and uplink hear it; None: nothing.

    `check_cleaning()` says whether all that it needs is installed.
    """
    shared: list[Stage] = []
    if audio.high_pass:
        from scribed.capture.shaping import HighPass

        corner_hz = CORNER_HZ if audio.high_pass is True else audio.high_pass
        shared.append(HighPass(corner_hz, audio.gain_db))
    elif audio.gain_db:
        from scribed.capture.shaping import Gain

        shared.append(Gain(audio.gain_db))
    for_gate, for_uplink = (
        (audio.auto_gain in (True, where), audio.noise_suppression in (True, where))
        for where in ("gate", "uplink")
    )
    gate = _cleaner(*for_gate)
    uplink = gate if for_gate == for_uplink else _cleaner(*for_uplink)
    return Conditioner(shared, gate, uplink) if shared or gate or uplink else None


def check_cleaning(audio: Audio) -> None:
    """Raises `ConfigError` where automatic gain or noise suppression is on and not installed."""
    wanted = [key for key in ("auto_gain", "noise_suppression") if getattr(audio, key)]
    try:
        _cleaner(auto_gain=bool(wanted), noise_suppression=False)
    except ImportError as exc:
        lines = [
            f"audio.{key}: needs the package webrtc-noise-gain ({exc}); install scribed[signal] "
            "(pip install 'scribed[signal]'), or leave it false"
            for key in wanted
        ]
        raise ConfigError(lines) from exc


def check_metrics(metrics: MetricsSection) -> None:
    """Raises `ConfigError` where figures are to be served and what that needs is not installed."""
    try:
        _encoder(metrics)
    except ImportError as exc:
        line = (
            f"metrics.listen: needs the package prometheus-client ({exc}); install "
            "scribed[metrics] (pip install 'scribed[metrics]'), or leave it empty"
        )
        raise ConfigError([line]) from exc


def scraped(
    settings: MetricsSection, collect: Callable[[], Iterable[Family]], supervisor: Mailbox[Any]
) -> Scraped | None:
    """Who serves what `collect` gathers, in a thread of its own; None: nobody wants that."""
    encode = _encoder(settings)
    if encode is None:
        return None

    def answer(accept: str) -> tuple[bytes, str]:
        return encode(collect(), accept)

    from scribed.service.scraped import Scraped

    return Scraped(door(settings.listen), answer, supervisor=supervisor)


Encoder = Callable[[Iterable[Family], str], tuple[bytes, str]]


def _encoder(settings: MetricsSection) -> Encoder | None:
    if not settings.listen:
        return None
    from scribed.exposition import encoded  # an optional dependency

    return encoded


def _cleaner(auto_gain: bool, noise_suppression: bool) -> Stage | None:
    if not (auto_gain or noise_suppression):
        return None
    from scribed.capture.cleaning import Cleaner  # an optional dependency

    return Cleaner(auto_gain=auto_gain, noise_suppression=noise_suppression)


def gate_settings(config: Config) -> dict[str, Any]:
    """All that the gate depends on, by key path: what a recording tells of it."""
    vad = {f"vad.{name}": getattr(config.vad, name) for name in config.vad.__struct_fields__}
    return {"audio.frame_ms": config.audio.frame_ms, **vad}


def recorder(config: Config) -> Recorder | None:
    """What keeps the last seconds; None: nothing is to be kept in memory."""
    wanted = config.recorder
    if not wanted.seconds:
        return None
    from scribed.capture.recorder import Recorder

    return Recorder(wanted.seconds, wanted.on, gate_settings(config), __version__)


def reopens(audio: Audio) -> bool:
    """Whether the source is opened again when it is lost: a microphone, a stream."""
    return audio.source == "alsa" or (audio.source == "url" and is_stream(audio.path))


def stall_s(audio: Audio) -> float:
    """How long the source may be silent: a stream comes in bursts, and has its own patience."""
    if audio.source != "url":
        return audio.stall_s
    from scribed.capture.sources.ffmpeg import PATIENCE_S

    return max(audio.stall_s, PATIENCE_S + 1.0)


def silent_s(audio: Audio) -> float | None:
    """How long digital silence may last; None: it is no fault.

    Only a converter always has noise. What a file, a pipe or a stream brings was made by a program,
    to which silence may be zeros: a synthesizer, a codec between two sentences.
    """
    return audio.silent_s if audio.source == "alsa" else None


def source(audio: Audio) -> Callable[[], Source]:
    """What opens the configured source, or raises `SourceError`."""
    return _microphone(audio) if audio.source == "alsa" else lambda: _open(audio)


def _microphone(audio: Audio) -> Callable[[], Source]:
    """Remembers between two tries what takes libasound long."""

    @functools.cache
    def look() -> Look:
        from scribed.capture.sources.alsa import SoundCards

        return SoundCards()

    def opened() -> Source:
        from scribed.capture.sources.alsa import AlsaSource

        return AlsaSource(audio, look=look())

    return opened


def _open(audio: Audio) -> Source:
    match audio.source:
        case "file" if _is_wav(audio.path):
            from scribed.capture.sources.pcm import FileSource

            return FileSource(audio)
        case "stdin":
            if sys.stdin is None:  # closed at the start: descriptor 0 is one of our own by now
                raise SourceError(STDIN_CLOSED)
            from scribed.capture.sources.pcm import StdinSource

            return StdinSource(audio)
        case _:
            from scribed.capture.sources.ffmpeg import FfmpegSource

            return FfmpegSource(audio)


def _is_wav(path: str) -> bool:
    """Whether scribed reads it by itself; what cannot be opened is its own reader's to say."""
    try:
        with Path(path).expanduser().open("rb") as file:
            magic = file.read(12)
    except (OSError, ValueError, RuntimeError):
        return True
    return magic[:4] in (b"RIFF", b"RIFX", b"RF64") or not magic
