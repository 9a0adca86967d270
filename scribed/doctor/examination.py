"""The whole examination: evidence is gathered side by side, each part for a bounded time."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from scribed import clock, parts
from scribed.config import Config
from scribed.delivery import tls as broker_tls
from scribed.delivery.reasons import where
from scribed.doctor import keys, machine, network, sound
from scribed.doctor.aside import Aside, Late
from scribed.doctor.finding import Finding, ok, unknown
from scribed.doctor.probes import broker as brokers
from scribed.doctor.probes import gate, microphone
from scribed.doctor.probes import keys as secrets
from scribed.doctor.probes import machine as machines
from scribed.doctor.probes import network as networks
from scribed.doctor.probes import provider as providers
from scribed.doctor.probes import store as stores
from scribed.doctor.probes.listening import Answer
from scribed.endpoints import is_loopback, realtime_url
from scribed.errors import ScribedError
from scribed.model import Identity
from scribed.service.credentials import (
    idle_client_key,
    idle_password,
    mqtt_password,
    with_client_key,
)
from scribed.service.names import unit_of
from scribed.service.timesync import clock_synced
from scribed.uplink.connection import tls_context
from scribed.uplink.providers import openmind_route

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `daemon`: the state of the one that runs, None where none answers."""

    config: Config
    identity: Identity
    instance: str
    state: Path
    runtime: Path
    environ: Mapping[str, str]
    daemon: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Endpoint:
    host: str
    port: int
    key: str  #: "provider" or "mqtt"
    named_by: str  #: the key of the configuration
    context: Callable[[], ssl.SSLContext] | None  #: None: it is spoken to without TLS


class Examination:
    """`findings()` gives them in order, each as soon as it and those before it are known."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._unit = unit_of(patient.instance)
        self._shown = machines.show_unit(f"{self._unit}.service")
        shown = self._shown or {}
        runs_as = shown.get("User", "") if shown.get("LoadState") == "loaded" else ""
        self._service = machines.user(runs_as)

    def findings(self) -> Iterator[Finding]:
        """Everything but the configuration, which is read before."""
        with secrets.as_the_service(self._unit, self._shown, self._patient.environ) as environ:
            yield from self._findings(environ)

    def _findings(self, environ: Mapping[str, str]) -> Iterator[Finding]:
        patient, config = self._patient, self._patient.config
        evidence = secrets.gather(config, environ, self._shown)
        provider_s = 2 * config.provider.connect_timeout_s + networks.LOOKUP_S
        heard = self._listen()
        keyed = config
        with contextlib.suppress(ScribedError):  # told by who reads the configuration
            keyed = with_client_key(config, environ)
        endpoints = _endpoints(keyed)
        lookups = [(each, Aside(_looks(each.host), networks.LOOKUP_S)) for each in endpoints]
        greetings = [
            (each, Aside(_greets(each), networks.LOOKUP_S + 2 * networks.GREET_S))
            for each in endpoints
            if each.context
        ]
        has_key = evidence[0].is_there or not evidence[0].is_needed
        answered = (
            Aside(lambda: providers.greet(config.provider, environ), provider_s)
            if has_key
            else None
        )
        reached = Aside(lambda: self._try_broker(environ), brokers.TRY_S + networks.LOOKUP_S)

        yield from (keys.judge(each, self._service) for each in evidence)
        with contextlib.suppress(ScribedError):  # told as the password's own fault
            if line := idle_password(config, environ):
                yield keys.idle(line)
        yield from _of_certificate(config, keyed, environ)
        yield from _one(sound.MICROPHONE, heard, self._of_microphone)
        cut = gate.cut(parts.gate(config), gate.webrtc(config.vad.aggressiveness))
        yield sound.of_gate(cut, gate.VOICE_S)
        for endpoint, looking in lookups:
            yield _of_name(endpoint, looking)
        yield from self._of_peers(greetings)
        if answered is None:
            yield unknown(network.PROVIDER, "not tried without a key", "see credentials")
        else:
            yield from _one(network.PROVIDER, answered, network.of_provider)
        yield from _one(network.BROKER, reached, network.of_broker)
        store = stores.look(patient.state, patient.runtime)
        yield machine.of_store(store, self._service)
        spool = config.spool
        room = machines.room(patient.state)
        yield machine.of_disk(room, min_free_mb=spool.min_free_mb, max_mb=spool.max_mb)
        yield machine.of_unit(f"{self._unit}.service", self._shown)
        yield from machine.of_wifi(machines.radios())

    # The microphone

    def _listen(self) -> Aside[Answer | Finding]:
        """Whoever has the microphone is asked; else it is listened on."""
        audio, daemon = self._patient.config.audio, self._patient.daemon
        if daemon is not None:
            return Aside(lambda: sound.of_daemon(daemon), microphone.CHILD_S)
        if audio.source != "alsa":
            return Aside(lambda: sound.not_tried(audio.source), microphone.CHILD_S)
        return Aside(lambda: microphone.listen(audio), microphone.CHILD_S + 1.0)

    def _of_microphone(self, said: Answer | Finding) -> list[Finding]:
        if isinstance(said, Finding):
            return [said]
        if said.heard is not None:
            return [sound.of_device(said.heard)]
        return [sound.of_refusal(said.problem, daemon_runs=self._daemon_runs())]

    def _daemon_runs(self) -> bool:
        """Whether one runs that may not be asked."""
        active = (self._shown or {}).get("ActiveState") == "active"
        return active or stores.lock_holder(self._patient.state / "lock") is not None

    # The network

    def _of_peers(
        self, greetings: list[tuple[_Endpoint, Aside[network.Greeting]]]
    ) -> Iterator[Finding]:
        offset_s: float | None = None
        for endpoint, greeting in greetings:
            try:
                said = greeting.result()
            except Late as exc:
                yield network.of_late(network.TLS, exc.seconds)
                continue
            if endpoint.key == "provider":
                offset_s = said.offset_s
            yield network.of_greeting(said, clock.wall())
        if not greetings:
            yield ok(network.TLS, "neither the service nor the broker is spoken to with TLS")
        yield network.of_clock(clock_synced(), offset_s)

    def _try_broker(self, environ: Mapping[str, str]) -> network.Reached:
        config = self._patient.config
        try:
            password = mqtt_password(config, environ)
            keyed = with_client_key(config, environ)
        except ScribedError as exc:
            return network.Reached(where(config.mqtt), problem=str(exc))
        return brokers.try_broker(keyed.mqtt, self._patient.identity, password)


def _of_certificate(config: Config, keyed: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What a broker that wants a certificate of ours is shown; `keyed` has the key's file."""
    if line := idle_client_key(config, environ):
        yield keys.idle(line)
    yield from (
        keys.of_certificate(each, clock.wall()) for each in broker_tls.own(keyed.mqtt.cert_file)
    )
    if config.mqtt.cert_file and (line := broker_tls.own_problem(keyed.mqtt)):
        yield keys.of_pair(line)


def _endpoints(config: Config) -> list[_Endpoint]:
    """Whom the daemon speaks to: the service, and the broker."""
    provider, mqtt = config.provider, config.mqtt
    is_openmind = provider.name == "openmind"
    peer = urlsplit(openmind_route.url(provider, "") if is_openmind else realtime_url(provider))
    secure = peer.scheme == "wss"
    service = _Endpoint(
        peer.hostname or "",
        peer.port or (443 if secure else 80),
        "provider",
        "provider.url",
        (lambda: tls_context(provider.ca_file)) if secure else None,
    )
    if mqtt.transport == "unix":
        return [service]
    context = (lambda: broker_tls.context(mqtt)) if mqtt.tls else None
    return [service, _Endpoint(mqtt.host, mqtt.port, "mqtt", "mqtt.host", context)]


def _looks(host: str) -> Callable[[], network.Lookup]:
    return lambda: networks.look_up(host)


def _greets(to: _Endpoint) -> Callable[[], network.Greeting]:
    context = to.context
    assert context is not None, "only those with TLS are greeted"
    is_http = to.key == "provider"
    return lambda: networks.greet(to.host, to.port, to.key, context, is_http=is_http)


def _of_name(endpoint: _Endpoint, looking: Aside[network.Lookup]) -> Finding:
    try:
        found = looking.result()
    except Late as exc:
        found = network.Lookup(endpoint.host, (), "", exc.seconds)
    if is_loopback(endpoint.host):
        return ok(network.DNS, f"{endpoint.host} is this machine")
    return network.of_lookup(endpoint.named_by, found)


def _one(part: str, aside: Aside[T], judge: Callable[[T], list[Finding]]) -> list[Finding]:
    try:
        return judge(aside.result())
    except Late as exc:
        return [network.of_late(part, exc.seconds)]
