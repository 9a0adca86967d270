"""Messages to look at, of one invented conversation, made by what makes the daemon's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from scribed.contract.asked import ASKS
from scribed.delivery import payloads, schemas
from scribed.delivery.moment import Moment
from scribed.delivery.topics import (
    COMMANDS,
    MUTED_OFF,
    MUTED_ON,
    OFFLINE,
    ONLINE,
    WORD_EXPIRY_S,
    LateReason,
    Route,
)
from scribed.model import (
    Alert,
    Answer,
    Closed,
    CommandError,
    Device,
    EndReason,
    Event,
    Final,
    Identity,
    Link,
    LinkState,
    Moments,
    Outcome,
    Partial,
    Provider,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    Word,
)

_ME = Identity(
    robot="r7",
    source="mic",
    base="scribed/r7/mic",
    client_id="scribed-r7-mic-5c1bed",
    run_id="01KT35YQ1M9Q6V6H2N0D4K8ZRA",
    boot_id="0f3c9d5e8a5b4c1e9b7a2d6f4e8c1b3a",
)
_NOW = Moment(now=812_347.011, wall=1_780_306_202.011, clock_synced=True)
_PROVIDER = Provider("elevenlabs", "scribe_v2_realtime", "sess-7f3a")
_ID = UtteranceId("01KT361CVR3V5W8J0B2E4G6HTX")
_STARTED = UtteranceStarted(_ID, 1841, at=812_345.120, onset=812_345.420, gate_at=812_345.540)
_ENDED = UtteranceEnded(_ID, 812_346.640, EndReason.COMMIT, 1520, 0, -31.2, 22.0)
_FINAL = Final(
    started=_STARTED,
    ended=_ENDED,
    rev=3,
    answer=Answer(
        "Turn left, please.",
        (
            Word("Turn", 40, 210, 0.95),
            Word("left,", 240, 520, 0.97),
            Word("please.", 560, 940, 0.87),
        ),
        language="en",
        language_source="detected",
        confidence=0.93,
    ),
    final_reason="commit",
    attempt=1,
    provider=_PROVIDER,
    provider_s=0.31,
    first_partial_s=0.24,
    committed_at=812_346.990,
    moments=Moments(
        onset=812_345.420,
        gate=812_345.540,
        first_byte=812_345.590,
        commit=812_346.680,
        text=812_346.990,
    ),
)
_FRESH = Route("transcript", None, 4)
_MINUTE_LATER = Moment(now=812_407.011, wall=1_780_306_262.011, clock_synced=True)

_STATE = schemas.State(
    hearing=True,
    hearing_reason="ok",
    state="listening",
    device=Device("hw:CARD=Array,DEV=0", 16_000, 1, "open"),
    level_dbfs=-52.3,
    noise_floor_dbfs=-58.1,
    heard="no speech, -52 dBFS over a noise floor of -58 dBFS",
    last_frame_age_ms=14,
    last_final_age_s=3.2,
    clock_synced=True,
    version="0.1.0",
    config_sha="3f9d2c17",
    link=Link(LinkState.CONNECTED, 812_301.011),
)
_METRICS = {
    "scribed_captured_seconds_total": 3600.02,
    "scribed_utterances_detected_total": 41,
    "scribed_utterances_pending": 0,
    "scribed_sent_seconds_total": 77.4,
    "scribed_link_connected": 1,
}


def _late() -> schemas.Transcript:
    late = Route("late", LateReason.STALE, None)
    return payloads.transcript(_FINAL, _ME, _MINUTE_LATER, late, more_speech=True)


def _word(said: Partial) -> schemas.FastWord:
    until = _NOW.now + WORD_EXPIRY_S
    return payloads.word(said, "stop", _ME, _NOW, caution=[], until=until)


def _made() -> Mapping[str, tuple[msgspec.Struct, ...]]:
    alert = Alert(
        "no_device", "there is no microphone", "plug one in; `scribed devices` lists them"
    )
    done = payloads.reply("mute", "privacy-1", {"muted": True}, _ME, _NOW)
    refused = CommandError(
        "retained", "a retained command is not obeyed; publish it without retain"
    )
    stop = Partial(_STARTED, 1, "stop", _PROVIDER)
    gap = Event("audio_gap", {"lost_ms": 120, "cause": "overrun"})
    return {
        "state": (payloads.state(_STATE, _ME, _NOW),),
        "transcript": (payloads.transcript(_FINAL, _ME, _NOW, _FRESH, more_speech=False),),
        "late": (_late(),),
        "partial": (payloads.partial(Partial(_STARTED, 1, "Turn le", _PROVIDER), _ME, _NOW),),
        "word": (_word(stop),),
        "speech": tuple(payloads.speech(_STARTED, active, _ME, _NOW) for active in (True, False)),
        "ended": (payloads.ended(Closed(_STARTED, _ENDED, Outcome.NO_SPEECH), _ME, _NOW),),
        "event": (payloads.event(gap, _ME, _NOW),),
        "alert": (payloads.alert(alert, _NOW.now - 60, _ME, _NOW),),
        "metrics": (payloads.metrics(_METRICS, _ME, _NOW),),
        "reply": (done, payloads.reply("flush", None, refused, _ME, _NOW)),
    }


def payloads_of() -> Mapping[str, tuple[bytes, ...]]:
    """Payloads as they are on the wire, by the name of their topic in `TOPICS`."""
    return {
        "status": (ONLINE, OFFLINE),
        "text": (_FINAL.answer.text.encode(),),
        "muted": (MUTED_ON, MUTED_OFF),
        **{name: tuple(map(payloads.encode, said)) for name, said in _made().items()},
        **{
            f"{COMMANDS}/{name}": tuple(each.encode() for each in ask.examples)
            for name, ask in ASKS.items()
        },
    }


def values_of() -> Mapping[str, list[Any]]:
    """The same as values of JSON; what is plain text is a string."""
    return {name: [value(each) for each in said] for name, said in payloads_of().items()}


def value(payload: bytes) -> Any:
    """The JSON value of `payload`, or the text that it is."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return payload.decode()
