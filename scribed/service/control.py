"""The control socket: what this machine may ask of the daemon while it runs, without a broker.

A connection carries one line of JSON each way:

```
{"cmd": "mute", "args": {"on": true}}
{"ok": true, "result": {…}}  or  {"ok": false, "error": {"code": "…", "message": "…"}}
```
Who may open the socket may ask for everything: it is this user's alone.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from pathlib import Path
from typing import Any

import msgspec

from scribed import kinds
from scribed.model import Command, CommandError, Reply
from scribed.service.sockets import CONTROL, listen_at, write
from scribed.worker import Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 65_536
"""The longest question; longer ones are not read."""
TRANSFER_S = 2.0
"""How long a client may take to ask, and again to take the answer: others wait meanwhile."""
REPLY_S = 10.0
"""How long the daemon may take to carry something out."""
BACKLOG = 8
"""Clients that may wait for their turn; a further one is turned away by the kernel."""
REST_S = 1.0
"""Pause after a connection that could not be taken, for want of descriptors."""
IDLE_S = 60.0
"""How long to sleep where nobody asks; waking is a sign of life for the watchdog."""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends."""

    cmd: str
    args: dict[str, Any] = {}


class Control(Worker):
    """Listens in the directory `runtime` as soon as `start()` returns; one client at a time.

    Each question becomes a `Command` in `supervisor`, whoever carries it out puts the `Reply` into
    `inbox`. A `Stop` there ends the thread, and the socket. Without a socket (a directory that
    cannot be written, another daemon's) it says so in the log and ends: the daemon hears all the
    same. Idle, it sleeps.
    """

    def __init__(
        self,
        *,
        runtime: Path,
        supervisor: Mailbox[Any],
        transfer_s: float = TRANSFER_S,
        reply_s: float = REPLY_S,
    ) -> None:
        super().__init__("control", supervisor)
        self.inbox: Mailbox[Reply | Stop] = Mailbox()
        self._path = runtime / CONTROL
        self._listening: socket.socket | None = None
        self._transfer_s, self._reply_s = transfer_s, reply_s
        self._asked = 0
        self._stopping = False
        self._reply: Reply | None = None

    def start(self) -> None:
        """Open the socket, and serve it: who is told next that we are ready may ask at once."""
        try:
            self._listening = listen_at(self._path, BACKLOG)
        except OSError as exc:
            logger.warning(
                "no control socket, so that `scribed status` and the like get no answer: %s: %s",
                self._path,
                exc.strerror or exc,
                extra=kinds.NO_CONTROL_SOCKET(path=self._path, error=exc.strerror or exc),
            )
        super().start()

    def work(self) -> None:
        if self._listening is None:
            return
        with self._listening:
            try:
                self._serve(self._listening)
            finally:
                with contextlib.suppress(OSError):  # swept away; nobody finds it any more
                    self._path.unlink()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            self.beat(IDLE_S)
            self._wait(listening, select.POLLIN, time.monotonic() + IDLE_S)
            self.beat(2 * self._transfer_s + self._reply_s)
            if self._stopping:
                return
            try:
                client, _ = listening.accept()
            except BlockingIOError:  # the mailbox or the time woke us, or the client has gone
                continue
            except OSError as exc:
                words, why = "a client of the control socket was not heard: %s", exc.strerror
                logger.warning(words, why, extra=kinds.CLIENT_UNHEARD(error=why))
                self._reply = None
                self._wait(None, 0, time.monotonic() + REST_S)
                continue
            with client, contextlib.suppress(OSError):  # it went away; what it asked is done
                client.setblocking(False)
                self._attend(client)

    def _attend(self, client: socket.socket) -> None:
        """One question and its answer. Raises `OSError` where the client goes away."""
        line = self._read(client, time.monotonic() + self._transfer_s)
        if not line or self._stopping:  # somebody who only wanted to know whether we are here
            return
        if isinstance(line, CommandError):
            reply = Reply(None, error=line)
        else:
            try:
                reply = self._ask(decode(line))
            except ValueError as exc:
                reply = Reply(None, error=CommandError("malformed", str(exc)))
        write(client, encode(reply), self._until_writable)

    def _read(self, client: socket.socket, deadline: float) -> bytes | CommandError:
        """A line, ended by a newline or by the end of what is sent."""
        line = b""
        while self._wait(client, select.POLLIN, deadline):
            piece = client.recv(MAX_LINE_BYTES)
            line += piece
            head, newline, _ = line.partition(b"\n")
            if len(head) > MAX_LINE_BYTES:
                return CommandError("too_large", f"a line has at most {MAX_LINE_BYTES} bytes")
            if newline or not piece:
                return head
        return CommandError("malformed", f"no line came within {self._transfer_s:g} s")

    def _ask(self, question: Question) -> Reply:
        """Have it carried out, and wait for what comes of it."""
        self._asked, self._reply = self._asked + 1, None
        if not self.supervisor.put(
            Command(question.cmd, question.args, local=True, answer=self.inbox, token=self._asked)
        ):
            return _failed("the daemon has too much to do; ask again")
        self._wait(None, 0, time.monotonic() + self._reply_s)
        if self._reply is not None:
            return self._reply
        if self._stopping:
            return _failed("the daemon is stopping")
        return _failed(
            f"the daemon gave no answer within {self._reply_s:g} s; whether it was done is unknown"
        )

    def _until_writable(self, client: socket.socket, begun: float) -> bool:
        return self._wait(client, select.POLLOUT, begun + self._transfer_s)

    def _wait(self, who: socket.socket | None, event: int, deadline: float) -> bool:
        """Wait for `who`, or for the reply where that is None; False: too late, or a stop."""
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        if who is not None:
            poller.register(who, event)
        while not self._stopping:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            ready = {fd for fd, _ in poller.poll(left_s * 1000)}
            if self.inbox.fileno() in ready:
                self._take()
            if self._reply is not None if who is None else who.fileno() in ready:
                return not self._stopping
        return False

    def _take(self) -> None:
        for item in self.inbox.drain():
            if isinstance(item, Stop):
                self._stopping = True
            elif item.token == self._asked:  # and not one that comes after its asker has gone
                self._reply = item


def decode(line: bytes) -> Question:
    """What is asked in `line`. Raises `ValueError` that says what a question looks like."""
    try:
        return msgspec.json.decode(line, type=Question)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError(f'{exc}; a question is a line {{"cmd": "…", "args": {{…}}}}') from exc


def encode(reply: Reply) -> bytes:
    """The line that a client gets."""
    if reply.error is None:
        said: dict[str, Any] = {"ok": True, "result": reply.result}
    else:
        error = {"code": reply.error.code, "message": reply.error.message}
        said = {"ok": False, "error": error}
    return msgspec.json.encode(said) + b"\n"


def _failed(message: str) -> Reply:
    return Reply(None, error=CommandError("failed", message))
