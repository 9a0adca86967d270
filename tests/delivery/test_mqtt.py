"""One connection to a broker: real ones, and such as misbehave."""

from __future__ import annotations

import gc
import selectors
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from scribed.config import Mqtt
from scribed.delivery.attempts import Loss, Version
from scribed.delivery.commands import MAX_BYTES
from scribed.delivery.events import Acknowledged, Asked, Connected, Subscribed, WireEvent
from scribed.delivery.mqtt import Wire
from scribed.delivery.topics import Message
from scribed.demo.broker import Broker, ServerTls, stable_port
from scribed.errors import BrokerError
from scribed.model import Identity
from tests.delivery.peers import IDENTITY, Relay, Robot, ScriptedBroker, wait_for

Dial = Callable[..., Wire]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Open wires; they are closed at the end."""
    wires: list[Wire] = []

    def open_wire(
        port: int,
        *,
        host: str = "127.0.0.1",
        version: Version = "5",
        password: str | None = None,
        identity: Identity = IDENTITY,
        timeout_s: float = 2.0,
        **mqtt: Any,
    ) -> Wire:
        wire = Wire(
            Mqtt(host=host, port=port, **mqtt),
            identity,
            password,
            version=version,
            give_up_s=5.0,
            timeout_s=timeout_s,
        )
        wires.append(wire)
        return wire

    yield open_wire
    for wire in wires:
        wire.close()


def serve(wire: Wire, until: Callable[[list[WireEvent]], Any]) -> list[WireEvent]:
    """Drive the wire as its worker does, until `until(events)` or its end."""
    events: list[WireEvent] = []

    def step() -> bool:
        with selectors.DefaultSelector() as selector:
            if not wire.closed:
                selector.register(wire.fileno(), selectors.EVENT_READ)
                selector.select(0.05)
        events.extend(wire.service())
        return bool(until(events) or wire.error)

    wait_for(step, f"the wire: {events}")
    return events


def greet(wire: Wire) -> Connected:
    """Wait until the broker has accepted us, and our subscription to commands."""
    events = serve(wire, lambda events: len(events) == 2)
    assert wire.error is None
    assert isinstance(events[0], Connected)
    assert events[1:] == [Subscribed(None)]
    return events[0]


def failure(wire: Wire) -> BrokerError:
    serve(wire, lambda events: False)
    assert wire.error is not None
    return wire.error


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_is_acknowledged_and_received(
    broker: Broker, dial: Dial, version: Version
) -> None:
    with Robot(broker.port) as robot:
        wire = dial(broker.port, version=version)
        greet(wire)
        mid = wire.publish(Message("transcript", b"{}", 4))
        assert serve(wire, lambda events: events) == [Acknowledged(mid, None)]
        (heard,) = robot.hears("transcript")
    assert (heard.qos, heard.retain) == (1, False)
    if version == "5":
        assert (heard.expiry_s, heard.content_type, heard.utf8) == (4, "application/json", True)
    else:
        assert (heard.expiry_s, heard.content_type, heard.utf8) == (None, None, False)


def command(wire: Wire) -> Asked:
    """Wait for the next command."""
    (event,) = serve(wire, lambda events: events)
    assert isinstance(event, Asked)
    return event


def test_a_command_arrives_with_where_its_reply_is_wanted(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        wire = dial(broker.port)
        greet(wire)
        robot.says("cmd/mute", "ON", answer_on="answers/1", correlation=b"\x00\xff")
        assert command(wire) == Asked("mute", b"ON", False, "answers/1", b"\x00\xff")
        old = dial(broker.port, version="3.1.1", identity=other_identity())
        greet(old)
        robot.says("cmd/flush", answer_on="answers/1")
        assert command(old) == Asked("flush", b"")


def test_a_retained_command_is_known_as_such_and_not_asked_for(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        robot.says("cmd/mute", "ON", retain=True)
        wire = dial(broker.port)
        greet(wire)
        robot.says("cmd/mute", "OFF", retain=True)
        assert command(wire) == Asked("mute", b"OFF", True)
        old = dial(broker.port, version="3.1.1", identity=other_identity())
        greeting = serve(old, lambda events: len(events) == 3)  # 3.1.1 cannot ask to be spared
        assert greeting[-1] == Asked("mute", b"OFF", True)


def test_a_command_below_a_command_is_none(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        wire = dial(broker.port)
        greet(wire)
        robot.says("cmd/mute/on", "ON")
        robot.says("cmd/", "{}")
        assert command(wire) == Asked("", b"{}")


def resident_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_an_enormous_command_costs_little_memory_and_not_the_connection(
    broker: Broker, dial: Dial, version: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"{IDENTITY.base}/cmd"
    with Robot(broker.port, base="elsewhere") as stranger:
        wire = dial(broker.port, version=version)
        greet(wire)
        stranger.publish(f"{topic}/flush", b"x" * 10_000_000)
        assert len(command(wire).payload) == MAX_BYTES + 1  # enough to refuse it
        stranger.publish(f"{topic}/flush", b"x" * (16 << 20))
        stranger.publish(f"{topic}/state", b"")
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
        before = resident_kib("VmRSS")
        events = serve(wire, lambda events: Asked("state", b"") in events)
        peak = (resident_kib("VmHWM") - before) << 10
        with capsys.disabled():
            sys.stdout.write(f"\n  MQTT {version}, a command of 16 MiB: {peak / 2**20:.1f} MiB\n")
        assert len(events) == (1 if version == "5" else 2)  # 5: the broker spares us
        assert peak < 16 << 20
        mid = wire.publish(Message("transcript", b"{}", 4))
        assert serve(wire, lambda events: events) == [Acknowledged(mid, None)]


def test_a_broker_that_takes_no_subscription_says_so(dial: Dial) -> None:
    with ScriptedBroker(suback_reason=0x87) as broker:
        wire = dial(broker.port)
        events = serve(wire, lambda events: len(events) == 2)
    assert events[1] == Subscribed("not authorized")


def test_a_goodbye_leaves_without_a_will(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        wire = dial(broker.port, will_delay_s=0)
        greet(wire)
        wire.disconnect()
        serve(wire, lambda events: wire.closed)
        assert wire.error is None
        other = dial(broker.port)
        greet(other)
        other.publish(Message("status", b"online"))
        assert [message.payload for message in robot.hears("status")] == [b"online"]


def test_a_wire_that_breaks_leaves_its_will(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        wire = dial(broker.port, will_delay_s=1)
        greet(wire)
        wire.close()
        (will,) = robot.hears("status")
    assert (will.payload, will.qos, will.retain) == (b"offline", 1, True)
    assert (will.content_type, will.utf8) == ("text/plain", True)


def test_a_quick_return_leaves_no_will(broker: Broker, dial: Dial) -> None:
    with Robot(broker.port) as robot:
        first = dial(broker.port, will_delay_s=1)
        greet(first)
        first.close()
        second = dial(broker.port, will_delay_s=1)
        greet(second)
        second.publish(Message("status", b"online"))
        robot.hears("status")
        stranger = dial(broker.port, will_delay_s=1, identity=other_identity())
        greet(stranger)
        stranger.close()  # whose will comes after the one that must not come
        wait_for(lambda: len(robot.on("status")) >= 2, "the stranger's will", 5)
        assert [message.payload for message in robot.on("status")] == [b"online", b"offline"]
        assert second.error is None


def other_identity() -> Identity:
    return Identity("r7", "mic", IDENTITY.base, "somebody-else", "run-2", "boot-1")


def test_nothing_listens(dial: Dial) -> None:
    port = stable_port()
    with pytest.raises(BrokerError, match=rf"nothing listens on 127\.0\.0\.1 port {port}; start"):
        dial(port)


def test_an_unknown_host_is_named(dial: Dial) -> None:
    with pytest.raises(BrokerError, match=r"mqtt\.host: no-such-broker\.invalid"):
        dial(1883, host="no-such-broker.invalid")


@pytest.mark.parametrize("host", ["bad..name", "x" * 70, "with space"])
def test_an_impossible_host_is_an_error_of_ours(dial: Dial, host: str) -> None:
    with pytest.raises(BrokerError, match=r"mqtt\.host"):
        dial(1883, host=host)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_wrong_password_names_the_keys(tmp_path: Path, dial: Dial, version: Version) -> None:
    with Broker(tmp_path, passwords={"robot": "right"}) as broker:
        wire = dial(broker.port, version=version, username="robot", password="wrong")
        error = failure(wire)
        assert error.denied
        assert "mqtt.username" in str(error)
        assert "mqtt.password_file" in str(error)
        assert "wrong" not in str(error)
        assert wire.loss is Loss.REFUSED
        nobody = failure(dial(broker.port, version=version))
        assert "takes no anonymous clients" in str(nobody)
        greet(dial(broker.port, version=version, username="robot", password="right"))


def test_a_topic_that_the_acl_denies_is_refused_in_words(tmp_path: Path, dial: Dial) -> None:
    acl = f"topic write {IDENTITY.base}/state\n"
    with Broker(tmp_path, acl=acl) as broker:
        wire = dial(broker.port)
        greet(wire)
        allowed = wire.publish(Message("state", b"{}"))
        denied = wire.publish(Message("transcript", b"{}", 4))
        events = serve(wire, lambda events: len(events) == 2)
    assert events == [Acknowledged(allowed, None), Acknowledged(denied, "not authorized")]


@pytest.mark.parametrize("code", [0x83, 0x95, 0x96, 0xC8])
def test_a_reason_that_no_puback_may_have_costs_no_connection(dial: Dial, code: int) -> None:
    with ScriptedBroker(puback_reasons=[code]) as broker:
        wire = dial(broker.port)
        greet(wire)
        refused = wire.publish(Message("transcript", b"{}", 4))
        (event,) = serve(wire, lambda events: events)
        assert isinstance(event, Acknowledged)
        assert (event.mid, event.too_large) == (refused, code == 0x95)
        assert event.refusal
        taken = wire.publish(Message("transcript", b"{}", 4))
        assert serve(wire, lambda events: events) == [Acknowledged(taken, None)]


def test_the_one_who_is_taken_over_is_told_by_whom(dial: Dial) -> None:
    with ScriptedBroker(farewell=b"\xe0\x02\x8e\x00") as broker:
        wire = dial(broker.port)
        greet(wire)
        wire.publish(Message("status", b"online"))
        error = failure(wire)
    assert wire.loss is Loss.TAKEN_OVER
    assert error.denied
    assert f'another client has connected as "{IDENTITY.client_id}"' in str(error)
    assert "mqtt.client_id" in str(error)


def test_the_brokers_last_words_are_heard_even_by_one_who_goes_on_talking(dial: Dial) -> None:
    with ScriptedBroker(farewell=b"\x40\x02\x00\x01\xe0\x02\x97\x00") as broker:
        wire = dial(broker.port)
        greet(wire)

        def talk() -> bool:
            wire.publish(Message("status", b"online"))
            return wire.error is not None

        wait_for(talk)
    assert str(wire.error) == "the broker ended the session: quota exceeded"


def test_a_broker_that_gives_no_reason_is_suspected_of_a_second_client(
    broker: Broker, dial: Dial
) -> None:
    first = dial(broker.port, version="3.1.1")  # in which no broker has a word for it
    greet(first)
    greet(dial(broker.port, version="3.1.1"))
    assert f'another client is connected as "{IDENTITY.client_id}"' in str(failure(first))
    assert first.loss is Loss.CLOSED


def test_the_brokers_limits_are_known(tmp_path: Path, dial: Dial) -> None:
    with Broker(tmp_path, max_packet_size=1000) as broker:
        wire = dial(broker.port)
        limits = greet(wire)
        assert limits.max_payload is not None
        assert 700 < limits.max_payload < 1000
        assert limits.window == 20  # mosquitto's own receive maximum
        mid = wire.publish(Message("transcript", b"x" * limits.max_payload, 4))
        assert serve(wire, lambda events: events) == [Acknowledged(mid, None)]


def test_a_broker_that_ends_the_session_says_why(tmp_path: Path, dial: Dial) -> None:
    with Broker(tmp_path, max_packet_size=1000) as broker:
        wire = dial(broker.port)
        greet(wire)
        wire.publish(Message("transcript", b"x" * 2000, 4))
        assert "packet too large" in str(failure(wire))
        assert wire.loss is Loss.TOO_LARGE


def test_a_connection_that_is_reset_is_lost(broker: Broker, dial: Dial) -> None:
    with Relay(broker.port) as relay:
        wire = dial(relay.port)
        greet(wire)
        relay.cut()
        assert "connection to the broker was lost" in str(failure(wire))
        assert wire.loss is Loss.LOST


@pytest.mark.parametrize("silent", [False, True])
def test_an_old_broker_is_recognised(dial: Dial, silent: bool) -> None:
    with ScriptedBroker(speaks=(4,), silent=silent) as old:
        wire = dial(old.port)
        error = failure(wire)
        assert wire.loss is (Loss.SILENT if silent else Loss.WRONG_VERSION)
        assert ("is it an MQTT broker" if silent else "mqtt.protocol") in str(error)
        greet(dial(old.port, version="3.1.1"))
        assert old.levels == [5, 4]
        assert old.clean == [False, True]


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nServer: not a broker\r\n" + b"x" * 80,
        b"\x20\x01\x00",
        b"\x00" * 50,
        b"\xff\xff\xff\xff\xff\xff",
    ],
)
def test_a_peer_that_does_not_speak_mqtt_is_an_error_of_ours(dial: Dial, greeting: bytes) -> None:
    with ScriptedBroker(greeting=greeting) as stranger:
        assert "closed the connection instead of answering" in str(failure(dial(stranger.port)))


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_broker(tmp_path: Path, authority: trustme.CA) -> Iterator[Broker]:
    issued = authority.issue_cert("localhost")
    files = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem")
    issued.private_key_pem.write_to_path(files.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.certificate, append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "wrong.pem")
    with Broker(tmp_path, tls=files) as broker:
        yield broker


def test_a_broker_with_a_private_ca(tls_broker: Broker, tmp_path: Path, dial: Dial) -> None:
    ca_file = str(tmp_path / "ca.pem")
    wire = dial(tls_broker.port, host="localhost", tls=True, ca_file=ca_file)
    greet(wire)
    mids = [wire.publish(Message("transcript", b"x" * 3000, 4)) for _ in range(10)]
    events = serve(wire, lambda events: len(events) == len(mids))
    assert events == [Acknowledged(mid, None) for mid in mids]


def test_a_wrong_ca_is_named(tls_broker: Broker, tmp_path: Path, dial: Dial) -> None:
    ca_file = str(tmp_path / "wrong.pem")
    with pytest.raises(BrokerError, match=r"not signed by .*wrong\.pem .*mqtt\.ca_file"):
        dial(tls_broker.port, host="localhost", tls=True, ca_file=ca_file)


def test_the_systems_cas_do_not_trust_a_private_one(tls_broker: Broker, dial: Dial) -> None:
    with pytest.raises(BrokerError, match=r"not signed by any authority .*mqtt\.ca_file"):
        dial(tls_broker.port, host="localhost", tls=True)


def test_a_certificate_for_another_host(tls_broker: Broker, tmp_path: Path, dial: Dial) -> None:
    ca_file = str(tmp_path / "ca.pem")
    with pytest.raises(BrokerError, match=r"certificate is not for 127\.0\.0\.1: mqtt\.host"):
        dial(tls_broker.port, tls=True, ca_file=ca_file)


def test_tls_on_a_plain_port_and_a_plain_client_on_a_tls_port(
    broker: Broker, tls_broker: Broker, dial: Dial
) -> None:
    with pytest.raises(BrokerError, match=r"no TLS with .*mqtt\.port, mqtt\.tls"):
        dial(broker.port, tls=True)
    assert "does that port want TLS" in str(failure(dial(tls_broker.port)))


@pytest.mark.parametrize("name", ["missing.pem", "empty.pem"])
def test_a_ca_file_that_is_none(tmp_path: Path, dial: Dial, name: str) -> None:
    (tmp_path / "empty.pem").write_text("not a certificate")
    with pytest.raises(BrokerError, match=rf"mqtt\.ca_file: .*{name}"):
        dial(1, tls=True, ca_file=str(tmp_path / name))


def test_a_peer_that_never_shakes_hands_costs_no_more_than_the_timeout(dial: Dial) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as stalled,
        pytest.raises(BrokerError, match=r"did not answer within 0\.3 s"),
    ):
        dial(stalled.getsockname()[1], tls=True, timeout_s=0.3)


def test_verification_cannot_be_off(tls_broker: Broker, tmp_path: Path, dial: Dial) -> None:
    wire = dial(tls_broker.port, host="localhost", tls=True, ca_file=str(tmp_path / "ca.pem"))
    context = wire._socket().context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
