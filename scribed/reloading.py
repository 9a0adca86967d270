"""A changed configuration while the daemon runs: SIGHUP, `systemctl reload`.

The file is read whole and checked as at a start, and everything that may fail is made before any
worker hears of it: then each finds one frozen message in its mailbox, and goes by it from between
two utterances on. What is not valid changes nothing. It is in effect, and told, when all have said
so.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from scribed import changes, kinds, parts
from scribed.capture import orders
from scribed.changes import Effect, Plan, with_values
from scribed.config import Config
from scribed.configfile import flatten
from scribed.contradictions import contradictions
from scribed.delivery import posts as delivery
from scribed.errors import ConfigError, ScribedError
from scribed.model import Alert, AlertCleared, Event, Identity, Retuned
from scribed.service import journal, notify
from scribed.service.credentials import (
    MQTT_CLIENT_KEY,
    MQTT_PASSWORD,
    digests,
    from_systemd,
    key_name,
    mqtt_password,
    with_client_key,
)
from scribed.store import worker as store
from scribed.uplink import link as uplink
from scribed.uplink.providers.chunking import chunk_bytes
from scribed.worker import Mailbox

logger = logging.getLogger(__name__)

VAD = ("vad.engine", "vad.aggressiveness")
CONDITIONING = ("gain_db", "high_pass", "auto_gain", "noise_suppression")
"""What `parts.conditioner()` is made of, in [audio]."""
REMEDY = "correct it (`scribed check` names every problem) and reload"


class Source(NamedTuple):
    """The configuration file, for who wants it again."""

    name: str
    read: Callable[[], Config]  #: raises `ConfigError` with every problem
    stamp: Callable[[], object]  #: is another one where the file may have changed
    keep: Callable[[], object]  #: what was read last is the last good one
    identify: Callable[[Config], Identity]


class Inboxes(NamedTuple):
    """Where the workers are told."""

    capture: Mailbox[Any]
    uplink: Mailbox[Any]
    delivery: Mailbox[Any]
    store: Mailbox[Any]


class Reloading:
    """Used by the main thread only. `tell` takes alerts and events.

    `invalid`: it was started with the last good configuration, as the file was not valid.
    """

    def __init__(
        self,
        config: Config,
        identity: Identity,
        source: Source,
        environ: Mapping[str, str],
        *,
        inboxes: Inboxes,
        tell: Callable[[Alert | AlertCleared | Event], object],
        invalid: bool,
    ) -> None:
        self.config = config  #: in effect, or about to be
        self.identity = identity
        self.settled = config  #: in effect with every worker
        self.differs = invalid  #: whether a reload would change something
        self._source, self._environ, self._inboxes = source, environ, inboxes
        self._tell, self._invalid = tell, invalid
        self._salt = os.urandom(16)
        self._digests = digests(config, environ, self._salt)
        self._number = 0
        self._waits_for: set[str] = set()
        self._changed: dict[str, None] = {}
        self._rotated: dict[str, None] = {}
        self._refused: tuple[str, ...] = ()
        self._stamp = source.stamp()
        self._look_again = False  # whatever the stamp says
        self._written = config  # what is in effect but for the overrides
        self._overrides: dict[str, Any] = {}
        self._log_level: str | None = None

    @property
    def overrides(self) -> dict[str, object]:
        """What counts instead of the file until the next start, by key."""
        level = {} if self._log_level is None else {"log.level": self._log_level}
        return {**self._overrides, **level}

    def override(self, key: str, value: object) -> None:
        """Let `value` count for `key` until the next start, whatever the file says; None: no more.

        Raises `ScribedError` where that is not allowed, or a file that it takes cannot be read.
        """
        overrides = {name: each for name, each in self._overrides.items() if name != key}
        if value is not None:
            overrides[key] = value
        new = with_values(self._written, overrides)
        if problems := contradictions(new):
            raise ConfigError(problems)
        self._take(new)
        self._overrides = overrides

    def set_log_level(self, level: str | None) -> None:
        """Log at `level` whatever the file says; None: no more."""
        self._log_level = level
        journal.set_level(level or self.config.log.level)

    def reload(self) -> None:
        """Take what the file says now; where it is not valid, what was in effect stays."""
        notify.reloading()
        self._look_again = True
        try:
            read = self._source.read()
            plan = self._take(with_values(read, self._overrides))
        except ScribedError as exc:
            self._refuse(exc.problems if isinstance(exc, ConfigError) else [str(exc)])
        else:
            kept = flatten(self._written)
            self._written = with_values(read, {key: kept[key] for key in plan.refused})
            self._source.keep()
            if self._invalid:
                self._invalid = False
                self._tell(AlertCleared("config_invalid"))
        self.look()

    def retuned(self, said: Retuned) -> bool:
        """A worker goes by what it was told; whether all do now."""
        if said.number != self._number:
            return False  # it was told something newer meanwhile
        self._waits_for.discard(said.worker)
        if self._waits_for:
            return False
        self.settled = self.config
        changed, rotated = list(self._changed), list(self._rotated)
        self._changed.clear()
        self._rotated.clear()
        keys = ", ".join(changed + rotated) or "nothing has changed"
        logger.info("reloaded: %s", keys, extra=kinds.RELOADED(keys=keys))
        detail = {"changed": changed, "rotated": rotated, "restart": list(self._refused)}
        self._tell(Event("reloaded", dict(detail)))
        self._look_again = True
        self.look()
        return True

    def look(self) -> None:
        """Find out whether a reload would change something; the file is read where it may have."""
        stamp = self._source.stamp()
        if stamp == self._stamp and not self._look_again:
            return
        self._stamp, self._look_again = stamp, False
        try:
            self.differs = with_values(self._source.read(), self._overrides) != self.settled
        except ScribedError:
            self.differs = True

    def _take(self, new: Config) -> Plan:
        """Go by `new`, as far as that can be while we run; how far is in the plan."""
        plan = changes.plan(self.config, new, reopens=parts.reopens(self.config.audio))
        # All that may fail, and then nothing does.
        provider = parts.Provider(plan.config.provider, self._environ)
        password = mqtt_password(plan.config, self._environ)
        keyed = with_client_key(plan.config, self._environ)
        found = self._source.identify(plan.config)
        identity = replace(found, run_id=self.identity.run_id, boot_id=self.identity.boot_id)
        secrets = digests(plan.config, self._environ, self._salt)
        rotated = [name for name, seal in secrets.items() if self._digests.get(name, seal) != seal]
        # From here on nothing fails.
        self._number += 1
        self._post(plan, provider, rotated, keyed=keyed, identity=identity, password=password)
        self.config, self.identity, self._digests = plan.config, identity, secrets
        self._refused = plan.refused
        self._changed.update(dict.fromkeys(plan.changed))
        self._rotated.update(dict.fromkeys(rotated))
        journal.set_level(self._log_level or plan.config.log.level)
        self._say(plan)
        return plan

    def _post(
        self,
        plan: Plan,
        provider: parts.Provider,
        rotated: list[str],
        *,
        keyed: Config,
        identity: Identity,
        password: str | None,
    ) -> None:
        """Tell every worker; delivery with the `keyed` configuration."""
        config, number, inboxes = plan.config, self._number, self._inboxes
        self._waits_for = set(inboxes._fields)
        new_vad = parts.vad(config) if plan.touches(*VAD) else None
        conditioning = [f"audio.{key}" for key in CONDITIONING]
        new_conditioner = (
            partial(parts.conditioner, config.audio) if plan.touches(*conditioning) else None
        )
        new_source = parts.source(config.audio) if Effect.DEVICE in plan.effects else None
        inboxes.capture.put(
            orders.Retune(
                number,
                gate=parts.gate(config),
                echo=config.echo,
                motion=config.motion,
                listen=config.listen,
                chunk_bytes=chunk_bytes(config.provider),
                stall_s=parts.stall_s(config.audio),
                silent_s=parts.silent_s(config.audio),
                gate_settings=parts.gate_settings(config),
                new_vad=new_vad,
                new_conditioner=new_conditioner,
                open_source=new_source,
            )
        )
        renew = Effect.SESSION in plan.effects or key_name(config.provider) in rotated
        inboxes.uplink.put(
            uplink.Retune(number, config, provider.session, provider.connect, provider.check, renew)
        )
        secrets = {MQTT_PASSWORD, MQTT_CLIENT_KEY}
        reconnect = Effect.BROKER in plan.effects or not secrets.isdisjoint(rotated)
        inboxes.delivery.put(delivery.Retune(number, keyed, identity, password, reconnect))
        inboxes.store.put(store.Retune(number, config.spool))

    def _say(self, plan: Plan) -> None:
        """What does not come about by this."""
        if plan.refused:
            keys = ", ".join(plan.refused)
            words = "needs a restart, and stays as it was until then: %s"
            logger.warning(words, keys, extra=kinds.RESTART_NEEDED(keys=keys))
        for name in self._digests:
            if from_systemd(name, self._environ):
                words = "%s is a credential of systemd: a new one takes a restart"
                logger.info(words, name, extra=kinds.CREDENTIAL_KEPT(keys=name))

    def _refuse(self, problems: list[str]) -> None:
        self._invalid = True
        said = "; ".join(problems)
        path = self._source.name
        extra = kinds.RELOAD_REFUSED(path=path, error=said)
        words = "not reloaded, all stays as it was: %s. In %s: %s"
        logger.error(words, said, path, REMEDY, extra=extra)
        self._tell(Alert("config_invalid", said, f"{self._source.name}: {REMEDY}"))
