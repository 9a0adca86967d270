"""One connection: messages between its socket, its session and its recogniser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from scribed.simulate import recognizers
from scribed.simulate.dialects import Close
from scribed.simulate.engine import Engine, Heard
from scribed.simulate.faulty import Drop, Faulty, RawText
from scribed.simulate.posts import METHOD, Answer, Post, PostReader
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.tally import Entry

SEND_LIMIT_S = 10.0  # for a client that no longer reads; then the connection is dropped
DEAF_LOOK_S = 0.1  # between two looks whether a fault that keeps the server from reading is over


class Connection(ServerConnection):
    """A WebSocket that knows whether its client may come in, and counts what it receives.

    Before the library sees it a POST is given to `answer_post`, and answered.
    """

    admitted = False
    wire_bytes = 0
    answer_post: Callable[[Post], Answer]
    _post: PostReader | None = None

    def data_received(self, data: bytes) -> None:
        if self.wire_bytes == 0 and data.startswith(METHOD):
            self._post = PostReader()
        self.wire_bytes += len(data)
        if self._post is None:
            super().data_received(data)
            return
        try:
            post = self._post.feed(data)
            answer = self.answer_post(post) if post else None
        except ValueError as error:
            answer = Answer(400, "text/plain", f"{error}\n")
        if answer is not None and not self.transport.is_closing():
            self.transport.write(answer.encode())
            self.transport.close()


class Conversation:
    """Serves one connection until either side ends it. All in the server's event loop.

    The engine, which runs in a thread of its own, outlives the conversation by what it is in the
    middle of.
    """

    def __init__(
        self, connection: Connection, session: Faulty, entry: Entry, make: MakeRecognizer
    ) -> None:
        self._connection, self._session, self._entry = connection, session, entry
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()  # the session may have something to send
        self._gone = False
        self._messages = 0
        self.engine = Engine(make, session.convert, self._report)
        if session.refused is None:
            self.engine.start()

    def wake(self) -> None:
        """Look again for what is due: a fault has been added."""
        self._changed.set()

    async def run(self) -> None:
        """Serve. Returns when the connection is closed."""
        receiving = asyncio.create_task(self._receive())
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._send()
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiving
            self.engine.stop()
            self._count()
            self._entry.closed(
                close=(self._connection.close_code or 1006, self._connection.close_reason or ""),
                refused=self._session.refused,
                now=self._loop.time(),
            )

    async def _receive(self) -> None:
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in self._connection:
                    while self._session.is_deaf(self._loop.time()):
                        await asyncio.sleep(DEAF_LOOK_S)
                    self._take(message)
        finally:
            self._gone = True
            self._changed.set()

    def _take(self, message: str | bytes) -> None:
        self._messages += 1
        self._session.receive(message, self._loop.time())
        self._set_to_work()
        if self.engine.is_behind(self._session.bytes_per_s):
            self._session.overflow()
        self._count()
        self._entry.committed(self._session.records())
        self._changed.set()

    def _set_to_work(self) -> None:
        for work in self._session.work():
            self.engine.put(work)

    async def _send(self) -> None:
        while not self._gone:
            self._changed.clear()
            outputs = self._session.outputs(self._loop.time())
            self._set_to_work()
            self._entry.committed(self._session.records())  # who has the answer finds it on record
            for output in outputs:
                if isinstance(output, Close):
                    await self._connection.close(output.code, output.reason)
                    return
                if isinstance(output, Drop):
                    self._connection.transport.abort()
                    return
                try:
                    await asyncio.wait_for(self._send_one(output), SEND_LIMIT_S)
                except asyncio.TimeoutError:
                    self._connection.transport.abort()
                    return
            await self._wait(self._session.timer())

    async def _send_one(self, output: str | bytes | RawText) -> None:
        if isinstance(output, RawText):
            await self._connection.send(output.data, text=True)
        else:
            await self._connection.send(output)

    async def _wait(self, until: float | None) -> None:
        alarm = None if until is None else self._loop.call_at(until, self._changed.set)
        await self._changed.wait()
        if alarm is not None:
            alarm.cancel()

    def _count(self) -> None:
        self._entry.received(
            messages=self._messages,
            wire_bytes=self._connection.wire_bytes,
            audio_bytes=self._session.audio_bytes,
        )

    # From the engine's thread

    def _report(self, heard: Heard) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
            self._loop.call_soon_threadsafe(self._heard, heard)

    def _heard(self, heard: Heard) -> None:
        if heard is None:
            self._session.recognizer_failed()
        elif isinstance(heard, recognizers.Answer):
            self._session.heard_answer(heard, self._loop.time())
        else:
            self._session.heard_partial(*heard)
        self._changed.set()
