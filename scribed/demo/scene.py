"""The demo's scene: a robot that is told what to do, heard by the real daemon.

A private mosquitto, the stand-in for the speech service, a capture device made of a PulseAudio null
sink, and `scribed run` with a generated configuration. Everything lives in one temporary directory,
and nothing is left of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scribed.demo.broker import Broker
from scribed.demo.microphone import NullSinkMicrophone
from scribed.demo.subscriber import Subscriber
from scribed.errors import ScribedError
from scribed.simulate.recognizers.pocketsphinx import PocketSphinx
from scribed.simulate.server import Server

BASE = "scribed/demo/mic"
HEARING_S = 15.0
STOP_S = 8.0

CONFIGURATION = """\
[robot]
id = "demo"

[audio]
device = "{device}"
silent_s = 0  # between two commands a null sink's monitor gives zeros

[provider]
url = "{url}"
key_file = "{key_file}"

[mqtt]
port = {port}
"""


class Scene:
    """What a demo works with while it runs."""

    def __init__(
        self,
        directory: Path,
        broker: Broker,
        service: Server,
        microphone: NullSinkMicrophone,
        subscriber: Subscriber,
    ) -> None:
        self.directory, self.broker, self.service = directory, broker, service
        self.microphone, self.subscriber = microphone, subscriber
        self.log = directory / "daemon.log"
        self.configuration = CONFIGURATION.format(
            device=microphone.device,
            url=service.url,
            key_file=directory / "key",
            port=broker.port,
        )

    @contextlib.contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon until the block is left; it hears when the block is entered."""
        path = self.directory / "scribed.toml"
        path.write_text(self.configuration, "utf-8")
        environment = os.environ | self.microphone.environment()
        environment |= {"STATE_DIRECTORY": str(self.directory / "state")}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "scribed", "run", "-c", str(path)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop it in order
            )
        try:
            self._wait_until_it_hears(process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_it_hears(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + HEARING_S
        while not self.subscriber.wait_for(self._hears, 0.2):
            if process.poll() is not None or time.monotonic() > deadline:
                last = self.log.read_text("utf-8", "replace").splitlines()[-5:]
                raise ScribedError("the daemon does not hear:\n" + "\n".join(last))

    def _hears(self) -> bool:
        states = self.subscriber.on("state")
        return bool(states) and states[-1].payload["hearing"] is True


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """Set everything up but the daemon; take everything down again, whatever happens."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scribed-demo-")))
        key = secrets.token_hex(16)
        descriptor = os.open(directory / "key", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key)
        microphone = stack.enter_context(NullSinkMicrophone())
        broker = stack.enter_context(Broker(directory))
        service = stack.enter_context(Server(recognizer=PocketSphinx(), key=key, warmup_s=0.0))
        subscriber = stack.enter_context(Subscriber(broker.port, BASE))
        yield Scene(directory, broker, service, microphone, subscriber)
