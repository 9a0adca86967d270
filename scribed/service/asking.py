"""Asking a running daemon over its control socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from scribed.errors import ScribedError
from scribed.service.sockets import CONTROL, address_of

TIMEOUT_S = 15.0
"""Longer than the daemon may take (10 s) behind a silent client (2 s): so it is the one to say."""
MAX_ANSWER_BYTES = 16 << 20


class NoDaemon(ScribedError):
    """Nobody listens on the control socket."""


class NotPermitted(ScribedError):
    """The control socket is another user's."""


class Declined(ScribedError):
    """The daemon did not do it; `code` says why for machines, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(
    runtime: Path, name: str, args: dict[str, Any], timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Ask the daemon whose runtime directory is `runtime` for `name`; return the result.

    Raises `NoDaemon` where none listens, `NotPermitted` where its socket is another user's,
    `Declined` where it says no, and else `ScribedError`: no answer within `timeout_s` seconds, or
    one that is none.
    """
    path = runtime / CONTROL
    deadline = time.monotonic() + timeout_s
    question = json.dumps({"cmd": name, "args": args}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with address_of(path) as address:
                connection.connect(address)
        except PermissionError as exc:
            raise NotPermitted(f"{path} belongs to another user") from exc
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as exc:
            raise NoDaemon(f"no scribed listens on {path}") from exc
        except BlockingIOError as exc:
            raise ScribedError(f"too many ask on {path} at once; try again") from exc
        except OSError as exc:
            raise ScribedError(f"{path} cannot be used: {exc.strerror or exc}") from exc
        try:
            with contextlib.suppress(BrokenPipeError):  # it says no before it has read it all
                connection.sendall(question)
            line = _line(connection, deadline)
        except TimeoutError as exc:
            raise ScribedError(
                f"scribed gave no answer on {path} within {timeout_s:g} s; see its log"
            ) from exc
        except OSError as exc:
            raise ScribedError(f"scribed ended before it answered: {exc.strerror}") from exc
    return _result(line, path)


def _line(connection: socket.socket, deadline: float) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = connection.recv(65_536)
        if not piece or len(line) > MAX_ANSWER_BYTES:
            break
        line += piece
    return bytes(line)


def _result(line: bytes, path: Path) -> dict[str, Any]:
    try:
        said = json.loads(line)
        if said["ok"] is True:
            result: dict[str, Any] = dict(said["result"])
            return result
        code, message = str(said["error"]["code"]), str(said["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        what = "an answer that is none" if line else "no answer"
        raise ScribedError(f"scribed gave {what} on {path}; see its log") from exc
    raise Declined(code, message)
