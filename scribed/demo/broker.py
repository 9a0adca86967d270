"""A private mosquitto: its own port on loopback, its own configuration, its own directory."""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from scribed.errors import ScribedError

HOST = "127.0.0.1"
PORTS = (15_000, 32_000)
"""Below those that Linux gives to outgoing connections."""
START_S = 10.0
STOP_S = 5.0
_SBIN = "/usr/sbin"  # where Debian puts daemons; not on everybody's PATH
_ROUNDS = 101
"""mosquitto_passwd's own number of PBKDF2 rounds."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The files of a TLS listener, PEM; with `client_ca` only those connect whom that signed."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Broker:
    """A mosquitto that belongs to us; a context manager that starts and stops it.

    `directory` must exist and be private to us. With `passwords` (user to password) nobody else
    may connect; `acl` is the text of an ACL file; `persistence` keeps sessions and retained
    messages over a `kill()`, as far as mosquitto itself does; `transport` is as
    `mqtt.transport`; `max_packet_size` is in bytes. A subscriber who has not answered
    `max_inflight` messages (mosquitto's own: 20) gets the next later, or never after a `kill()`.
    `configuration` is the whole text instead, which listens on `port` and may name `passwords` and
    `acl` in `directory`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        passwords: Mapping[str, str] | None = None,
        acl: str = "",
        tls: ServerTls | None = None,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
        persistence: bool = False,
        max_packet_size: int | None = None,
        max_inflight: int = 20,
        configuration: str | None = None,
        program: str = "mosquitto",
    ) -> None:
        self.host, self.port = HOST, port or stable_port()
        #: the socket, where that is a Unix one
        self.unix = directory / "mqtt.sock" if transport == "unix" else None
        self._directory, self._program = directory, program
        self._log = directory / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            # mosquitto 2.0.11 ends where it has but listeners for WebSockets.
            *([f"listener 0 {directory}/unused.sock"] if transport == "websockets" else []),
            f"listener {self.port} {self.host}" if not self.unix else f"listener 0 {self.unix}",
            f"user {getpass.getuser()}",  # started as root, mosquitto would become another user
            f"allow_anonymous {'false' if passwords else 'true'}",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {directory}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "sys_interval 0",
            "set_tcp_nodelay true",
            "max_queued_messages 100000",  # a slow subscriber loses none (from 1000 on)
            f"max_inflight_messages {max_inflight}",
        ]
        if passwords:
            hashed = "".join(f"{user}:{_hashed(word)}\n" for user, word in passwords.items())
            lines.append(f"password_file {self._write('passwords', hashed)}")
        if acl:
            lines.append(f"acl_file {self._write('acl', acl)}")
        if tls is not None:
            lines += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        if tls is not None and tls.client_ca is not None:
            lines += [f"cafile {tls.client_ca}", "require_certificate true"]
        if transport == "websockets":
            lines.append("protocol websockets")
        if max_packet_size is not None:
            lines.append(f"max_packet_size {max_packet_size}")
        text = "\n".join(lines) if configuration is None else configuration
        self._config = self._write("mosquitto.conf", f"{text}\n")

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process; raises `ScribedError` where it does not run."""
        if self._process is None:
            raise ScribedError("this broker is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it accepts connections, `START_S` at most.

        Raises `ScribedError` where mosquitto is not installed, or ends, or does not come up.
        """
        program = shutil.which(self._program) or shutil.which(self._program, path=_SBIN)
        if program is None:
            raise ScribedError(
                "mosquitto is not installed; on Debian, Ubuntu and Raspberry Pi OS: "
                "sudo apt install mosquitto"
            )
        if not _is_free(self.port):
            raise ScribedError(f"port {self.port} of {HOST} is in use; choose another one")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is ours to hand on, when all has been said
            )
        self._wait_until_it_runs(self._process)

    def stop(self) -> None:
        """Ask it to end, and see that it does. May be called twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would: it says and saves nothing."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again, on the same port."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_until_it_runs(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while not self._accepts():
            if process.poll() is not None:
                self._process = None
                raise ScribedError(f"mosquitto ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ScribedError(f"mosquitto does not accept connections: {self._last_words()}")
            time.sleep(0.01)

    def _accepts(self) -> bool:
        """It listens before it has read its certificates: only its log says when it is ready."""
        if " running" not in self._log.read_text(errors="replace"):
            return False
        if self.unix is not None:
            return self.unix.is_socket()
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=START_S),
        ):
            return True
        return False

    def _last_words(self) -> str:
        """The error in its log, without the time that stands before each line."""
        text = self._log.read_text(errors="replace")
        lines = [line.partition(": ")[2] for line in text.splitlines()]
        errors = [line for line in lines if line.startswith("Error")]
        return (errors or lines or ["it said nothing"])[-1]

    def _write(self, name: str, text: str) -> Path:
        """Write a file of ours that nobody else may read."""
        path = self._directory / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path


def _hashed(password: str) -> str:
    """`password` as mosquitto 2 stores it; `mosquitto_passwd` wants it on its command line."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"$7${_ROUNDS}${'$'.join(parts)}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mosquitto does
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def stable_port() -> int:
    """A port that no outgoing connection takes while the broker is down for a moment."""
    for _ in range(100):
        port = random.randrange(*PORTS)
        if _is_free(port):
            return port
    raise ScribedError(f"no port of {HOST} from {PORTS[0]} to {PORTS[1]} is free")
