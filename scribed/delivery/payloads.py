"""How each payload is built from what flows through the daemon, at the moment it is written. Pure.

Times of the wall clock are computed here, at publication, from ages by the boot clock: an utterance
spoken before NTP set the clock comes out with the right time afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from scribed import latency
from scribed.delivery import answers, cautions
from scribed.delivery.cautions import NOTHING_KNOWN
from scribed.delivery.moment import Moment
from scribed.delivery.schemas import (
    AlertMessage,
    Done,
    Ended,
    EventMessage,
    Facts,
    FastWord,
    Latency,
    LinkMessage,
    MetricsMessage,
    NotDone,
    ReplyError,
    Speech,
    State,
    StateMessage,
    Transcript,
)
from scribed.delivery.topics import PARTIAL_EXPIRY_S, LateReason, Route
from scribed.model import (
    Alert,
    Closed,
    CommandError,
    Event,
    Final,
    Identity,
    Partial,
    RobotDid,
    UtteranceStarted,
)
from scribed.text import clean, norm

encode = msgspec.json.Encoder().encode


def partial(
    said: Partial, identity: Identity, moment: Moment, robot: RobotDid = NOTHING_KNOWN
) -> Transcript:
    """The payload of a text that may still change: what only the end will tell is null."""
    return Transcript(
        **_header(identity, moment),
        **_spoken(said.started, said.text, identity, moment, robot),
        **_NOT_YET,
        restated=False,
        rev=said.rev,
        is_final=False,
        caution=[],
        expires_at=moment.rfc3339(moment.now + PARTIAL_EXPIRY_S),
        provider=said.provider,
    )


def transcript(
    final: Final,
    identity: Identity,
    moment: Moment,
    route: Route,
    *,
    more_speech: bool,
    languages: Collection[str] = (),
    robot: RobotDid = NOTHING_KNOWN,
    lean: bool = False,
) -> Transcript:
    """The payload of a committed text that is written at `moment` to where `route` says.

    `more_speech`, `languages` and `robot` are those of `cautions.of_final()`. A `lean` one has
    nothing beside the text, for a broker that takes no more. On `late` `expires_at` is in the past.
    Where it was spoken in an earlier boot, `boot_id`, `clock_synced` and all `mono_*_ns` are of
    that boot's clock, which is thought to have gone on with the wall clock's time.
    """
    answer, fresh_s = final.answer, route.expiry_s
    moment = moment.there(final.started)
    found = cautions.of_final(
        final, moment, more_speech=more_speech, languages=languages, robot=robot
    )
    return Transcript(
        **_header(identity, moment),
        **_spoken(final.started, answer.text, identity, moment, robot),
        **_heard(final, moment),
        rev=final.rev,
        is_final=True,
        final_reason=final.final_reason,
        caution=found,
        language=answer.language,
        language_source=answer.language_source,
        confidence=answer.confidence,
        **(answers.NOTHING if lean else answers.beside_the_text(answer)),
        expires_at=moment.rfc3339(final.ended.at if fresh_s is None else moment.now + fresh_s),
        provider=final.provider,
        attempt=final.attempt,
        late_reason=None if route.late_reason is None else route.late_reason.value,
        restated=route.late_reason is LateReason.RESTATED,
    )


def word(
    said: Partial | Final,
    phrase: str,
    identity: Identity,
    moment: Moment,
    *,
    caution: list[str],
    until: float,
) -> FastWord:
    """A fast word in a live text; nobody wants it after `until`."""
    text = said.answer.text if isinstance(said, Final) else said.text
    return FastWord(
        **_header(identity, moment),
        utterance_id=said.started.id,
        seq=said.started.seq,
        rev=said.rev,
        word=phrase,
        is_final=isinstance(said, Final),
        text=clean(text),
        caution=caution,
        expires_at=moment.rfc3339(until),
    )


def spent(final: Final, moment: Moment) -> latency.Parts:
    """Where its time went up to `moment`, in time that counts suspend."""
    return latency.parts(final, moment.there(final.started).now)


def speech(started: UtteranceStarted, active: bool, identity: Identity, moment: Moment) -> Speech:
    """The local start (`active`) or end of human speech."""
    return Speech(
        **_header(identity, moment), active=active, utterance_id=started.id, seq=started.seq
    )


def ended(closed: Closed, identity: Identity, moment: Moment) -> Ended:
    """The end of an utterance that has no text."""
    moment = moment.there(closed.started)
    return Ended(
        **_header(identity, moment),
        utterance_id=closed.started.id,
        seq=closed.started.seq,
        outcome=closed.outcome.value,
        start_unix_ms=moment.unix_ms(closed.started.at),
        end_unix_ms=None if closed.ended is None else moment.unix_ms(closed.ended.at),
    )


def event(happened: Event, identity: Identity, moment: Moment) -> EventMessage:
    return EventMessage(**_header(identity, moment), event=happened.event, detail=happened.detail)


def alert(raised: Alert, since: float, identity: Identity, moment: Moment) -> AlertMessage:
    """The retained alert; `since` is when it was first raised."""
    return AlertMessage(
        **_header(identity, moment),
        code=raised.code,
        severity=raised.severity,
        since=moment.rfc3339(since),
        message=raised.message,
        remedy=raised.remedy,
    )


def state(now_is: State, identity: Identity, moment: Moment) -> StateMessage:
    facts = {name: getattr(now_is, name) for name in Facts.__struct_fields__}
    link = LinkMessage(
        state=now_is.link.state.value,
        since=moment.rfc3339(now_is.link.since),
        last_error=now_is.link.last_error,
    )
    return StateMessage(**_header(identity, moment), **facts, link=link)


def metrics(values: Mapping[str, float], identity: Identity, moment: Moment) -> MetricsMessage:
    return MetricsMessage(**_header(identity, moment), metrics=dict(values))


def reply(
    cmd: str,
    req: str | None,
    said: dict[str, Any] | CommandError,
    identity: Identity,
    moment: Moment,
) -> Done | NotDone:
    """What became of the command `cmd`: its result, or why it changed nothing."""
    header = _header(identity, moment)
    if isinstance(said, CommandError):
        return NotDone(
            **header, cmd=cmd, req=req, error=ReplyError(code=said.code, message=said.message)
        )
    return Done(**header, cmd=cmd, req=req, result=said)


def _header(identity: Identity, moment: Moment) -> dict[str, Any]:
    return {
        "robot": identity.robot,
        "source": identity.source,
        "run_id": identity.run_id,
        "t": moment.rfc3339(moment.now),
    }


def _spoken(
    started: UtteranceStarted, text: str, identity: Identity, moment: Moment, robot: RobotDid
) -> dict[str, Any]:
    """The fields that a partial and a final fill in the same way."""
    line = clean(text)
    return {
        "utterance_id": started.id,
        "seq": started.seq,
        "continues": started.continues,
        "text": line,
        "norm": norm(line),
        "start_unix_ms": moment.unix_ms(started.at),
        "emit_unix_ms": moment.unix_ms(moment.now),
        "clock_synced": moment.clock_synced,
        "boot_id": identity.boot_id if started.boot is None else started.boot.id,
        "mono_start_ns": _ns(started.at + started.mono_offset),
        "mono_emit_ns": _ns(moment.now + moment.mono_offset),
        "trigger": started.trigger,
        "while_robot_speaking": robot.speaking,
        "while_robot_moving": robot.moving,
    }


def _heard(final: Final, moment: Moment) -> dict[str, Any]:
    """The fields that are known once the utterance has ended."""
    end, parts = final.ended, spent(final, moment)
    return {
        "end_unix_ms": moment.unix_ms(end.at),
        "age_ms": parts.end_to_publish_ms,
        "mono_end_ns": _ns(end.at + final.started.mono_offset),
        "audio_ms": end.audio_ms,
        "audio_lost_ms": end.lost_ms,
        "level_dbfs": _tenths(end.level_dbfs),
        "snr_db": _tenths(end.snr_db),
        "latency": Latency(
            first_partial_ms=_ms(final.first_partial_s),
            provider_ms=_ms(final.provider_s),
            **parts._asdict(),
        ),
    }


_NOT_YET: dict[str, Any] = {
    **answers.NOTHING,
    "final_reason": None,
    "language": None,
    "language_source": None,
    "confidence": None,
    "end_unix_ms": None,
    "age_ms": None,
    "mono_end_ns": None,
    "audio_ms": None,
    "audio_lost_ms": None,
    "level_dbfs": None,
    "snr_db": None,
    "latency": Latency(**dict.fromkeys(Latency.__struct_fields__)),
    "attempt": None,
    "late_reason": None,
}


def _ms(duration_s: float | None) -> int | None:
    return None if duration_s is None else round(duration_s * 1000)


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000  # a float of seconds is no more exact than that


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
