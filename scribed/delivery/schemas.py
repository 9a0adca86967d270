"""What the messages say: a struct for each schema of the contract. Pure.

Every field is always there, `null` is unknown. Consumers ignore unknown fields; a field never
changes its type.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scribed.model import Device, Entity, Link, Provider, UtteranceId, Word


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The header of every JSON payload; the tag is its `schema`."""

    robot: str
    source: str
    run_id: str
    t: str


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    end_to_publish_ms: int | None
    first_partial_ms: int | None
    provider_ms: int | None
    onset_to_gate_ms: int | None
    gate_to_first_byte_ms: int | None
    end_to_commit_ms: int | None
    commit_to_text_ms: int | None
    text_to_publish_ms: int | None


class Transcript(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.transcript/1"):
    """On `transcript`, `late` and `partial`."""

    utterance_id: UtteranceId
    seq: int
    rev: int
    is_final: bool
    final_reason: str | None
    continues: UtteranceId | None
    text: str
    norm: str
    caution: list[str]
    language: str | None
    language_source: str | None
    confidence: float | None
    words: tuple[Word, ...] | None
    entities: tuple[Entity, ...] | None
    redacted_text: str | None
    edited_text: str | None
    warnings: tuple[str, ...] | None
    start_unix_ms: int
    end_unix_ms: int | None
    emit_unix_ms: int
    age_ms: int | None
    expires_at: str
    clock_synced: bool | None
    boot_id: str
    mono_start_ns: int
    mono_end_ns: int | None
    mono_emit_ns: int
    audio_ms: int | None
    audio_lost_ms: int | None
    level_dbfs: float | None
    snr_db: float | None
    trigger: str
    latency: Latency
    provider: Provider
    attempt: int | None
    while_robot_speaking: bool | None
    while_robot_moving: bool | None
    late_reason: str | None
    restated: bool


class FastWord(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.word/1"):
    """On `word/<slug>`."""

    utterance_id: UtteranceId
    seq: int
    rev: int
    word: str
    is_final: bool
    text: str
    caution: list[str]
    expires_at: str


class Speech(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.speech/1"):
    active: bool
    utterance_id: UtteranceId
    seq: int


class Ended(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.ended/1"):
    utterance_id: UtteranceId
    seq: int
    outcome: str
    start_unix_ms: int
    end_unix_ms: int | None


class EventMessage(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.event/1"):
    event: str
    detail: dict[str, object]


class AlertMessage(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.alert/1"):
    code: str
    severity: str
    since: str
    message: str
    remedy: str


class ReplyError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class Done(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.reply/1"):
    """The reply to a command that was carried out."""

    cmd: str
    req: str | None
    result: dict[str, Any]
    ok: bool = True


class NotDone(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.reply/1"):
    """The reply to a command that changed nothing."""

    cmd: str
    req: str | None
    error: ReplyError
    ok: bool = False


class MetricsMessage(Message, frozen=True, kw_only=True, tag_field="schema", tag="stt.metrics/1"):
    metrics: dict[str, float]


class Metrics(msgspec.Struct, frozen=True):
    """Figures of the daemon by their Prometheus names: posted every 15 s."""

    values: dict[str, float]


class Muted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the microphone is closed on purpose, and on whose: posted by the daemon on change."""

    on: bool
    reasons: tuple[str, ...] = ()


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for an answer."""

    utterances: int = 0
    seconds: float = 0.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon is, but for its link."""

    hearing: bool | None = None
    hearing_reason: str = "starting"
    state: str = "starting"
    mute_reasons: tuple[str, ...] = ()
    device: Device = Device("")
    level_dbfs: float | None = None
    noise_floor_dbfs: float | None = None
    heard: str | None = None
    last_frame_age_ms: int | None = None
    last_final_age_s: float | None = None
    backlog: Backlog = Backlog()
    echo_signal: str = "never"
    fast_words: str | None = None
    language: str | None = None
    overrides: dict[str, object] = {}
    clock_synced: bool | None = None
    version: str = ""
    config_sha: str | None = None
    config_on_disk_differs: bool | None = None


class State(Facts, frozen=True, kw_only=True):
    """How the daemon is: posted by the daemon on change and every 30 s."""

    link: Link = Link()


class LinkMessage(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    since: str
    last_error: str | None


class StateMessage(Facts, frozen=True, kw_only=True, tag_field="schema", tag="stt.state/1"):
    robot: str  # the header once more: a struct has but one base with fields
    source: str
    run_id: str
    t: str
    link: LinkMessage
