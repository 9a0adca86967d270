"""The brokers of docs/examples/fleet, with the places and secrets of a test."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import trustme
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scribed.demo.broker import Broker, stable_port
from scribed.demo.subscriber import Received, Subscriber
from tests.delivery.peers import Relay, Rig

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "fleet"
WORDS = {
    "r7": "word-7",
    "r8": "word-8",
    "control": "c",
    "recorder": "r",
    "dashboard": "d",
    "operator": "o",
    "home": "h",
}
EDGE_WORDS = {"r7": "word-7", "stack": "s"}


class Fleet:
    """An edge (robot r7), a site, and the link between; nothing runs until it is started."""

    def __init__(self, directory: Path) -> None:
        site_home, edge_home = directory / "site", directory / "edge"
        site_port, edge_port = stable_port(), stable_port()
        for home in (site_home, edge_home):
            home.mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "site-ca.pem"))
        self.ca = directory / "site-ca.pem"
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(site_home / "site.key"))
        issued.cert_chain_pems[0].write_to_path(str(site_home / "site.pem"))
        (site_home / "site-ca.pem").write_bytes(self.ca.read_bytes())
        (edge_home / "site-ca.pem").write_bytes(self.ca.read_bytes())
        self.site = _broker("site", site_home, site_port, WORDS, {"listener 8883": ""})
        self.link = Relay(site_port)
        self.edge = _broker(
            "edge",
            edge_home,
            edge_port,
            EDGE_WORDS,
            {
                "listener 1883 127.0.0.1": "",
                "site.example.org:8883": f"127.0.0.1:{self.link.port}",
                "CHANGE-ME": WORDS["r7"],
                "restart_timeout 1 30": "restart_timeout 1",
            },
        )

    def at_site(self, user: str, topic: str, **how: Any) -> Client:
        """A client of the site."""
        return Client(self.site.port, topic, user, WORDS[user], ca=self.ca, **how)

    def at_edge(self, user: str, topic: str, **how: Any) -> Client:
        """A client on the robot."""
        return Client(self.edge.port, topic, user, EDGE_WORDS[user], **how)

    def daemon(self, *, stale_after_s: float = 60.0, **mqtt: Any) -> Rig:
        """The delivery of robot r7's daemon, at the edge."""
        return Rig(
            self.edge.port,
            username="r7",
            password=WORDS["r7"],
            stale_after_s=stale_after_s,
            commands=("restate", "flush", "mute"),
            **mqtt,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[Fleet]:
        """Both run, and the bridge stands."""
        with self.link, self.site, self.edge, self.at_site("control", "fleet/r7/bridge") as control:
            control.waits_for(lambda: control.last("fleet/r7/bridge") == 1, "the bridge")
            yield self


def _broker(
    name: str, home: Path, port: int, words: dict[str, str], instead: dict[str, str]
) -> Broker:
    text = (EXAMPLES / f"{name}.conf").read_text("utf-8")
    for old, new in instead.items():
        assert old in text, old
        text = text.replace(old, new)
    (home / f"{name}.acl").write_text((EXAMPLES / f"{name}.acl").read_text("utf-8"))
    text = text.replace("/etc/mosquitto/", f"{home}/").replace("/var/lib/mosquitto/", f"{home}/")
    text = f"user {getpass.getuser()}\nlistener {port} 127.0.0.1\n{text}"
    return Broker(home, port=port, passwords=words, configuration=text)


class Client(Subscriber):
    """A user of a broker, who hears `topic` and may publish; with a `name` its session stays."""

    def __init__(
        self,
        port: int,
        topic: str,
        user: str,
        password: str,
        *,
        ca: Path | None = None,
        name: str = "",
    ) -> None:
        super().__init__(port, "")
        self._name = name
        self._acknowledged: dict[int, Any] = {}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5
        )
        if user:
            self._client.username_pw_set(user, password)
        if ca is not None:
            self._client.tls_set(str(ca))
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]  # takes floats
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.on_publish = self._on_publish
        self._client.on_message = self._take

    def __enter__(self) -> Client:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 600 if self._name else 0
        self._client.connect(self._host, self._port, clean_start=False, properties=session)
        self._client.loop_start()
        self._subscribed.get(timeout=10)
        return self

    def leave(self) -> None:
        """Say goodbye, and let the broker forget the session."""
        over = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        over.SessionExpiryInterval = 0
        self._client.disconnect(properties=over)
        self._client.loop_stop()

    def says(self, topic: str, payload: str = "", *, retain: bool = False, **said: Any) -> str:
        """Publish, QoS 1, and wait for the broker's answer: "Success" or why not."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for key, value in said.items():
            setattr(properties, key, value)
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        assert self.wait_for(lambda: info.mid in self._acknowledged, 10)
        return str(self._acknowledged.pop(info.mid))

    def last(self, topic: str) -> Any:
        """The payload that came last."""
        return next((m.payload for m in reversed(self.received) if m.topic == topic), None)

    def waits_for(self, condition: Any, what: str, timeout: float = 20.0) -> None:
        assert self.wait_for(condition, timeout), f"{what}: {self.received}"

    def of(self, end: str) -> list[Received]:
        """What came on topics with this end."""
        return [m for m in list(self.received) if m.topic.endswith(end)]

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _: Any) -> None:
        with self._changed:
            self._acknowledged[mid] = reason
            self._changed.notify_all()
