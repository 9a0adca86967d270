"""The words that messages use and what they mean: reasons, outcomes, events, alerts, errors. Pure.

Where the daemon has an enumeration of them, this has every member of it and no other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from scribed.delivery.topics import ALERT_CODES, LateReason
from scribed.model import EndReason, LinkState, Outcome

Values = Mapping[str, str]
"""What each value means."""


def _of(kind: type[enum.Enum] | Iterable[str], /, **meanings: str) -> Values:
    """The meanings of all values of `kind`, in its order; ValueError where one is not right."""
    names = [str(each.value if isinstance(each, enum.Enum) else each) for each in kind]
    if set(names) != set(meanings):
        raise ValueError(f"{kind} and its description differ: {set(names) ^ set(meanings)}")
    return {name: meanings[name] for name in names}


CAUTIONS: Values = {
    "cut": "it was not ended by silence: length, a gap, mute, shutdown…",
    "guessed": "nobody committed it: it is the last partial",
    "audio_lost": "sound was lost inside it",
    "robot_speaking": "the robot was speaking",
    "robot_moving": "the robot was moving",
    "echo_text": "it mostly repeats what the robot said",
    "language": "the language detected is none of provider.languages",
    "more_speech": "the speaker had gone on by the time of this text",
    "unsynced": "the wall clock was never set: the times are of no use",
}

FINAL_REASONS: Values = {
    **_of(
        EndReason,
        commit="asked for at the local end of speech",
        length="it grew as long as it may be",
        gap="sound was lost",
        device_lost="the microphone went away",
        flush="cmd/flush, or the end of the input",
        shutdown="the daemon was stopped",
        muted="the microphone was muted",
        gated="the gate was closed: the robot began to speak, or cmd/listen's window was over",
        restart="the daemon ended in its middle and found it when it came back",
    ),
    "provider": "committed by the service",
    "no_commit": "no commit ever came",
}

LATE_REASONS = _of(
    LateReason,
    stale="older than transcript.stale_after_s",
    overtaken="a newer utterance was published first",
    earlier_boot="spoken before this boot of the machine",
    restated="asked for again by cmd/restate",
)

OUTCOMES = _of(
    Outcome,
    no_speech="the service heard no words",
    muted="the microphone was muted while it was spoken",
    evicted="there was no room for it any more, or somebody purged it",
    expired="it grew older than spool.max_age_h, or late speech is not wanted",
    failed="the service did not take it, however often it was sent, or a crash left no audio of it",
    quarantined="its audio file was damaged and is set aside",
)

LANGUAGE_SOURCES: Values = {
    "detected": "by the service, in this utterance",
    "configured": "provider.language says so",
}

TRIGGERS: Values = {
    "always": "listen.mode is always: whatever is spoken is an utterance",
    "listen": "cmd/listen: it began inside the window that this opened",
}

LINK_STATES = _of(
    LinkState,
    idle="not connected, and no need to be",
    connecting="on its way",
    connected="a session is open",
    backoff="it failed, and is tried again soon",
    refused="the service refuses us: key, quota or terms; tried again every retry.refused_s",
)

HEARING_REASONS: Values = {
    "ok": "sound arrives",
    "starting": "no frame yet",
    "muted": "the microphone is closed on purpose",
    "robot_speaking": "what is heard is dropped while the robot speaks",
    "not_listening": "nothing is listened to now",
    "no_device": "there is no microphone",
    "silent_device": "the microphone gives digital silence, or a stuck value",
    "stalled": "the microphone is open and gives nothing",
}

STATES: Values = {
    "listening": "all is well",
    "starting": "no frame yet",
    "degraded": "it hears, and the link to the service is down",
    "refused": "it hears, and the service refuses us",
    "stopping": "the daemon is going down",
    **{
        reason: f"does not hear: {says}"
        for reason, says in HEARING_REASONS.items()
        if reason not in ("ok", "starting")
    },
}

DEVICE_STATES: Values = {
    "open": "it gives frames",
    "closed": "not opened, or at its end",
    "absent": "it cannot be opened",
    "lost": "it went away",
    "muted": "closed on purpose",
}

MUTE_REASONS: Values = {
    "local": "muted on the machine itself: only there it is lifted",
    "mqtt": "muted by cmd/mute",
}

ECHO_SIGNALS: Values = {
    "never": "the robot has never sent cmd/robot_speaking in this run",
    "ok": "the robot says when it speaks",
}

FAST_WORDS: Values = {
    "ok": "they can be heard",
    "link_down": "the service cannot be reached",
    "deaf": "the microphone is not heard now",
}

SEVERITIES: Values = {
    "warning": "it works, and will not for ever",
    "error": "something does not work",
}

ALERTS = _of(
    ALERT_CODES,
    auth_failed="the service's key is missing or refused",
    quota="the account at the service is used up",
    no_device="there is no microphone",
    silent_device="the microphone is dead or deaf, or clips, or has a large DC offset",
    gate_open="noise keeps the gate open",
    backend_down="the service cannot be reached",
    spool_full="there is no room for audio that waits: the oldest goes",
    disk_error="the disk does not take what is written",
    config_invalid="the configuration is not valid: the last good one is used",
    duplicate_id="another client uses our MQTT client id",
    budget="cost.daily_limit_s is reached",
    mqtt_denied="the broker does not let us connect, publish or subscribe",
    cert_expiring="a certificate expires soon",
    clock_unsynced="the wall clock was never set",
    provider_keeps_data="the service keeps audio and text although it was asked not to",
)

ERRORS: Values = {
    "unknown": "there is no such command",
    "not_allowed": "mqtt.commands does not name it, or it may only be done on the machine itself",
    "retained": "a retained command is not obeyed",
    "expired": "its expires_at is past",
    "malformed": "its payload is not what the command takes",
    "too_large": "its payload or its correlation data is too large",
    "busy": "too many commands wait for their answer",
    "failed": "it was tried and failed",
}


_NOTHING: Values = {}


class Happening(NamedTuple):
    """One value of `event`: what happened, and what `detail` has."""

    means: str
    detail: Values = _NOTHING


EVENTS: Mapping[str, Happening] = {
    "link_up": Happening("a session with the service is open", {"provider": "its name"}),
    "link_down": Happening("the session is lost", {"why": "in words"}),
    "audio_gap": Happening(
        "sound was lost",
        {"lost_ms": "how much", "cause": "overrun, suspend, restart, no_room…"},
    ),
    "device_found": Happening("the microphone is there", {"device": "its name"}),
    "device_lost": Happening("the microphone went away", {"device": "its name", "why": "in words"}),
    "utterance_delayed": Happening(
        "the answer for an utterance is overdue", {"utterance_id": "its id", "seq": "its number"}
    ),
    "seq_skipped": Happening(
        "after a crash, numbers were left out that may have been used", {"skipped": "how many"}
    ),
    "reloaded": Happening(
        "another configuration is in effect, in all of its parts",
        {
            "changed": "the keys that have other values now",
            "rotated": "the secrets that were read anew and are others",
            "restart": "the keys that changed, and wait for a restart",
        },
    ),
    "clock_synced": Happening("the wall clock is set now"),
}
