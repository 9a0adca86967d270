"""Figures for who asks by HTTP: `GET /metrics`, on a Unix socket or a loopback port.

A thread of its own, and only where `metrics.listen` is set. One client at a time, each with a
deadline; a connection carries one request. Where nobody can be listened to (a port that is taken, a
directory that cannot be written) the log says so, it is tried again, and the daemon hears all the
same.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from scribed import kinds
from scribed.endpoints import Door
from scribed.service.sockets import listen_at, listen_on, write
from scribed.worker import Mailbox, Stop, Worker

logger = logging.getLogger(__name__)

PATH = "/metrics"
MAX_REQUEST_BYTES = 8192
"""The longest request with its headers; longer ones are refused."""
TRANSFER_S = 2.0
"""How long a client may take to ask, and again to take the answer: others wait meanwhile."""
RETRY_S = 30.0
BACKLOG = 8
IDLE_S = 60.0
"""How long to sleep where nobody asks; waking is a sign of life for the watchdog."""
MODE = 0o660
"""Of a Unix socket: whoever is let into its directory and is of its group may ask."""

Answer = Callable[[str], tuple[bytes, str]]
"""From the header `Accept` to the figures, and their content type."""


class Scraped(Worker):
    """Listens at `door`; `answer` is called in this thread. A `Stop` in `inbox` ends it, and its
    socket."""

    def __init__(
        self,
        door: Door,
        answer: Answer,
        *,
        supervisor: Mailbox[object],
        transfer_s: float = TRANSFER_S,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__("scraped", supervisor)
        self.inbox: Mailbox[Stop] = Mailbox()
        self._door, self._answer = door, answer
        self._transfer_s, self._retry_s = transfer_s, retry_s
        self._stopping = False

    def work(self) -> None:
        while not self._stopping:
            self.beat(self._retry_s)
            try:
                listening = self._listen()
            except OSError as exc:
                why = exc.strerror or str(exc)
                extra = kinds.METRICS_UNSERVED(path=self._door, error=why)
                words = (
                    "metrics.listen: nobody can ask for figures at %s: %s; tried again every %g s"
                )
                logger.warning(words, self._door, why, self._retry_s, extra=extra)
                self._wait(None, 0, time.monotonic() + self._retry_s)
                continue
            logger.info("figures at %s", self._door, extra=kinds.METRICS_SERVED(path=self._door))
            with listening:
                try:
                    self._serve(listening)
                finally:
                    if self._door.path:
                        with contextlib.suppress(OSError):  # swept away
                            Path(self._door.path).unlink()

    def _listen(self) -> socket.socket:
        door = self._door
        if door.path:
            return listen_at(Path(door.path), BACKLOG, MODE)
        return listen_on(door.host, door.port, BACKLOG)

    def _serve(self, listening: socket.socket) -> None:
        while not self._stopping:
            self.beat(IDLE_S)
            self._wait(listening, select.POLLIN, time.monotonic() + IDLE_S)
            self.beat(2 * self._transfer_s)
            try:
                client, _ = listening.accept()
            except BlockingIOError:  # the mailbox or the time woke us, or the client has gone
                continue
            except OSError as exc:  # for want of descriptors
                why = exc.strerror or str(exc)
                words = "who asked for figures was not heard: %s"
                logger.warning(words, why, extra=kinds.CLIENT_UNHEARD(error=why))
                self._wait(None, 0, time.monotonic() + 1.0)
                continue
            with client, contextlib.suppress(OSError):  # it went away
                client.setblocking(False)
                self._attend(client)

    def _attend(self, client: socket.socket) -> None:
        """One request and its answer. Raises `OSError` where the client goes away."""
        head = self._read(client, time.monotonic() + self._transfer_s)
        if head is None or (not head and not self._stopping):
            return  # somebody who only wanted to know whether we are here, or too slow
        reply = answered(head, self._answer)
        write(client, reply, self._until_writable)

    def _read(self, client: socket.socket, deadline: float) -> bytes | None:
        """A request up to the end of its headers, or more than is allowed; None: it never came."""
        head = b""
        while self._wait(client, select.POLLIN, deadline):
            piece = client.recv(MAX_REQUEST_BYTES)
            head += piece
            if b"\r\n\r\n" in head or not piece or len(head) > MAX_REQUEST_BYTES:
                return head
        return None

    def _until_writable(self, client: socket.socket, begun: float) -> bool:
        return self._wait(client, select.POLLOUT, begun + self._transfer_s)

    def _wait(self, who: socket.socket | None, event: int, deadline: float) -> bool:
        """Wait for `who`, where there is one; False: too late, or a stop."""
        poller = select.poll()
        poller.register(self.inbox, select.POLLIN)
        if who is not None:
            poller.register(who, event)
        left_s = max(deadline - time.monotonic(), 0.0)
        ready = {fd for fd, _ in poller.poll(left_s * 1000)}
        self._stopping = self._stopping or bool(self.inbox.drain())
        return not self._stopping and who is not None and who.fileno() in ready


def answered(request: bytes, answer: Answer) -> bytes:
    """The response to `request`: the figures, or in a line why not."""
    head, ended, _ = request.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(request) > MAX_REQUEST_BYTES:
        return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if not ended or len(words) != 3 or not words[2].startswith("HTTP/1."):
        return _response(HTTPStatus.BAD_REQUEST)
    method, target, _ = words
    if target.partition("?")[0] != PATH:
        return _response(HTTPStatus.NOT_FOUND, f"there is {PATH}\n".encode())
    if method not in ("GET", "HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, more="Allow: GET, HEAD\r\n")
    named = (line.partition(":") for line in headers)
    accept = ",".join(value.strip() for name, _, value in named if name.lower() == "accept")
    body, content_type = answer(accept)
    response = _response(HTTPStatus.OK, body, content_type)
    return response if method == "GET" else response[: -len(body)]


def _response(
    status: HTTPStatus,
    body: bytes = b"",
    content_type: str = "text/plain; charset=utf-8",
    *,
    more: str = "",
) -> bytes:
    body = body or f"{status.phrase}\n".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body
