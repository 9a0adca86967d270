"""The child process that ffmpeg is: no shell, a process group of its own, and never left behind.

It ends with `close()`; where this process dies without that, it ends at its next write to the pipe
that nobody reads any more.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import signal
import subprocess

from scribed.errors import SourceError

QUIT_S, KILL_S = 0.2, 2.0
"""How long it has to say goodbye to its peer, and then to die."""
PIPE_BYTES = 1 << 20
"""What ffmpeg may be ahead, where the system allows it: half a minute."""
COMPLAINTS_BYTES = 1 << 20
"""So much of its stderr is taken at once."""
_NOT_FOR_FFMPEG = ("CREDENTIALS_DIRECTORY", "ELEVENLABS_API_KEY", "FFREPORT", "OPENMIND_API_KEY")
_MISSING = (
    "ffmpeg is not installed, and only it reads URLs and what is no WAV file; "
    "install the package ffmpeg (apt install ffmpeg)"
)


class Child:
    """Runs `command`, with `stdin` if given. Raises `SourceError` where that cannot be started."""

    def __init__(self, command: list[str], stdin: int | None) -> None:
        self._process = _start(command, stdin)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._pipes = (self._process.stdout, self._process.stderr)
        self.pid = self._process.pid
        self.out, self.err = (pipe.fileno() for pipe in self._pipes)  #: never block
        self._is_closed = False
        atexit.register(self.close)

    def read(self, nbytes: int) -> bytes | None:
        """Up to so much of its output; None: nothing is here yet, b"": nothing will come."""
        raw = bytearray()
        while len(raw) < nbytes:
            try:
                more = os.read(self.out, nbytes - len(raw))
            except BlockingIOError:
                return bytes(raw) or None
            if not more:
                break
            raw += more
        return bytes(raw)

    def complaints(self) -> bytes:
        """What it has written to its stderr since the last call."""
        raw = bytearray()
        with contextlib.suppress(BlockingIOError):
            while len(raw) < COMPLAINTS_BYTES and (more := os.read(self.err, 1 << 16)):
                raw += more
        return bytes(raw)

    def status(self) -> int | None:
        """The exit status of one that has closed its output; None: it does not end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_S)
        return self._process.returncode

    def close(self) -> None:
        """End it, and wait for its end; at most `QUIT_S` and `KILL_S`. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        for number, patience_s in ((signal.SIGTERM, QUIT_S), (signal.SIGKILL, KILL_S)):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        for pipe in self._pipes:
            pipe.close()


def _start(command: list[str], stdin: int | None) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_FFMPEG}
    try:
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | {"AV_LOG_FORCE_NOCOLOR": "1", "LC_ALL": "C"},
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise SourceError(_MISSING) from exc
    except OSError as exc:
        raise SourceError(f"ffmpeg cannot be started: {exc.strerror}") from exc
    assert process.stdout is not None
    assert process.stderr is not None
    for pipe in (process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)
    with contextlib.suppress(OSError):  # a user may have no room for larger pipes
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process
