"""What a robot may ask for on `{base}/cmd/<name>`, and how that is read. Pure.

A payload is a JSON object, which may carry `req` (echoed in the reply) and `expires_at` (RFC 3339)
beside its own arguments; `mute` also takes a bare ON, OFF, true or false, and the others nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from scribed.config import Language
from scribed.delivery.bases import Bases
from scribed.delivery.events import Asked
from scribed.delivery.parcels import Address
from scribed.delivery.topics import COMMANDS as COMMAND_TOPIC
from scribed.delivery.topics import RULES
from scribed.model import CommandError

MAX_BYTES = 64 * 1024
MAX_REQ = 128
MAX_CORRELATION_BYTES = 1024
MAX_TOPIC_BYTES = 1024
"""Of a response topic; a longer one is taken for none."""
MAX_SEQ = 2**53 - 1
MAX_LISTEN_MS = 600_000
MAX_LOG_MS, LOG_MS = 86_400_000, 600_000
"""For how long a level of the log may be asked for, and is where nobody says."""
_NAME_SHOWN = 64
_SPOKEN = frozenset([*RULES, COMMAND_TOPIC]) - {"reply"}
_BARE = {b"on": True, b"true": True, b"off": False, b"false": False}


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What every command may carry."""

    req: Annotated[str, Meta(max_length=MAX_REQ)] | None = None
    expires_at: str | None = None


class Mute(Asking, frozen=True, kw_only=True):
    on: bool
    purge: bool = False


class RobotMoving(Asking, frozen=True, kw_only=True):
    on: bool
    id: Annotated[str, Meta(max_length=MAX_REQ)] = ""
    ttl_ms: Annotated[int, Meta(ge=1, le=MAX_SEQ)] | None = None


class RobotSpeaking(RobotMoving, frozen=True, kw_only=True):
    text: str = ""


class Listen(Asking, frozen=True, kw_only=True):
    ttl_ms: Annotated[int, Meta(ge=0, le=MAX_LISTEN_MS)] | None = None


class Flush(Asking, frozen=True, kw_only=True):
    pass


class Restate(Asking, frozen=True, kw_only=True):
    since_seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)]


class Record(Asking, frozen=True, kw_only=True):
    pass


class SetLanguage(Asking, frozen=True, kw_only=True):
    language: Language | None


class SetKeyterms(Asking, frozen=True, kw_only=True):
    keyterms: tuple[str, ...] | None


class LogLevel(Asking, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] | None
    ttl_ms: Annotated[int, Meta(ge=1, le=MAX_LOG_MS)] = LOG_MS


class AskDevices(Asking, frozen=True, kw_only=True):
    pass


class AskState(Asking, frozen=True, kw_only=True):
    pass


TAKES: Mapping[str, type[Asking]] = {
    "mute": Mute,
    "robot_speaking": RobotSpeaking,
    "robot_moving": RobotMoving,
    "listen": Listen,
    "flush": Flush,
    "set_language": SetLanguage,
    "set_keyterms": SetKeyterms,
    "restate": Restate,
    "devices": AskDevices,
    "state": AskState,
    "record": Record,
    "log_level": LogLevel,
}
COMMANDS = tuple(TAKES)


class Request(Struct, frozen=True):
    """A command that may be carried out."""

    cmd: str
    args: dict[str, Any]
    req: str | None = None


class Refusal(Struct, frozen=True):
    """A command that changes nothing, and why."""

    cmd: str
    error: CommandError
    req: str | None = None


class _Wrong(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error = CommandError(code, message)


def parse(asked: Asked, allowed: Collection[str], wall: float) -> Request | Refusal:
    """What `asked` means at the Unix time `wall`; `allowed` is `mqtt.commands`."""
    cmd, req = asked.name[:_NAME_SHOWN], None
    try:
        _limit(asked)
        said = _decode(asked.payload) if asked.payload.strip() else {}
        req = _req(said)
        _permit(cmd, asked, allowed)
        return Request(cmd, _arguments(cmd, said, wall), req)
    except _Wrong as exc:
        return Refusal(cmd, exc.error, req)


def reply_address(asked: Asked, base: str, bases: Bases) -> Address:
    """Where the reply to `asked` goes: to its response topic, if something may be published there.

    Never below our own base topic but at `reply`, nor to what the daemons at other `bases` say or
    heed: who may do no more than ask could otherwise put words into a transcript, or have one of us
    command another.
    """
    correlation = asked.correlation
    if len(correlation or b"") > MAX_CORRELATION_BYTES:
        correlation = None
    topic = asked.response_topic
    return Address(topic if topic and _may_publish(topic, base, bases) else None, correlation)


def _may_publish(topic: str, base: str, bases: Bases) -> bool:
    if topic.startswith("$") or len(topic.encode("utf-8", "replace")) > MAX_TOPIC_BYTES:
        return False
    if any(char in "+#" or not char.isprintable() for char in topic):
        return False
    if topic == base or topic.startswith(f"{base}/"):
        return f"{topic}/".startswith(f"{base}/reply/")
    address = bases.address(topic)
    return address is None or address.rest.partition("/")[0] not in _SPOKEN


def _limit(asked: Asked) -> None:
    if len(asked.payload) > MAX_BYTES:
        raise _Wrong("too_large", f"the payload of a command has at most {MAX_BYTES} bytes")
    if len(asked.correlation or b"") > MAX_CORRELATION_BYTES:
        most = f"at most {MAX_CORRELATION_BYTES} bytes"
        raise _Wrong("too_large", f"the correlation data of a command has {most}")


def _permit(cmd: str, asked: Asked, allowed: Collection[str]) -> None:
    if cmd not in COMMANDS:
        raise _Wrong("unknown", f"there is no such command; there are {', '.join(COMMANDS)}")
    if cmd not in allowed:
        raise _Wrong("not_allowed", f'{cmd} is not allowed here; add it to "mqtt.commands"')
    if asked.retained:
        raise _Wrong("retained", "a retained command is not obeyed; publish it without retain")


def _decode(payload: bytes) -> Any:
    """The JSON value, or what a bare word means; None: neither."""
    word = payload.strip().lower()
    if word in _BARE:
        return _BARE[word]
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _req(said: Any) -> str | None:
    """What the asker wants to see again in the reply."""
    req = said.get("req") if isinstance(said, dict) else None
    if req is None:
        return None
    if not isinstance(req, str) or len(req) > MAX_REQ:
        raise _Wrong("malformed", f'"req" must be a string of at most {MAX_REQ} characters')
    return req


def _arguments(cmd: str, said: Any, wall: float) -> dict[str, Any]:
    if isinstance(said, bool) and cmd == "mute":
        said = {"on": said}
    if not isinstance(said, dict):
        raise _Wrong("malformed", f"the payload must be a JSON object, as {_EXAMPLE[cmd]}")
    _not_expired(said.get("expires_at"), wall)
    try:
        asking = read(cmd, said)
    except ValueError as exc:
        raise _Wrong("malformed", str(exc)) from exc
    whole = (str(name) for name in asking.__struct_fields__)
    return {name: getattr(asking, name) for name in whole if name not in _OF_ALL}


def read(cmd: str, said: dict[str, Any]) -> Asking:
    """The arguments of the command `cmd`. Raises `ValueError` that says what it takes."""
    try:
        return msgspec.convert(said, TAKES[cmd])
    except msgspec.ValidationError as exc:
        raise ValueError(f"{cmd} takes {_EXAMPLE[cmd]}; {exc}") from exc


_OF_ALL = Asking.__struct_fields__
_EXAMPLE = {
    "mute": '{"on": true}, {"on": false}, ON or OFF',
    "robot_speaking": '{"on": true, "id": "tts-42", "ttl_ms": 15000, "text": "…"}',
    "robot_moving": '{"on": true, "id": "base", "ttl_ms": 15000}',
    "listen": '{} or {"ttl_ms": 8000}',
    "flush": "{}",
    "set_language": '{"language": "fr"}, or null for the configured one',
    "set_keyterms": '{"keyterms": ["docking station"]}, or null for the configured ones',
    "restate": '{"since_seq": 17}',
    "devices": "{}",
    "state": "{}",
    "record": "{}",
    "log_level": '{"level": "debug", "ttl_ms": 600000}, or null for the configured one',
}


def _not_expired(expires_at: object, wall: float) -> None:
    if expires_at is None:
        return
    try:
        when = msgspec.convert(expires_at, datetime)
        past = when.timestamp() < wall
    except (msgspec.ValidationError, ValueError, OverflowError):
        when, past = None, False
    if not isinstance(expires_at, str) or when is None or when.tzinfo is None:
        raise _Wrong("malformed", '"expires_at" must be as "2026-06-01T09:30:02Z"')
    if past:
        raise _Wrong("expired", f"it was to be obeyed until {expires_at} only")
