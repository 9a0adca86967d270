"""A robot with scribed on it: the real daemon, a real broker, and a subscriber."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from scribed.demo.subscriber import Received, Subscriber
from scribed.errors import ScribedError
from tests.parts.broker import Broker

KEY = "test-key-5c1bed"
BASE = "scribed/r7/mic"
RATE = 16_000

_OURS = ("SCRIBED_", "ELEVENLABS_", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY")
"""Variables of a developer's shell that would change what the daemon does."""


class Listener(Subscriber):
    """A subscriber that misses nothing while a broker with persistence is restarted.

    Its session outlives its connections, and what was published with the retain flag comes with it.
    """

    def __init__(
        self, port: int, *, name: str = "listener", user: str = "", password: str = ""
    ) -> None:
        super().__init__(port, BASE)
        options = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=1)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5
        )
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]  # takes floats
        self._client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/#", options=options)
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.on_message = self._take
        if user:
            self._client.username_pw_set(user, password)

    def become(self, user: str, password: str) -> None:
        """Be another user from the next connection on."""
        self._client.username_pw_set(user, password)

    def __enter__(self) -> Listener:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 600
        self._client.connect(self._host, self._port, clean_start=False, properties=session)
        self._client.loop_start()
        self._subscribed.get(timeout=10)
        return self


class Robot:
    """Writes the configuration, starts `scribed run`, and listens. A context manager.

    `sections` is the configuration; changes count from the next `start()`. `broker` may be one that
    does not run yet: then call `subscribe()` when it does. `user` is the subscriber's and its
    password. With `program` something stands before the daemon's own command.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Mapping[str, Mapping[str, Any]],
        *,
        key: str | None = KEY,
        environment: Mapping[str, str] | None = None,
        program: tuple[str, ...] = (),
        broker: Broker | None = None,
        user: tuple[str, str] = ("", ""),
    ) -> None:
        self.directory = directory
        self.sections = {name: dict(values) for name, values in configuration.items()}
        self.secrets = [] if key is None else [key]
        self.command_lines: list[bytes] = []  #: of each daemon, as others see them
        self.state_directory = directory / "state"
        self.log_path = directory / "daemon.log"
        self.configuration = directory / "scribed.toml"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(_OURS)},
            "STATE_DIRECTORY": str(self.state_directory),
            "RUNTIME_DIRECTORY": str(directory / "run"),
            **({} if key is None else {"ELEVENLABS_API_KEY": key}),
            **(environment or {}),
        }
        self._program, self._broker, self._user = program, broker, user
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Robot:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            if self._broker is None:
                (home := self.directory / "broker").mkdir(exist_ok=True)
                self._broker = stack.enter_context(
                    Broker(home, persistence=True, max_inflight=1000)
                )
            self.broker = self._broker
            self.subscriber = Listener(self.broker.port, user=self._user[0], password=self._user[1])
            if _runs(self.broker):
                self.subscribe()
            self.start()
            stack.callback(self.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def subscribe(self) -> None:
        """Begin to listen; done by itself where the broker runs from the start."""
        self._stack.enter_context(self.subscriber)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon; where it runs it is killed first."""
        self.kill()
        self.sections.setdefault("robot", {}).setdefault("id", "r7")
        self.sections["robot"].setdefault("source", "mic")
        self.sections.setdefault("mqtt", {}).setdefault("port", self.broker.port)
        self.configuration.write_text(toml(self.sections), "utf-8")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, *command(self.configuration)],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        while self.process.poll() is None and not self._note_command_line():
            pass  # the kernel writes it down a moment after exec
        return self.process

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The daemon that was started last."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    # What it receives

    def wait_for(self, condition: Callable[[], object], timeout: float = 20.0) -> None:
        """Wait for something on MQTT; fail with the daemon's log where it does not come."""
        deadline = time.monotonic() + timeout
        while not self.subscriber.wait_for(condition, 0.1):
            if time.monotonic() < deadline:
                continue
            topics = [f"{m.topic} {str(m.payload)[:160]}" for m in self.subscriber.received[-15:]]
            raise AssertionError(
                "it did not come; what came last:\n" + "\n".join(topics) + f"\nthe log:\n{self.log}"
            )

    def wait_until_it_hears(self) -> None:
        self.wait_for(lambda: self.state.get("hearing") is True)

    def wait_for_texts(self, count: int, timeout: float = 20.0) -> list[str]:
        """Wait for so many finals, on `transcript` or `late`; their texts by `seq`."""
        self.wait_for(lambda: len({m.payload["seq"] for m in self.finals}) >= count, timeout)
        return [
            text
            for _, text in sorted(
                {m.payload["seq"]: m.payload["text"] for m in self.finals}.items()
            )
        ]

    @property
    def state(self) -> dict[str, Any]:
        """The last state, empty before the first."""
        states = self.subscriber.on("state")
        return dict(states[-1].payload) if states else {}

    @property
    def link(self) -> dict[str, Any]:
        """The link as the last state tells it, empty before the first state."""
        return dict(self.state.get("link", {}))

    @property
    def status(self) -> str | None:
        """`online`, `offline`, or None before the first."""
        said = self.subscriber.on("status")
        return str(said[-1].payload) if said else None

    def on(self, *topics: str) -> list[Received]:
        return self.subscriber.on(*topics)

    @property
    def texts(self) -> list[str]:
        """The texts on `transcript` so far."""
        return [message.payload["text"] for message in self.on("transcript")]

    @property
    def finals(self) -> list[Received]:
        """What came on `transcript` and `late`, in order."""
        return self.on("transcript", "late")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The details of the events called `name`."""
        return [m.payload["detail"] for m in self.on("event") if m.payload["event"] == name]

    def alert(self, code: str) -> dict[str, Any] | None:
        """The alert that is active under `code`."""
        messages = self.on(f"alert/{code}")
        payload = messages[-1].payload if messages else None
        return dict(payload) if payload else None

    # What is done to it

    def speak(self, pcm: bytes, *, pace: float = 1.0) -> None:
        """Write audio to its stdin, `pace` times as fast as real time."""
        assert self.process.stdin is not None
        begun, chunk = time.monotonic(), 640
        for at in range(0, len(pcm), chunk):
            self.process.stdin.write(pcm[at : at + chunk])
            self.process.stdin.flush()
            wait = begun + (at + chunk) / (2 * RATE) / pace - time.monotonic()
            if wait > 0:
                time.sleep(wait)

    def wait_until_read(self) -> None:
        """Wait until the daemon has read all that was written to its stdin."""

        def unread() -> int:
            assert self.process.stdin is not None
            left = fcntl.ioctl(self.process.stdin, termios.FIONREAD, bytes(4))
            return int.from_bytes(left, sys.byteorder)

        self.wait_for(lambda: not unread())

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop(
        self, timeout: float = 10.0, how: signal.Signals = signal.SIGTERM
    ) -> tuple[int, float]:
        """SIGTERM; the exit status, and how long it took."""
        begun = time.monotonic()
        self.process.send_signal(how)
        status = self.process.wait(timeout)
        return status, time.monotonic() - begun

    def end_of_input(self, timeout: float = 20.0) -> int:
        """Close its stdin; the exit status."""
        self.close_stdin()
        return self.process.wait(timeout)

    def kill(self) -> None:
        """End the daemon as `kill -9` does, where it runs."""
        if self._process is None:
            return
        self._note_command_line()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def _note_command_line(self) -> bytes:
        line = b""
        with contextlib.suppress(OSError):  # it may be gone already
            line = Path(f"/proc/{self.process.pid}/cmdline").read_bytes()
        self.command_lines.append(line)
        return line


def command(configuration: Path) -> list[str]:
    """The daemon's command line."""
    return [sys.executable, "-m", "scribed", "run", "-c", str(configuration)]


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A configuration file."""
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_literal(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value)


def _runs(broker: Broker) -> bool:
    try:
        return broker.pid > 0
    except ScribedError:
        return False


def silence(seconds: float) -> bytes:
    """Digital silence of 16 kHz mono."""
    return bytes(int(seconds * RATE) * 2)
