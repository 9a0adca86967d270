"""One connection: messages between its socket, its session and its recogniser."""

from __future__ import annotations

import asyncio
import contextlib

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from scribed.simulate.audio import To16k
from scribed.simulate.dialects import Close
from scribed.simulate.dialects.elevenlabs import Session
from scribed.simulate.engine import Engine, Heard
from scribed.simulate.recognizers import Answer, MakeRecognizer
from scribed.simulate.tally import Entry

SEND_LIMIT_S = 10.0  # for a client that no longer reads; then the connection is dropped


class Connection(ServerConnection):
    """A WebSocket that knows whether its client may come in, and counts what it receives."""

    admitted = False
    wire_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.wire_bytes += len(data)
        super().data_received(data)


class Conversation:
    """Serves one connection until either side ends it. All in the server's event loop.

    The engine, which runs in a thread of its own, outlives the conversation by what it is in the
    middle of.
    """

    def __init__(
        self, connection: Connection, session: Session, entry: Entry, make: MakeRecognizer
    ) -> None:
        self._connection, self._session, self._entry = connection, session, entry
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()  # the session may have something to send
        self._gone = False
        self._messages = 0
        parameters = session.parameters
        self.engine = Engine(
            make,
            To16k(rate=parameters.rate, ulaw=parameters.audio_format == "ulaw_8000"),
            self._report,
            bytes_per_s=parameters.bytes_per_s,
        )
        if session.refused is None:
            self.engine.start()

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
                    self._take(message)
        finally:
            self._gone = True
            self._changed.set()

    def _take(self, message: str | bytes) -> None:
        self._messages += 1
        self._session.receive(message, self._loop.time())
        for work in self._session.work():
            self.engine.put(work)
        if self.engine.behind:
            self._session.overflow()
        self._count()
        self._entry.committed(self._session.records())
        self._changed.set()

    async def _send(self) -> None:
        while not self._gone:
            self._changed.clear()
            outputs = self._session.outputs(self._loop.time())
            self._entry.committed(self._session.records())  # who has the answer finds it on record
            for output in outputs:
                if isinstance(output, Close):
                    await self._connection.close(output.code, output.reason)
                    return
                try:
                    await asyncio.wait_for(self._connection.send(output), SEND_LIMIT_S)
                except asyncio.TimeoutError:
                    self._connection.transport.abort()
                    return
            await self._wait(self._session.timer())

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
        elif isinstance(heard, Answer):
            self._session.heard_answer(heard, self._loop.time())
        else:
            self._session.heard_partial(*heard)
        self._changed.set()
