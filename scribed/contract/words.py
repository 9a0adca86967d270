"""What each field of each message is: its unit, its meaning, its known values, its limits. Pure.

The types are those of `delivery.schemas` and `model`; what is said here is what they cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from scribed.contract import values
from scribed.contract.values import Values
from scribed.delivery import commands, schemas
from scribed.model import Device, Entity, Provider, Word


class Field(NamedTuple):
    """What is to be said about one field."""

    says: str
    known: Values | None = None  #: the values there are now; more may come
    format: str | None = None  #: of JSON Schema
    least: float | None = None
    most: float | None = None


def _time(says: str) -> Field:
    return Field(says + ", RFC 3339 in UTC", format="date-time")


def _count(says: str) -> Field:
    return Field(says, least=0)


def _share(says: str) -> Field:
    return Field(says, least=0, most=1)


Fields = Mapping[str, Field]

HEADER: Fields = {
    "schema": Field("what this message is"),
    "robot": Field("robot.id, as in the topic"),
    "source": Field("the microphone, as in the topic"),
    "run_id": Field("of this process: another one means that the daemon was started anew"),
    "t": _time("when this was written"),
}

_UTTERANCE: Fields = {
    "utterance_id": Field("ULID, opaque: joins all messages of one utterance, also across crashes"),
    "seq": _count("the utterance's number: persistent, rising, never used again"),
}
_START = Field("when its first sample was heard (pre-roll included), ms since the Unix epoch")
_END = Field("the end of its last voiced frame, or of the cut, ms since the Unix epoch")

TRANSCRIPT: Fields = {
    **HEADER,
    **_UTTERANCE,
    "rev": _count("orders the messages within an utterance: ignore lower ones"),
    "is_final": Field("false: it may still change, the last one replaces all before it"),
    "final_reason": Field("what made it final; null in a partial", values.FINAL_REASONS),
    "continues": Field("the utterance_id of the one that was cut by length just before"),
    "text": Field("trimmed, one line, NFC, never empty"),
    "norm": Field("the text without tags, case and punctuation, for programs to compare"),
    "caution": Field(
        "why a machine should not act on this text without asking; empty: nothing speaks against. "
        "An unknown value counts as one",
        values.CAUTIONS,
    ),
    "language": Field("as the service or the configuration names it, such as en or deu"),
    "language_source": Field("who says so", values.LANGUAGE_SOURCES),
    "confidence": _share("of the whole text; null: the service gives none, which is no 0"),
    "words": Field("with their times; null: the service gives none"),
    "entities": Field("names, addresses and the like in the text; null: nobody looked"),
    "redacted_text": Field("the text without what is personal, where that was asked for"),
    "edited_text": Field("the text as the service changed it, where that was asked for"),
    "warnings": Field("of the service, about this session or this text, in its words"),
    "start_unix_ms": _START,
    "end_unix_ms": _END,
    "emit_unix_ms": Field("when this was written, ms since the Unix epoch"),
    "age_ms": _count("from the last voiced frame to this publish, suspend counted, ms"),
    "expires_at": _time("do not act on it from then on"),
    "clock_synced": Field("whether the wall clock was set by NTP or the like"),
    "boot_id": Field("of the machine's boot: mono_*_ns are comparable within one only"),
    "mono_start_ns": Field("start_unix_ms by CLOCK_MONOTONIC of this machine, ns"),
    "mono_end_ns": Field("end_unix_ms by the same clock, ns"),
    "mono_emit_ns": Field("emit_unix_ms by the same clock, ns"),
    "audio_ms": _count("length of the audio without what was lost, ms"),
    "audio_lost_ms": _count("lost inside it, ms"),
    "level_dbfs": Field(
        "mean power of its voiced frames as the microphone gave them, dB of full scale"
    ),
    "snr_db": Field("that above the noise floor, dB"),
    "trigger": Field("what let it be heard", values.TRIGGERS),
    "latency": Field("where the time went"),
    "provider": Field("who made the text"),
    "attempt": Field("1: the first connection answered", least=1),
    "while_robot_speaking": Field("null: the robot has never said when it speaks: not a no"),
    "while_robot_moving": Field("null: the robot has never said when it moves: not a no"),
    "late_reason": Field("why it is not to be obeyed; null but on late", values.LATE_REASONS),
    "restated": Field("asked for by cmd/restate"),
}

STATE: Fields = {
    **HEADER,
    "hearing": Field("whether sound really arrives: frames, and no digital silence"),
    "hearing_reason": Field("why, or why not", values.HEARING_REASONS),
    "state": Field("one word for dashboards: the worst thing that is true", values.STATES),
    "mute_reasons": Field("who muted the microphone; empty: nobody", values.MUTE_REASONS),
    "link": Field("to the speech service"),
    "device": Field("the microphone as it was really opened"),
    "level_dbfs": Field("now, as the microphone gives it, dB of full scale"),
    "noise_floor_dbfs": Field("dB of full scale"),
    "heard": Field("what is heard now, in words for people; null: nothing, or not known"),
    "last_frame_age_ms": _count("ms since the last frame of sound"),
    "last_final_age_s": _count("seconds since the broker had the last transcript"),
    "backlog": Field("what waits for an answer of the service"),
    "echo_signal": Field("whether the robot says when it speaks", values.ECHO_SIGNALS),
    "fast_words": Field("whether fast words can work; null: there are none", values.FAST_WORDS),
    "language": Field("what is configured; null: the service detects it"),
    "overrides": Field("what commands have changed until the next start, by key"),
    "clock_synced": Field("whether the wall clock was set by NTP or the like"),
    "version": Field("of scribed"),
    "config_sha": Field("of the configuration in use"),
    "config_on_disk_differs": Field("whether a reload would change something"),
}

_REPLY: Fields = {
    **HEADER,
    "ok": Field("whether it was done"),
    "cmd": Field("the command"),
    "req": Field("as the command had it"),
}

_ASKING: Fields = {
    "req": Field("comes back in the reply"),
    "expires_at": Field("refused from then on; RFC 3339 with a zone", format="date-time"),
}

_ROBOT: Fields = {
    "on": Field("true: it begins, or goes on; false: it has ended"),
    "id": Field("of one utterance or motion: each is renewed, and ends, by itself"),
    "ttl_ms": Field("over by itself after so long; at most, and by default, echo.max_s"),
    **_ASKING,
}

_DETAILS = "; ".join(
    f"`{name}`: " + ", ".join(f"{key} ({says})" for key, says in each.detail.items())
    for name, each in values.EVENTS.items()
    if each.detail
)

FIELDS: Mapping[type, Fields] = {
    schemas.Transcript: TRANSCRIPT,
    schemas.Latency: {
        "end_to_publish_ms": _count("age_ms of a final"),
        "first_partial_ms": _count("from the utterance's opening to its first partial"),
        "provider_ms": _count("from when the commit had left to the committed text"),
        "onset_to_gate_ms": _count("from the first voiced frame to when the gate opened"),
        "gate_to_first_byte_ms": _count("from then to its first audio on the way to the service"),
        "end_to_commit_ms": _count(
            "from the last voiced frame to when the commit was sent; this "
            "and the two that follow sum to end_to_publish_ms"
        ),
        "commit_to_text_ms": _count("from then to the committed text"),
        "text_to_publish_ms": _count("from then to this publish"),
    },
    Provider: {
        "name": Field("of the service"),
        "model": Field("that made the text"),
        "session_id": Field("as the service named it"),
    },
    Word: {
        "text": Field("the word"),
        "start_ms": _count("from the utterance's first sample, ms"),
        "end_ms": _count("from the utterance's first sample, ms"),
        "confidence": _share("of the word; null: the service gives none"),
        "speaker": Field("where speakers are told apart"),
    },
    Entity: {
        "text": Field("what was found"),
        "type": Field("what it is, in the service's words"),
        "start": _count("its first character in text"),
        "end": _count("behind its last character in text"),
    },
    schemas.FastWord: {
        **HEADER,
        **_UTTERANCE,
        "rev": TRANSCRIPT["rev"],
        "word": Field("as transcript.fast_words has it; the topic has it in normal form"),
        "is_final": Field("false: the text that it is in may still change"),
        "text": Field("where it stands, as on `partial` or `transcript`"),
        "caution": Field(
            "as in `transcript`, and only robot_speaking, robot_moving, more_speech or unsynced: "
            "with any other it is not told"
        ),
        "expires_at": TRANSCRIPT["expires_at"],
    },
    schemas.Speech: {
        **HEADER,
        "active": Field("true: human speech begins; false: it has ended"),
        **_UTTERANCE,
    },
    schemas.Ended: {
        **HEADER,
        **_UTTERANCE,
        "outcome": Field("why there is no text", values.OUTCOMES),
        "start_unix_ms": _START,
        "end_unix_ms": _END,
    },
    schemas.EventMessage: {
        **HEADER,
        "event": Field("what happened", {name: each.means for name, each in values.EVENTS.items()}),
        "detail": Field("what else is known of it. " + _DETAILS),
    },
    schemas.AlertMessage: {
        **HEADER,
        "code": Field("the last level of the topic", values.ALERTS),
        "severity": Field("how bad it is", values.SEVERITIES),
        "since": _time("when it began"),
        "message": Field("what is wrong, in one line"),
        "remedy": Field("what to do"),
    },
    schemas.StateMessage: STATE,
    schemas.LinkMessage: {
        "state": Field("how it stands", values.LINK_STATES),
        "since": _time("since when"),
        "last_error": Field("in words"),
    },
    Device: {
        "name": Field("as the configuration can name it"),
        "rate": Field("Hz as captured", least=1),
        "channels": Field("as captured", least=1),
        "state": Field("how it is", values.DEVICE_STATES),
    },
    schemas.Backlog: {
        "utterances": _count("how many"),
        "seconds": _count("their audio, seconds"),
    },
    schemas.MetricsMessage: {
        **HEADER,
        "metrics": Field("the figures by their Prometheus names; totals are of this run"),
    },
    schemas.Done: {**_REPLY, "result": Field("what the command has to say; by command")},
    schemas.NotDone: {**_REPLY, "error": Field("why it changed nothing")},
    schemas.ReplyError: {
        "code": Field("for programs", values.ERRORS),
        "message": Field("for people: what is wrong, and what is allowed"),
    },
    commands.Mute: {
        "on": Field("true: close the microphone"),
        "purge": Field("also drop what waits for an answer"),
        **_ASKING,
    },
    commands.RobotSpeaking: {
        **_ROBOT,
        "text": Field("what it says: for `echo_text`, by its first 2000 characters"),
    },
    commands.RobotMoving: _ROBOT,
    commands.Listen: {
        "ttl_ms": Field("for how long from now; 0: no longer. null: listen.window_s"),
        **_ASKING,
    },
    commands.Flush: _ASKING,
    commands.Restate: {"since_seq": Field("the highest seq that you have"), **_ASKING},
    commands.SetLanguage: {
        "language": Field('"auto" or an ISO 639 code; null: as configured'),
        **_ASKING,
    },
    commands.SetKeyterms: {
        "keyterms": Field("at most 50 of at most 20 characters; null: as configured"),
        **_ASKING,
    },
    commands.LogLevel: {
        "level": Field("null: as configured"),
        "ttl_ms": Field("for how long from now"),
        **_ASKING,
    },
    commands.AskDevices: _ASKING,
    commands.AskState: _ASKING,
    commands.Record: _ASKING,
}
"""By type: every field of it, and no other."""
