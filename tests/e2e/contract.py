"""The messages as the contract has them (section 4): all fields with their types, all flags.

Written down once more, by hand: what the daemon is built from must not be what it is held against.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scribed.demo.subscriber import Received

NULL = type(None)
NUMBER = (int, float)
HEADER: dict[str, tuple[type, ...]] = {
    "schema": (str,),
    "robot": (str,),
    "source": (str,),
    "run_id": (str,),
    "t": (str,),
}
TRANSCRIPT: dict[str, tuple[type, ...]] = HEADER | {
    "utterance_id": (str,),
    "seq": (int,),
    "rev": (int,),
    "is_final": (bool,),
    "final_reason": (str, NULL),
    "continues": (str, NULL),
    "text": (str,),
    "norm": (str,),
    "caution": (list,),
    "language": (str, NULL),
    "language_source": (str, NULL),
    "confidence": (*NUMBER, NULL),
    "words": (list, NULL),
    "entities": (list, NULL),
    "redacted_text": (str, NULL),
    "edited_text": (str, NULL),
    "warnings": (list, NULL),
    "start_unix_ms": (int,),
    "end_unix_ms": (int, NULL),
    "emit_unix_ms": (int,),
    "age_ms": (int, NULL),
    "expires_at": (str,),
    "clock_synced": (bool, NULL),
    "boot_id": (str,),
    "mono_start_ns": (int,),
    "mono_end_ns": (int, NULL),
    "mono_emit_ns": (int,),
    "audio_ms": (int, NULL),
    "audio_lost_ms": (int, NULL),
    "level_dbfs": (*NUMBER, NULL),
    "snr_db": (*NUMBER, NULL),
    "trigger": (str,),
    "latency": (dict,),
    "provider": (dict,),
    "attempt": (int, NULL),
    "while_robot_speaking": (bool, NULL),
    "while_robot_moving": (bool, NULL),
    "late_reason": (str, NULL),
    "restated": (bool,),
}
ONLY_IN_FINALS = (
    *("final_reason", "end_unix_ms", "age_ms", "mono_end_ns", "audio_ms", "audio_lost_ms"),
    *("level_dbfs", "attempt"),
)
"""Null in a partial, since only the end tells them; never in a final."""
LATENCY = {
    "end_to_publish_ms": (int, NULL),
    "first_partial_ms": (int, NULL),
    "provider_ms": (int, NULL),
    "onset_to_gate_ms": (int, NULL),
    "gate_to_first_byte_ms": (int, NULL),
    "end_to_commit_ms": (int, NULL),
    "commit_to_text_ms": (int, NULL),
    "text_to_publish_ms": (int, NULL),
}
PROVIDER = {"name": (str,), "model": (str,), "session_id": (str,)}
WORD = {
    "text": (str,),
    "start_ms": (int,),
    "end_ms": (int,),
    "confidence": (*NUMBER, NULL),
    "speaker": (str, NULL),
}
ENTITY = {"text": (str,), "type": (str,), "start": (int,), "end": (int,)}
FAST_WORD = HEADER | {
    "utterance_id": (str,),
    "seq": (int,),
    "rev": (int,),
    "word": (str,),
    "is_final": (bool,),
    "text": (str,),
    "caution": (list,),
    "expires_at": (str,),
}
SPEECH = HEADER | {"active": (bool,), "utterance_id": (str,), "seq": (int,)}
ENDED = HEADER | {
    "utterance_id": (str,),
    "seq": (int,),
    "outcome": (str,),
    "start_unix_ms": (int,),
    "end_unix_ms": (int, NULL),
}
EVENT = HEADER | {"event": (str,), "detail": (dict,)}
ALERT = HEADER | {
    "code": (str,),
    "severity": (str,),
    "since": (str,),
    "message": (str,),
    "remedy": (str,),
}
STATE = HEADER | {
    "hearing": (bool, NULL),
    "hearing_reason": (str,),
    "state": (str,),
    "mute_reasons": (list,),
    "link": (dict,),
    "device": (dict,),
    "level_dbfs": (*NUMBER, NULL),
    "noise_floor_dbfs": (*NUMBER, NULL),
    "heard": (str, NULL),
    "last_frame_age_ms": (int, NULL),
    "last_final_age_s": (*NUMBER, NULL),
    "backlog": (dict,),
    "echo_signal": (str,),
    "fast_words": (str, NULL),
    "language": (str, NULL),
    "overrides": (dict,),
    "clock_synced": (bool, NULL),
    "version": (str,),
    "config_sha": (str, NULL),
    "config_on_disk_differs": (bool, NULL),
}
REPLY = HEADER | {"ok": (bool,), "cmd": (str,), "req": (str, NULL)}
REPLY_ERROR = {"code": (str,), "message": (str,)}
METRICS = HEADER | {"metrics": (dict,)}
LINK = {"state": (str,), "since": (str,), "last_error": (str, NULL)}
DEVICE = {"name": (str,), "rate": (int, NULL), "channels": (int, NULL), "state": (str,)}
BACKLOG = {"utterances": (int,), "seconds": NUMBER}

FINAL_REASONS = (
    *("commit", "provider", "length", "flush", "gap", "device_lost", "muted", "gated"),
    *("shutdown", "restart", "no_commit"),
)
OUTCOMES = ("no_speech", "muted", "evicted", "expired", "failed", "quarantined")
LATE_REASONS = ("stale", "overtaken", "earlier_boot", "restated")
CAUTIONS = (
    *("cut", "guessed", "audio_lost", "robot_speaking", "robot_moving", "echo_text"),
    *("language", "more_speech", "unsynced"),
)
WORD_CAUTIONS = ("robot_speaking", "robot_moving", "more_speech", "unsynced")
ERROR_CODES = (
    *("unknown", "not_allowed", "retained", "expired", "malformed", "too_large", "busy", "failed"),
)
LINK_STATES = ("idle", "connecting", "connected", "backoff", "refused")
HEARING_REASONS = (
    *("ok", "starting", "muted", "robot_speaking", "not_listening", "no_device"),
    *("silent_device", "stalled"),
)

ALERTS = {
    *("auth_failed", "quota", "no_device", "silent_device", "gate_open", "backend_down"),
    *("spool_full", "disk_error", "config_invalid", "duplicate_id", "budget", "mqtt_denied"),
    *("cert_expiring", "clock_unsynced", "provider_keeps_data"),
}

RULES: dict[str, tuple[int, bool, tuple[int, int] | None]] = {
    # topic: QoS, retained, the least and the most that its expiry may be; None: it has none
    "status": (1, True, None),
    "state": (1, True, None),
    "transcript": (1, False, (1, 5)),  # transcript.stale_after_s
    "text": (0, False, (1, 5)),  # likewise
    "late": (1, False, None),
    "partial": (0, False, (1, 3)),
    "word": (1, False, (1, 2)),
    "speech": (1, False, (1, 5)),
    "ended": (1, False, None),
    "event": (1, False, (1, 60)),
    "alert": (1, True, None),
    "muted": (1, True, None),
    "metrics": (0, False, (1, 60)),
    "reply": (1, False, (1, 10)),
}
"""An expiry is what is left of it when the message reaches the subscriber."""


def check(message: Received, *, stale_after_s: int = 5) -> None:
    """Hold one message against the contract: topic, flags, every field and its type."""
    root = message.topic.partition("/")[0]
    if root == "cmd":
        return  # not ours: somebody asks for something
    check_flags(message, root, stale_after_s)
    payload = message.payload
    match root:
        case "status":
            assert payload in ("online", "offline")
        case "muted":
            assert payload in ("ON", "OFF")
        case "text":
            assert isinstance(payload, str)
            assert payload
        case "alert" if payload == "":
            pass  # cleared
        case "transcript" | "late" | "partial":
            check_transcript(payload, final=root != "partial")
            check_lateness(payload, late=root == "late")
        case "reply":
            check_reply(payload)
        case "metrics":
            check_metrics(payload)
        case "state":
            check_state(payload)
        case _:
            schemas = {
                "word": FAST_WORD,
                "speech": SPEECH,
                "ended": ENDED,
                "event": EVENT,
                "alert": ALERT,
            }
            check_types(payload, schemas[root])
            assert payload["schema"] == f"stt.{root}/1"
            assert root != "ended" or payload["outcome"] in OUTCOMES
            assert root != "word" or set(payload["caution"]) <= set(WORD_CAUTIONS)


def check_flags(message: Received, root: str, stale_after_s: int) -> None:
    """Hold QoS, retain flag and expiry against the contract."""
    qos, retained, expiry = RULES[root]
    if root in ("transcript", "text"):
        expiry = (1, stale_after_s)
    assert (message.qos, message.retained) == (qos, retained), message
    if expiry is None:
        assert message.expiry_s is None, message
    else:
        least, most = expiry
        assert message.expiry_s is not None, message
        assert least <= message.expiry_s <= most, message


def check_transcript(payload: dict[str, Any], *, final: bool) -> None:
    """Hold a `stt.transcript/1` against the contract, and its fields against each other."""
    check_types(payload, TRANSCRIPT)
    check_types(payload["latency"], LATENCY)
    check_types(payload["provider"], PROVIDER)
    assert payload["schema"] == "stt.transcript/1"
    assert payload["is_final"] is final
    for name in ONLY_IN_FINALS:
        assert (payload[name] is not None) is final, name
    assert payload["text"] == " ".join(payload["text"].split()) != ""
    assert set(payload["norm"]) <= set(payload["norm"].lower())
    for entity in payload["entities"] or ():
        check_types(entity, ENTITY)
        assert 0 <= entity["start"] <= entity["end"] <= len(payload["text"])
    assert all(type(warning) is str for warning in payload["warnings"] or ())
    if final:
        check_times(payload)
        assert payload["final_reason"] in FINAL_REASONS
    assert set(payload["caution"]) <= set(CAUTIONS)


def check_lateness(payload: dict[str, Any], *, late: bool) -> None:
    """Hold what says whether a text may be obeyed against the topic it came on."""
    assert (payload["late_reason"] in LATE_REASONS) is late
    assert payload["restated"] is (payload["late_reason"] == "restated")
    assert (payload["expires_at"] < payload["t"]) is late


def check_reply(payload: dict[str, Any]) -> None:
    """Hold a `stt.reply/1` against the contract."""
    check_types(payload, REPLY)
    assert payload["schema"] == "stt.reply/1"
    assert ("result" in payload) is payload["ok"]
    assert ("error" in payload) is not payload["ok"]
    if payload["ok"]:
        assert type(payload["result"]) is dict
    else:
        check_types(payload["error"], REPLY_ERROR)
        assert payload["error"]["code"] in ERROR_CODES
        assert payload["error"]["message"]


def check_metrics(payload: dict[str, Any]) -> None:
    """Hold a `stt.metrics/1` against the contract, and the law of conservation."""
    check_types(payload, METRICS)
    assert payload["schema"] == "stt.metrics/1"
    values = payload["metrics"]
    for name, value in values.items():
        assert re.fullmatch("scribed_[a-z0-9_]+", name)
        assert type(value) in NUMBER, name
    told = values["scribed_utterances_published_total"] + values["scribed_utterances_ended_total"]
    begun = values["scribed_utterances_detected_total"]
    begun += values["scribed_utterances_recovered_total"]
    assert begun == values["scribed_utterances_pending"] + told
    assert values["scribed_utterances_balance"] == 0


def check_times(final: dict[str, Any]) -> None:
    """Every way in which a final says when it was spoken agrees with the others."""
    start, end, emit = (final[f"{name}_unix_ms"] for name in ("start", "end", "emit"))
    assert start <= end <= emit
    assert abs(emit - end - final["age_ms"]) <= 2  # each is rounded for itself
    assert final["latency"]["end_to_publish_ms"] == final["age_ms"]
    mono_start, mono_end, mono_emit = (
        final[f"mono_{name}_ns"] for name in ("start", "end", "emit")
    )
    assert abs((mono_end - mono_start) / 1e6 - (end - start)) <= 2
    assert abs((mono_emit - mono_end) / 1e6 - final["age_ms"]) <= 2
    for word in final["words"] or ():
        check_types(word, WORD)
        assert word["text"]
        assert 0 <= word["start_ms"] <= word["end_ms"]
    starts = [word["start_ms"] for word in final["words"] or ()]
    assert starts == sorted(starts)


def check_state(payload: dict[str, Any]) -> None:
    """Hold a `stt.state/1` against the contract."""
    check_types(payload, STATE)
    check_types(payload["link"], LINK)
    check_types(payload["device"], DEVICE)
    check_types(payload["backlog"], BACKLOG)
    assert payload["schema"] == "stt.state/1"
    assert payload["link"]["state"] in LINK_STATES
    assert payload["hearing_reason"] in HEARING_REASONS
    assert payload["fast_words"] in (None, "ok", "link_down", "deaf")
    assert (payload["hearing"] is True) == (payload["hearing_reason"] == "ok")


def check_types(payload: dict[str, Any], fields: Mapping[str, tuple[type, ...]]) -> None:
    """All `fields` are there, each of a type that it may have."""
    for name, types in fields.items():
        assert name in payload, f"{name} is not there: {payload}"
        assert type(payload[name]) in types, f"{name} is {payload[name]!r}"
