"""What a changed configuration asks of a daemon that runs. Pure.

Each key takes effect in one of five ways (`EFFECTS`); a test holds that none is forgotten, and
docs/reload.md against the table.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from scribed.config import Config
from scribed.configfile import flatten
from scribed.contradictions import contradictions
from scribed.errors import ConfigError


class Effect(enum.Enum):
    """How a changed key takes effect; capture and uplink wait until nobody is in mid-sentence."""

    LIVE = "live"  # nothing is closed
    SESSION = "session"  # a new connection to the provider, between two utterances
    BROKER = "broker"  # a new connection to the broker, when it has acknowledged what it was sent
    DEVICE = "device"  # the microphone is opened anew, between two utterances
    RESTART = "restart"  # not while it runs: refused, and named


_BY_SECTION: dict[str, dict[Effect, str]] = {
    "robot": {Effect.BROKER: "id source"},
    "audio": {
        Effect.LIVE: "gain_db high_pass auto_gain noise_suppression stall_s silent_s",
        Effect.DEVICE: "device rate channels channel",
        Effect.RESTART: "source frame_ms path pace",
    },
    "vad": {
        Effect.LIVE: "engine aggressiveness pre_roll_ms start_ms start_window_ms hangover_ms "
        "early_commit_ms min_utterance_ms max_utterance_s",
    },
    "listen": {Effect.LIVE: "mode window_s"},
    "recorder": {Effect.RESTART: "seconds on max_mb max_age_h"},
    "provider": {
        Effect.LIVE: "languages connect idle_s connect_timeout_s max_attempts rotate_s",
        Effect.SESSION: "name url region key_file ca_file language chunk_ms answer_timeout_s",
    },
    "provider.elevenlabs": {
        Effect.SESSION: "auth token_url token_command model_id commit_strategy "
        "vad_silence_threshold_secs vad_threshold min_speech_duration_ms min_silence_duration_ms "
        "include_timestamps include_language_detection secondary_languages keyterms no_verbatim "
        "filter_background_audio entity_detection entity_redaction entity_redaction_mode "
        "transcript_edit diarize enable_logging keepalive_interval_ms",
    },
    "provider.openmind": {Effect.SESSION: "route framing trailing_silence_ms settle_s"},
    "retry": {Effect.LIVE: "initial_s max_s refused_s"},
    "spool": {
        Effect.LIVE: "max_mb min_free_mb max_age_h catch_up_rate keep_published_min",
        Effect.RESTART: "durability runtime_max_mb",
    },
    "transcript": {Effect.LIVE: "stale_after_s late partials fast_words log_text"},
    "echo": {Effect.LIVE: "mode lead_ms tail_ms max_s"},
    "motion": {Effect.LIVE: "mode"},
    "mqtt": {
        Effect.LIVE: "commands ros",
        Effect.BROKER: "host port transport path protocol topic client_id username password_file "
        "tls ca_file cert_file key_file keepalive_s will_delay_s home_assistant discovery_prefix "
        "hermes hermes_site",
    },
    "cost": {Effect.LIVE: "price_per_hour daily_limit_s at_limit"},
    "metrics": {Effect.RESTART: "listen"},
    "log": {Effect.LIVE: "level"},
    "shutdown": {Effect.LIVE: "grace_s"},
}

EFFECTS: Mapping[str, Effect] = {
    f"{section}.{name}": effect
    for section, effects in _BY_SECTION.items()
    for effect, names in effects.items()
    for name in names.split()
}
"""How each key takes effect."""


class Plan(Struct, frozen=True):
    """What is to be done to get from one configuration to another."""

    config: Config  #: what is in effect when it is done
    changed: tuple[str, ...] = ()  #: the keys that get other values by it
    refused: tuple[str, ...] = ()  #: those that keep theirs until a restart
    effects: frozenset[Effect] = frozenset()

    def touches(self, *prefixes: str) -> bool:
        """Whether a key changes that is one of these, or of a section with such a name."""
        return any(key == p or key.startswith(f"{p}.") for key in self.changed for p in prefixes)


def plan(old: Config, new: Config, *, reopens: bool = True) -> Plan:
    """How to get from `old` to `new`, both valid, while the daemon runs.

    `reopens`: the source may be opened anew; a file or a pipe would begin anew. Raises
    `ConfigError` where what changes does not go with what a restart only can change.
    """
    before, after = flatten(old), flatten(new)
    differ = [key for key, value in before.items() if after[key] != value]
    effects = {key: _effect(key, reopens=reopens) for key in differ}
    refused = tuple(key for key in differ if effects[key] is Effect.RESTART)
    changed = tuple(key for key in differ if effects[key] is not Effect.RESTART)
    config = with_values(new, {key: before[key] for key in refused})
    if refused and (problems := contradictions(config)):
        until = f"until a restart, which {', '.join(refused)} needs"
        raise ConfigError([f"{problem} ({until})" for problem in problems])
    return Plan(config, changed, refused, frozenset(effects[key] for key in changed))


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """`config` with other values for some keys, each by its path."""
    for path, value in values.items():
        config = _with_value(config, path.split("."), value)
    return config


def _with_value(struct: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    inner = _with_value(getattr(struct, name), rest, value) if rest else value
    return msgspec.structs.replace(struct, **{name: inner})


def _effect(key: str, *, reopens: bool) -> Effect:
    effect = EFFECTS[key]
    return Effect.RESTART if effect is Effect.DEVICE and not reopens else effect
