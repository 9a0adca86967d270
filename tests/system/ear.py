"""An instance of the unit in a box, with a broker and a speech service outside of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from scribed.demo.subscriber import Subscriber
from tests.parts.robot import KEY, RATE, toml
from tests.system.box import Box, wait_until
from tests.system.installing import ROOT

DROP_INS = ROOT / "systemd" / "drop-ins"
SOON = 20.0
"""Seconds after which a test gives up."""


class Ear:
    """`scribed@NAME.service`, which hears what is written to a pipe. A context manager: the unit is
    stopped and forgotten at the end.

    `sections` is its configuration, or None for none; `service` what its `[Service]` says
    otherwise; `drop_ins` those of the project that it has.
    """

    def __init__(
        self,
        box: Box,
        name: str,
        sections: Mapping[str, Mapping[str, Any]] | None,
        *,
        port: int,
        service: str = "",
        drop_ins: tuple[str, ...] = ("elevenlabs-key.conf",),
    ) -> None:
        self.box, self.name, self.unit = box, name, f"scribed@{name}.service"
        self._microphone = box.path(f"/run/{name}.pcm")
        self.configuration = box.path(f"/etc/scribed/{name}.toml")
        self._drop_ins = box.path(f"/run/systemd/system/{self.unit}.d")
        os.mkfifo(self._microphone)
        self._fd = os.open(self._microphone, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        if sections is not None:
            whole = {"robot": {"id": "r7"}, "audio": {"source": "stdin"}, **sections}
            whole["mqtt"] = {"port": port, **sections.get("mqtt", {})}
            self.configure(whole)
        self._drop_ins.mkdir(parents=True)
        for drop_in in drop_ins:
            shutil.copy(DROP_INS / drop_in, self._drop_ins / drop_in)
        said = f"[Service]\nStandardInput=file:/run/{name}.pcm\n{service}"
        (self._drop_ins / "test.conf").write_text(said, "utf-8")
        box.run("systemctl", "daemon-reload")
        self.subscriber = Subscriber(port, f"scribed/r7/{name}")

    def __enter__(self) -> Ear:
        self.subscriber.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            print(self.log)  # noqa: T201 -- pytest shows it with the failure
        with contextlib.ExitStack() as stack:
            stack.callback(self.box.run, "systemctl", "daemon-reload")
            stack.callback(shutil.rmtree, self._drop_ins)
            stack.callback(self.configuration.unlink, missing_ok=True)
            stack.callback(self._microphone.unlink)
            stack.callback(os.close, self._fd)
            stack.callback(self.subscriber.__exit__)
            stack.callback(self.systemctl, "reset-failed", check=False)
            stack.callback(self.systemctl, "stop", check=False)

    # What is done to it

    def configure(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Write its whole configuration."""
        self.sections = sections
        self.configuration.write_text(toml(sections), "utf-8")

    def systemctl(self, verb: str, check: bool = True) -> str:
        """`systemctl VERB UNIT`; what it says."""
        return self.box.run("systemctl", verb, self.unit, check=check)

    def start(self) -> None:
        """Start it; it is ready then."""
        self.systemctl("start")

    def speak(self, pcm: bytes, *, pace: float = 1.0) -> None:
        """Say it in front of the microphone; what nobody reads is lost, as with a real one."""
        begun, chunk = time.monotonic(), 640
        for at in range(0, len(pcm), chunk):
            with contextlib.suppress(BlockingIOError):
                os.write(self._fd, pcm[at : at + chunk])
            wait = begun + (at + chunk) / (2 * RATE) / pace - time.monotonic()
            if wait > 0:
                time.sleep(wait)

    def signal(self, number: int) -> None:
        """Send a signal to its main process."""
        os.kill(self.outside, number)

    # What it is

    def show(self, what: str) -> str:
        """A property of the unit."""
        return self.box.run("systemctl", "show", "-P", what, self.unit).strip()

    @property
    def pid(self) -> int:
        """The main process as the box calls it, 0 where there is none."""
        return int(self.show("MainPID"))

    @property
    def outside(self) -> int:
        """The main process as it is called outside of the box."""
        return self.box.outside(self.pid)

    @property
    def log(self) -> str:
        """What the journal has of it, one line a record."""
        self.box.run("journalctl", "--sync")
        return self.box.run("journalctl", "-u", self.unit, "-o", "short-precise", "--no-pager")

    def records(self) -> list[dict[str, Any]]:
        """The same with all fields."""
        return self.box.records("-u", self.unit)

    def files(self) -> list[Path]:
        """The audio that is in its runtime directory."""
        return sorted(self.box.path(f"/run/scribed/{self.name}/audio").glob("*.wav*"))

    def wait_for(self, condition: Callable[[], object], timeout: float = SOON) -> None:
        """Wait for something on MQTT."""
        topics = [f"{m.topic} {str(m.payload)[:160]}" for m in self.subscriber.received[-10:]]
        came = self.subscriber.wait_for(condition, timeout)
        assert came, "it did not come; what came last:\n" + "\n".join(topics)

    def wait_for_a_new_process(self, old: int, timeout: float = SOON) -> None:
        """Wait until systemd has started it again, and it is ready."""
        wait_until(
            lambda: self.pid not in {0, old} and self.show("ActiveState") == "active", timeout
        )

    def wait_until_it_hears(self) -> None:
        """Wait for a status line that says so; somebody must breathe meanwhile."""
        deadline = time.monotonic() + SOON
        while not self.show("StatusText").startswith("hears "):
            assert time.monotonic() < deadline, self.show("StatusText")
            self.speak(bytes(RATE // 5), pace=2.0)

    def finals(self) -> list[dict[str, Any]]:
        """What came on `transcript` and `late`."""
        return [message.payload for message in self.subscriber.on("transcript", "late")]


def put_the_key(box: Box) -> None:
    """As the README says."""
    path = box.path("/etc/scribed/credentials/elevenlabs-api-key")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(KEY + "\n")
