"""Every key of the configuration: its type, range and default. What a key means stands in
config/scribed.toml, which a test holds against this file.

Secrets are never in here; the `*_file` keys say where they are.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535)]
Level = Annotated[
    str, Meta(pattern="^[a-z0-9_-]*$", description="lower-case letters, digits, _ and -")
]

Language = Annotated[
    str,
    Meta(
        pattern="^(auto|[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*)$",
        description='"auto" or an ISO 639 code, as "en" or "deu"',
    ),
]

Where = Annotated[
    bool | Literal["gate", "uplink"],
    Meta(description='true, false, or one of "gate", "uplink": for that one only'),
]
HighPass = Annotated[
    bool | Annotated[float, Meta(ge=5, le=500)],
    Meta(description="true (80 Hz), false, or a frequency from 5 to 500 Hz"),
]


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all sections; a key is a field, its comment in config/scribed.toml the manual."""


class Robot(_Section, frozen=True):
    id: Level = ""
    source: Level = ""


class Audio(_Section, frozen=True):
    source: Literal["alsa", "file", "stdin", "url"] = "alsa"
    device: str = "auto"
    rate: Literal[0, 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000] = 0
    channels: Annotated[int, Meta(ge=0, le=8)] = 0
    channel: Annotated[str | int, Meta(description='"mix", or the number of a channel from 0')] = (
        "mix"
    )
    frame_ms: Literal[10, 20, 30] = 20
    gain_db: Annotated[float, Meta(ge=-30, le=40)] = 0.0
    high_pass: HighPass = False
    auto_gain: Where = False
    noise_suppression: Where = False
    stall_s: Annotated[float, Meta(ge=0.5, le=60)] = 1.5
    silent_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    path: str = ""
    pace: Literal["realtime", "fast"] = "realtime"


class Vad(_Section, frozen=True):
    engine: Literal["webrtc", "two_stage"] = "two_stage"
    aggressiveness: Annotated[int, Meta(ge=0, le=3)] = 2
    pre_roll_ms: Annotated[int, Meta(ge=0, le=2000)] = 300
    start_ms: Annotated[int, Meta(ge=10, le=1000)] = 60
    start_window_ms: Annotated[int, Meta(ge=10, le=2000)] = 120
    hangover_ms: Annotated[int, Meta(ge=100, le=5000)] = 500
    early_commit_ms: Annotated[int, Meta(ge=0, le=5000)] = 0
    min_utterance_ms: Annotated[int, Meta(ge=0, le=2000)] = 100
    max_utterance_s: Annotated[float, Meta(ge=5, le=28)] = 28.0


class Listen(_Section, frozen=True):
    mode: Literal["always", "on_request"] = "always"
    window_s: Annotated[float, Meta(ge=0.5, le=600)] = 8.0


class ElevenLabs(_Section, frozen=True):
    auth: Literal["key", "token"] = "key"
    token_url: str = ""
    token_command: tuple[str, ...] = ()
    model_id: Literal[
        "scribe_v2_realtime",
        "scribe_v2_realtime_turbo",
        "scribe_v2_realtime_lite",
        "scribe_v3_live",
    ] = "scribe_v2_realtime"
    commit_strategy: Literal["manual", "vad", "turn_prediction"] = "manual"
    vad_silence_threshold_secs: Annotated[float, Meta(ge=0.3, le=3)] = 1.5
    vad_threshold: Annotated[float, Meta(ge=0, le=0.9)] = 0.0
    min_speech_duration_ms: Annotated[int, Meta(ge=50, le=2000)] = 100
    min_silence_duration_ms: Annotated[int, Meta(ge=50, le=2000)] = 100
    include_timestamps: bool = True
    include_language_detection: bool = False
    secondary_languages: tuple[str, ...] = ()
    keyterms: tuple[str, ...] = ()
    no_verbatim: bool = False
    filter_background_audio: bool = False
    entity_detection: tuple[str, ...] = ()
    entity_redaction: tuple[str, ...] = ()
    entity_redaction_mode: Literal["redacted", "entity_type", "enumerated_entity_type"] = (
        "enumerated_entity_type"
    )
    transcript_edit: Annotated[
        str, Meta(max_length=2000, description="an instruction of at most 2000 characters")
    ] = ""
    diarize: bool = False
    enable_logging: bool = True
    keepalive_interval_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0


class OpenMind(_Section, frozen=True):
    route: Literal["elevenlabs", "google", "riva"] = "elevenlabs"
    framing: Literal["json", "binary"] = "json"
    trailing_silence_ms: Annotated[int, Meta(ge=0, le=5000)] = 1500
    settle_s: Annotated[float, Meta(ge=0.2, le=30)] = 2.0


class ProviderSection(_Section, frozen=True):
    name: Literal["elevenlabs", "openmind"] = "elevenlabs"
    url: str = ""
    region: Literal["", "us", "eu", "in", "sg"] = ""
    key_file: str = ""
    ca_file: str = ""
    language: Language = "auto"
    languages: tuple[str, ...] = ()
    connect: Literal["on_speech", "always"] = "on_speech"
    idle_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    chunk_ms: Annotated[int, Meta(ge=20, le=1000)] = 100
    connect_timeout_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    answer_timeout_s: Annotated[float, Meta(ge=1, le=60)] = 4.0
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    rotate_s: Annotated[float, Meta(ge=0, le=86400)] = 480.0
    elevenlabs: ElevenLabs = ElevenLabs()
    openmind: OpenMind = OpenMind()


class Recorder(_Section, frozen=True):
    seconds: Annotated[float, Meta(ge=0, le=120)] = 0.0
    on: tuple[Literal["error", "false_opening", "command"], ...] = (
        "error",
        "false_opening",
        "command",
    )
    max_mb: Annotated[int, Meta(ge=1, le=4096)] = 64
    max_age_h: Annotated[float, Meta(ge=0.01, le=8760)] = 72.0


class Retry(_Section, frozen=True):
    initial_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    max_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    refused_s: Annotated[float, Meta(ge=1, le=86400)] = 300.0


class Spool(_Section, frozen=True):
    durability: Literal["process", "power", "memory"] = "process"
    max_mb: Annotated[int, Meta(ge=2, le=65_536)] = 256
    runtime_max_mb: Annotated[int, Meta(ge=2, le=1024)] = 32
    min_free_mb: Annotated[int, Meta(ge=0, le=65_536)] = 200
    max_age_h: Annotated[float, Meta(ge=0.01, le=720)] = 24.0
    catch_up_rate: Annotated[float, Meta(ge=0.5, le=100)] = 4.0
    keep_published_min: Annotated[float, Meta(ge=0, le=1440)] = 60.0


class TranscriptSection(_Section, frozen=True):
    stale_after_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    late: Literal["publish", "drop"] = "publish"
    partials: bool = True
    fast_words: tuple[str, ...] = ()
    log_text: bool = False


class Echo(_Section, frozen=True):
    mode: Literal["drop", "mark", "barge_in"] = "drop"
    lead_ms: Annotated[int, Meta(ge=0, le=5000)] = 200
    tail_ms: Annotated[int, Meta(ge=0, le=10_000)] = 700
    max_s: Annotated[float, Meta(ge=0.5, le=600)] = 30.0


class Motion(_Section, frozen=True):
    mode: Literal["drop", "mark"] = "mark"


Site = Annotated[
    str,
    Meta(pattern="^[A-Za-z0-9_.-]{0,64}$", description="at most 64 letters, digits, _ . and -"),
]
Prefix = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=64,
        description="levels of letters, digits, _ and -, divided by /",
    ),
]


class Mqtt(_Section, frozen=True):
    host: str = "localhost"
    port: Port = 1883
    transport: Literal["tcp", "websockets", "unix"] = "tcp"
    path: str = ""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    topic: str = "scribed/{robot}/{source}"
    client_id: str = ""
    username: str = ""
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 15
    will_delay_s: Annotated[int, Meta(ge=0, le=3600)] = 5
    commands: tuple[
        Literal[
            "mute",
            "robot_speaking",
            "robot_moving",
            "listen",
            "flush",
            "set_language",
            "set_keyterms",
            "restate",
            "devices",
            "state",
            "record",
            "log_level",
        ],
        ...,
    ] = ("mute", "robot_speaking", "robot_moving", "listen", "flush", "devices", "state")
    home_assistant: Literal["off", "status", "text"] = "off"
    discovery_prefix: Prefix = "homeassistant"
    hermes: bool = False
    hermes_site: Site = ""
    ros: bool = False


class Cost(_Section, frozen=True):
    price_per_hour: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    daily_limit_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    at_limit: Literal["warn", "spool", "stop"] = "warn"


class MetricsSection(_Section, frozen=True):
    listen: str = ""


class Log(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Shutdown(_Section, frozen=True):
    grace_s: Annotated[float, Meta(ge=0, le=60)] = 3.0


class Config(_Section, frozen=True):
    """The whole configuration; each field is a section of the file."""

    robot: Robot = Robot()
    audio: Audio = Audio()
    vad: Vad = Vad()
    listen: Listen = Listen()
    recorder: Recorder = Recorder()
    provider: ProviderSection = ProviderSection()
    retry: Retry = Retry()
    spool: Spool = Spool()
    transcript: TranscriptSection = TranscriptSection()
    echo: Echo = Echo()
    motion: Motion = Motion()
    mqtt: Mqtt = Mqtt()
    cost: Cost = Cost()
    metrics: MetricsSection = MetricsSection()
    log: Log = Log()
    shutdown: Shutdown = Shutdown()
