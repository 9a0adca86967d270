"""systemd's end of the notify socket: what a daemon says, and when."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from types import TracebackType


class Systemd:
    """A context manager. `environment()` is for the daemon; `watchdog_s` is its `WatchdogSec=`."""

    def __init__(self, directory: Path, *, watchdog_s: float = 0.0) -> None:
        self.said: list[tuple[float, str]] = []  #: assignments, each with when it came (monotonic)
        self._path, self._watchdog_s = directory / "notify", watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._changed = threading.Condition()
        # A thread: the queue of such a socket is short, and who writes to a full one waits.
        self._thread = threading.Thread(target=self._listen, name="systemd")

    def environment(self) -> dict[str, str]:
        watchdog = {"WATCHDOG_USEC": str(round(self._watchdog_s * 1e6))} if self._watchdog_s else {}
        return {"NOTIFY_SOCKET": str(self._path), **watchdog}

    def __enter__(self) -> Systemd:
        self._socket.bind(str(self._path))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def wait_for(
        self, assignment: str, timeout: float, *, since: float | None = None
    ) -> float | None:
        """When `assignment` was first said after `since` (monotonic), by default after now.

        None: it is not said within `timeout` seconds.
        """
        begun = time.monotonic() if since is None else since

        def heard() -> float | None:
            return next((at for at, what in self.said if what == assignment and at > begun), None)

        with self._changed:
            return self._changed.wait_for(heard, timeout)

    def _listen(self) -> None:
        while message := self._socket.recv(8192):
            with self._changed:
                self.said += [(time.monotonic(), line) for line in message.decode().splitlines()]
                self._changed.notify_all()
