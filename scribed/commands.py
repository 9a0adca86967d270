"""What the daemon is asked for while it runs: each command goes to the worker that carries it out.

They come over MQTT and over the control socket. Whoever carries one out answers it; what is refused
is answered here.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scribed import clock, kinds
from scribed.capture.orders import Flush, Listen, Mute, Robot
from scribed.config import Config
from scribed.delivery import commands
from scribed.delivery.schemas import Muted
from scribed.errors import ConfigError, ScribedError
from scribed.model import Command, CommandError, Outcome, Reply, RobotDoes
from scribed.recording import Record
from scribed.store.worker import Remember
from scribed.uplink.waiting import Purge
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

MUTE_FACT = "mute"
"""Under this key the ledger keeps the reasons why the microphone is muted."""


TEXT_CHARS = 2000
"""So much of what the robot says is compared with what is heard: two minutes of speech."""


def mute_reasons(fact: str | None) -> tuple[str, ...]:
    """The reasons that the ledger kept: an ear that cannot know stays open."""
    try:
        return msgspec.json.decode(fact or "[]", type=tuple[str, ...])
    except msgspec.DecodeError:
        return ()


class _Closed(Struct, frozen=True):
    """Capture has done as it was told; what is left is to remember it."""

    command: Command
    reasons: tuple[str, ...]


class _Purging(Struct, frozen=True):
    """The uplink's part of a purge, and then the store's: what is set aside, where it is named."""

    command: Command
    purged: int | None = None  #: by the uplink


class Overriding(Protocol):
    """What may count instead of the configuration until the next start."""

    config: Config

    def override(self, key: str, value: object) -> None:
        """Raises `ScribedError`."""

    def set_log_level(self, level: str | None) -> None: ...


class Commands:
    """Used by the supervisor's thread only.

    `mailbox` is the supervisor's own; a `Reply` that arrives there goes to `carried_out()`.
    """

    def __init__(
        self,
        *,
        mailbox: Mailbox[Any],
        capture: Mailbox[Any],
        uplink: Mailbox[Any],
        store: Mailbox[Any],
        delivery: Mailbox[Any],
        state: Callable[[], dict[str, Any]],
        reloading: Overriding,
        muted: tuple[str, ...],
    ) -> None:
        self.muted = muted  #: why the microphone is closed: "local", "mqtt"
        self.echo_signal = "never"  #: whether the robot ever said that it speaks, as in `state`
        self._mailbox, self._capture, self._uplink = mailbox, capture, uplink
        self._store, self._delivery, self._state = store, delivery, state
        self._reloading = reloading
        self._survey: threading.Thread | None = None
        self.wake_at = math.inf  #: when `keep_time()` is due

    def take(self, command: Command) -> None:
        """Carry out `command`, or hand it to the one who does."""
        match command.name:
            case "mute":
                self._mute(command)
            case "flush":
                self._capture.put(Flush(command))
            case "robot_speaking" | "robot_moving" | "listen":
                self._timed(command)
            case "record":
                self._capture.put(Record("command", "", command))
            case "set_language" | "set_keyterms" | "log_level":
                self._override(command)
            case "devices":
                self._list_devices(command)
            case "state":
                command.answer.put(Reply(command.token, self._state()))
            case "spool" if command.args.get("verb") == "purge":
                self._purge(command)
            case "spool" | "restate":
                self._store.put(command)
            case name:
                known = ", ".join((*commands.COMMANDS, "spool"))
                _refuse(command, "unknown", f"there is no command {name!r}; there are {known}")

    def keep_time(self, now: float) -> bool:
        """End what was to last until `now`; whether that was anything."""
        if now < self.wake_at:
            return False
        self.wake_at = math.inf
        self._reloading.set_log_level(None)
        return True

    def _override(self, command: Command) -> None:
        """What counts until the next start, or for a while, whatever the configuration says."""
        try:
            result = self._overridden(commands.read(command.name, command.args))
        except (ValueError, ConfigError) as exc:
            _refuse(command, "malformed", str(exc))
        except ScribedError as exc:
            _refuse(command, "failed", str(exc))
        else:
            command.answer.put(Reply(command.token, result))

    def _overridden(self, asked: commands.Asking) -> dict[str, Any]:
        """Let it count; what counts now."""
        instead = self._reloading
        match asked:
            case commands.SetLanguage(language=language):
                instead.override("provider.language", language)
                return {"language": instead.config.provider.language}
            case commands.SetKeyterms(keyterms=terms):
                if (name := instead.config.provider.name) != "elevenlabs":
                    raise ScribedError(f"provider.name: {name} takes no keyterms")
                instead.override("provider.elevenlabs.keyterms", terms)
                return {"keyterms": instead.config.provider.elevenlabs.keyterms}
            case commands.LogLevel(level=None):
                instead.set_log_level(None)
                self.wake_at = math.inf
                return {"level": instead.config.log.level, "ttl_ms": None}
            case commands.LogLevel(level=level, ttl_ms=ttl_ms):
                instead.set_log_level(level)
                self.wake_at = clock.now() + ttl_ms / 1000
                return {"level": level, "ttl_ms": ttl_ms}
            case _:
                raise AssertionError(f"{asked} overrides nothing")

    def _list_devices(self, command: Command) -> None:
        if self._survey is not None and self._survey.is_alive():
            _refuse(command, "busy", "the devices are being listed for somebody else; ask again")
            return
        from scribed.service.survey import Survey  # noqa: PLC0415 -- subprocess, by need

        self._survey = Survey(command)
        self._survey.start()

    def _timed(self, command: Command) -> None:
        """What counts from now on and for a while; the robot's doings are delivery's to know, too:
        they may be about what has ended, and is not published yet."""
        now = clock.now()
        try:
            asked = commands.read(command.name, command.args)
        except ValueError as exc:
            _refuse(command, "malformed", str(exc))
            return
        match asked:
            case commands.RobotSpeaking():
                self.echo_signal = "ok"
                does = RobotDoes("speaking", asked.on, now, asked.id, _seconds(asked.ttl_ms))
                self._robot(replace(does, text=asked.text[:TEXT_CHARS]), command)
            case commands.RobotMoving():
                does = RobotDoes("moving", asked.on, now, asked.id, _seconds(asked.ttl_ms))
                self._robot(does, command)
            case commands.Listen():
                self._capture.put(Listen(now, _seconds(asked.ttl_ms), command))
            case _:
                raise AssertionError(f"{command.name} is nothing that lasts")

    def _robot(self, does: RobotDoes, command: Command) -> None:
        self._delivery.put(does)
        self._capture.put(Robot(does, command))

    def _mute(self, command: Command) -> None:
        """A mute set on this machine is lifted only here; one from the broker by either."""
        on = command.args.get("on")
        if not isinstance(on, bool):
            _refuse(command, "malformed", 'mute takes {"on": true} or {"on": false}')
            return
        mine = "local" if command.local else "mqtt"
        reasons = set(self.muted)
        if on:
            reasons.add(mine)
        elif command.local:
            reasons.clear()
        elif "local" in reasons:
            words = "muted on the machine itself: only `scribed mute off` there lifts it"
            _refuse(command, "not_allowed", words)
            return
        else:
            reasons.clear()
        if command.args.get("purge") is True:
            self._uplink.put(Purge(None, Outcome.MUTED))
        self.muted = tuple(sorted(reasons))
        if self.muted:
            logger.info("muted", extra=kinds.MUTED(reason=", ".join(self.muted)))
        else:
            logger.info("no longer muted", extra=kinds.UNMUTED())
        relay = Command("mute", {}, command.local, self._mailbox, _Closed(command, self.muted))
        self._capture.put(Mute(bool(self.muted), relay))

    def carried_out(self, reply: Reply) -> None:
        """A part of a command is done: go on with the next, or say that it is done."""
        done = reply.token
        if isinstance(done, _Purging):
            self._purge_on(done, reply)
        if not isinstance(done, _Closed):
            return
        if reply.error is not None:
            done.command.answer.put(Reply(done.command.token, error=reply.error))
        else:
            fact = msgspec.json.encode(done.reasons).decode()
            self._store.put(Remember(MUTE_FACT, fact, done.command))
            self._delivery.put(Muted(on=bool(done.reasons), reasons=done.reasons))

    def _purge(self, command: Command) -> None:
        ids = command.args.get("ids")
        if ids is not None and not isinstance(ids, list):
            _refuse(command, "malformed", "ids is a list of utterances, or null for all of them")
            return
        wanted = None if ids is None else frozenset(str(each) for each in ids)
        relay = Command("spool", command.args, command.local, self._mailbox, _Purging(command))
        self._uplink.put(Purge(wanted, Outcome.EVICTED, relay))

    def _purge_on(self, purging: _Purging, reply: Reply) -> None:
        """The uplink has ended what waits, and then the store has deleted what is set aside."""
        command, purged = purging.command, int(reply.result.get("purged", 0))
        if reply.error is not None:
            command.answer.put(Reply(command.token, error=reply.error))
        elif purging.purged is None and command.args.get("ids"):
            token = _Purging(command, purged)
            self._store.put(Command("spool", command.args, command.local, self._mailbox, token))
        else:
            total = purged + (purging.purged or 0)
            command.answer.put(Reply(command.token, {"purged": total}))


def _seconds(duration_ms: int | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000


def _refuse(command: Command, code: str, message: str) -> None:
    command.answer.put(Reply(command.token, error=CommandError(code, message)))
