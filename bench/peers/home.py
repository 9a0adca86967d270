"""What a Home Assistant is to a satellite: it asks it to run, and takes all that it sends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

RUN = b'{"type": "run-satellite"}\n'
STEP_S = 0.05


class Home:
    """A context manager: connected to the satellite at `path` as soon as that listens there;
    raises `TimeoutError` where it does not within `within_s`."""

    def __init__(self, path: Path, within_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._path, self._within_s = path, within_s
        self._thread = threading.Thread(target=self._take, name="home", daemon=True)
        self.taken = 0
        """Bytes so far."""

    def __enter__(self) -> Home:
        deadline = time.monotonic() + self._within_s
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self._socket.connect(str(self._path))
                break
            if time.monotonic() > deadline:
                self._socket.close()
                raise TimeoutError(f"nobody listens after {self._within_s:.0f} s")
            time.sleep(STEP_S)
        self._socket.sendall(RUN)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _take(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while some := self._socket.recv(65_536):
                self.taken += len(some)
