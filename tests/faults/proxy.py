"""A TCP proxy that is a bad network: it obeys switches while connections run through it.

One thread with an event loop; the switches may be set from any thread at any time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from scribed.demo.broker import stable_port
from tests.faults.path import Path

PIECE = 16 * 1024
BUFFER = 32 * 1024
"""Of each socket: what is held up soon holds up who sends it, as on a real path."""
NARROW = 500
"""Bytes that get through a narrow link at once."""
SEGMENT = 1400
"""Bytes of a TCP segment, as on a real path."""
_RST = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() a reset
T = TypeVar("T")


class Proxy:
    """Listens on `port` of `host` and hands on to `target` of 127.0.0.1; a context manager.

    The host is the far one of `path` where there is one, else this one.

    `latency_s` and `jitter_s` (at most so much more) delay each piece, `bytes_per_s` bounds each
    direction, `piece` is how many bytes are handed on at once (1: a trickle). `held` holds
    everything up, both ways, and new connections with it; `held_down` only what the target says.
    """

    def __init__(self, target: int, *, seed: int = 0, path: Path | None = None) -> None:
        self.host = "127.0.0.1" if path is None else path.host
        self.latency_s = self.jitter_s = 0.0
        self.bytes_per_s: float | None = None
        self.piece = PIECE
        self.accepted = 0
        self.up_bytes = 0  #: from clients, handed on
        self._target, self._chance = target, random.Random(seed)
        self._new_socket = socket.socket if path is None else path.socket
        self._buffer = BUFFER
        self._held = self._held_down = False
        self._drop_after: int | None = None
        self._pairs: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._half_open: set[socket.socket] = set()
        self._changed = asyncio.Event()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self.port = 0

    def narrow(self, bytes_per_s: float | None) -> None:
        """So many bytes a second from now on. What comes on new connections is acknowledged as it
        gets through, not when it has come here: on a radio nobody answers for what waits."""
        self.bytes_per_s, self.piece = bytes_per_s, PIECE if bytes_per_s is None else NARROW
        self._buffer = BUFFER if bytes_per_s is None else NARROW
        if self._listener is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)

    def __enter__(self) -> Proxy:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # Switches

    @property
    def held(self) -> bool:
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        self._do(lambda: self._set("_held", held))

    @property
    def held_down(self) -> bool:
        return self._held_down

    @held_down.setter
    def held_down(self, held: bool) -> None:
        self._do(lambda: self._set("_held_down", held))

    def refuse(self) -> None:
        """Listen no more: who connects is refused. What is connected stays."""
        self._call(self._close_listener())

    def listen(self) -> None:
        """Accept connections (again), on the same port."""
        self._do(self._listen)

    def reset(self) -> None:
        """RST to both sides of every connection."""
        self._do(lambda: self._end_pairs(rst=True))

    def finish(self) -> None:
        """FIN to both sides of every connection."""
        self._do(lambda: self._end_pairs(rst=False))

    def half_open(self) -> None:
        """The target loses every connection, and its clients never hear of it."""
        self._do(self._make_half_open)

    def drop_after(self, nbytes: int) -> None:
        """RST as soon as clients have sent so many more bytes together."""
        self._do(lambda: self._set("_drop_after", nbytes))

    @property
    def connections(self) -> int:
        return len(self._pairs)

    # In the loop

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _do(self, work: Callable[[], None]) -> None:
        """Run `work` in the loop; from the loop's own callbacks too."""
        if threading.current_thread() is self._thread:
            work()
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            try:
                work()
            except BaseException as exc:  # noqa: BLE001 -- it is raised where it was asked for
                done.set_exception(exc)
            else:
                done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(10)

    def _set(self, name: str, value: object) -> None:
        setattr(self, name, value)
        self._changed.set()
        self._changed = asyncio.Event()

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = self._new_socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        # Loopback's segments of 64 kB would be acknowledged in leaps that no radio makes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        listener.bind((self.host, self.port or stable_port()))
        listener.listen(64)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = self._loop.create_task(self._accept(listener))

    async def _close_listener(self) -> None:
        if self._accepting is not None and self._listener is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._listener.close()
            self._accepting = self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            self.accepted += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket()
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            task = self._loop.create_task(self._serve(client, server))
            self._pairs[task] = (client, server)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        for sock in self._pairs.pop(task, ()):
            if sock not in self._half_open:
                sock.close()

    async def _serve(self, client: socket.socket, server: socket.socket) -> None:
        await self._open(down=False)
        try:
            await self._loop.sock_connect(server, ("127.0.0.1", self._target))
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            return
        ways = [
            self._loop.create_task(self._pump(client, server, down=False)),
            self._loop.create_task(self._pump(server, client, down=True)),
        ]
        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(*ways)
        finally:  # the one that goes on would watch the descriptor of a connection to come
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket, *, down: bool) -> None:
        while piece := await self._loop.sock_recv(source, self.piece):
            await self._open(down=down)
            delay = self.latency_s + self._chance.uniform(0, self.jitter_s)
            if self.bytes_per_s is not None:
                delay += len(piece) / self.bytes_per_s
            if delay:
                await asyncio.sleep(delay)
                await self._open(down=down)
            if not down and self._drop_after is not None:
                self._drop_after -= len(piece)
                if self._drop_after <= 0:
                    self._drop_after = None
                    self._end_pairs(rst=True)
                    return
            await self._loop.sock_sendall(sink, piece)
            if not down:
                self.up_bytes += len(piece)
        await self._open(down=down)
        sink.shutdown(socket.SHUT_WR)

    async def _open(self, *, down: bool) -> None:
        while self._held or (down and self._held_down):
            await self._changed.wait()

    def _end_pairs(self, *, rst: bool) -> None:
        for task, pair in list(self._pairs.items()):
            if rst:
                for sock in pair:
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            task.cancel()

    def _make_half_open(self) -> None:
        for task, (client, _) in list(self._pairs.items()):
            self._half_open.add(client)
            task.cancel()

    async def _end(self) -> None:
        await self._close_listener()
        tasks = list(self._pairs)
        self._end_pairs(rst=True)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        for sock in self._half_open:
            sock.close()
