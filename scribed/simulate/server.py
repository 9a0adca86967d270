"""The simulator's sockets: one thread with an event loop that serves every connection."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import secrets
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from scribed.errors import ScribedError

try:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.http11 import Request, Response
except ImportError as error:
    raise ScribedError(
        "the simulator needs the package websockets; install scribed[simulate] "
        "(pip install 'scribed[simulate]')"
    ) from error

from scribed.simulate import faults
from scribed.simulate.connection import Connection, Conversation
from scribed.simulate.dialects import (
    Dialect,
    Timing,
    elevenlabs,
    openmind,
    openmind_faults,
    openmind_routes,
)
from scribed.simulate.door import Door
from scribed.simulate.engine import Engine
from scribed.simulate.faulty import Faulty
from scribed.simulate.posts import Answer, Post
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recording import CommitRecord, SessionRecord, Stats
from scribed.simulate.tally import Record, Tally

START_LIMIT_S = 10.0  # to bind a local address
CLOSE_LIMIT_S = 1.0  # for a client's half of the closing handshake
JOIN_LIMIT_S = 5.0  # for the thread, and again for what recognisers are in the middle of
MESSAGE_LIMIT = 2**20  # bytes; the largest legal chunk is 256 KB of base64. Beyond: close 1009

logger = logging.getLogger(__name__)


class Server:
    """ElevenLabs' realtime endpoint and OpenMind's proxy on `host:port`; port 0 takes a free one.

    `recognizer` makes a session's recogniser. `key` is the only accepted credential; None accepts
    any that is not empty. A refused one gets an `auth_error` frame, or HTTP 401 with
    `refuse_with_http`. `record`, if given, is called in the server's thread with a session when
    it opens and when it closes, and with a commit when it is taken and when it is answered.
    `answer_s`, `warmup_s`, `partial_every_s`, `session_s` and `stamped_first` are those of
    `Timing`, and so is `idle_s`, where None is the service's own. `openmind` is what may be varied
    of that dialect. With `keep_audio` commits keep their PCM. `wrong` is what goes wrong, from the
    start or by schedule.

    `start`, `inject`, `heal`, `close` and the properties may be used from any thread; it is also a
    context manager.
    """

    def __init__(
        self,
        *,
        recognizer: MakeRecognizer,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        key: str | None = None,
        refuse_with_http: bool = False,
        answer_s: float = Timing.answer_s,
        warmup_s: float = Timing.warmup_s,
        partial_every_s: float = Timing.partial_every_s,
        idle_s: float | None = None,
        session_s: float = Timing.session_s,
        stamped_first: bool | None = None,
        openmind: openmind_routes.Options = openmind_routes.DEFAULTS,
        wrong: Iterable[faults.Fault] = (),
        keep_audio: bool = False,
        record: Record | None = None,
    ) -> None:
        self._make_recognizer = recognizer
        self._host, self._port, self._tls = host, port, tls
        self._faults = faults.Faults(wrong)
        self._door = Door(key, refuse_with_http=refuse_with_http, faults=self._faults)
        self._timing = Timing(
            answer_s,
            warmup_s,
            partial_every_s,
            Timing.idle_s if idle_s is None else idle_s,
            session_s,
            stamped_first,
        )
        # 0 is the route's own time
        self._openmind_timing = replace(self._timing, idle_s=idle_s or 0.0)
        self._openmind = openmind
        self._keep_audio = keep_audio
        self._tally = Tally(record)
        # Of the loop's thread while it runs:
        self._engines: set[Engine] = set()
        self._conversations: set[Conversation] = set()
        self._started: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="simulate", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen, once. Raises `ScribedError` where the address cannot be used."""
        self._thread.start()
        try:
            self._port = self._started.result(START_LIMIT_S)
        except (OSError, concurrent.futures.TimeoutError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer"
            raise ScribedError(
                f"cannot listen on {self._host} port {self._port}: {reason}; "
                "choose another --host or --port"
            ) from error

    def close(self) -> None:
        """Say goodbye to every client (1001) and end every thread, within bounds. Idempotent."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it was stopped before
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(JOIN_LIMIT_S)
        for engine in self._engines:
            if engine.is_alive():
                engine.join(JOIN_LIMIT_S)

    def inject(self, fault: str, *, for_s: float | None = None) -> None:
        """Let a fault begin now, as `--fault` names it. Raises `faults.FaultError`.

        Without `for_s` an event befalls those who are connected, and a state lasts until `heal`.
        """
        self._faults.add(faults.parse(fault), time.monotonic(), for_s)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is connected
                self._loop.call_soon_threadsafe(self._wake)

    def heal(self) -> None:
        """End all faults that are on or ahead."""
        self._faults.clear()

    @property
    def url(self) -> str:
        """`ws://HOST:PORT` or `wss://HOST:PORT`, without a path; after `start`."""
        any_host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared
        host = any_host.get(self._host, self._host)
        host = f"[{host}]" if ":" in host else host
        return f"{'ws' if self._tls is None else 'wss'}://{host}:{self._port}"

    @property
    def stats(self) -> Stats:
        """Sums over all connections so far."""
        return self._tally.stats

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        """The newest connections, in the order in which they opened."""
        return self._tally.sessions

    @property
    def commits(self) -> tuple[CommitRecord, ...]:
        """The newest commits of all sessions, in the order in which they were taken."""
        return self._tally.commits

    # In the server's thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # raised by `start()`, in whose name it runs
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._faults.begin(self._loop.time())
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # tracebacks about strangers that speak no WebSocket
        async with serve(
            self._handle,
            self._host,
            self._port,
            ssl=self._tls,
            compression=None,  # so that what is counted is what a client without it sends
            process_request=self._answer_upgrade,
            ping_interval=None,
            close_timeout=CLOSE_LIMIT_S,
            max_size=MESSAGE_LIMIT,
            create_connection=self._connection(),
            logger=quiet,
        ) as server:
            self._started.set_result(next(iter(server.sockets)).getsockname()[1])
            await self._stop.wait()

    def _connection(self) -> type[Connection]:
        """Return the class of this server's connections."""
        answer_post = self._answer_post

        class Mine(Connection):
            def answer_post(self, post: Post) -> Answer:
                return answer_post(post)

        return Mine

    def _answer_post(self, post: Post) -> Answer:
        return self._door.answer_post(post, _now())

    async def _answer_upgrade(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        assert isinstance(connection, Connection)
        if self._faults.state("no-upgrade", _now()):
            await self._stop.wait()  # or for websockets' limit on an opening handshake
        answer = self._door.knock(urlsplit(request.path), request.headers, _now())
        if isinstance(answer, bool):
            connection.admitted = answer
            return None
        entry = self._tally.open(SessionRecord(secrets.token_hex(16), _now()))
        entry.closed(close=None, refused=f"HTTP {answer.status}", now=_now())
        response = connection.respond(answer.status, answer.body)
        del response.headers["Content-Type"]  # which a second one would only join
        response.headers["Content-Type"] = answer.content_type
        if answer.retry_after_s:
            response.headers["Retry-After"] = f"{answer.retry_after_s:.0f}"
        return response

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        try:
            conversation = self._open(connection)
            self._engines = {e for e in self._engines if e.is_alive()} | {conversation.engine}
            self._conversations.add(conversation)
            try:
                await conversation.run()
            finally:
                self._conversations.discard(conversation)
        except Exception:  # websockets would log it below the level that is shown
            logger.exception("a bug of the simulator ended a session")
            raise

    def _open(self, connection: Connection) -> Conversation:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        session = Faulty(
            self._session(url.path, url.query, admitted=connection.admitted), self._faults
        )
        opened = SessionRecord(session.id, session.opened_at, note=session.note)
        return Conversation(connection, session, self._tally.open(opened), self._make_recognizer)

    def _session(self, path: str, query: str, *, admitted: bool) -> Dialect:
        session_id, now = secrets.token_hex(16), _now()
        if path in openmind_routes.ROUTES:
            options = openmind_faults.changed(
                self._openmind, self._faults.states(now) & set(openmind_faults.OPENMIND_FAULTS)
            )
            offset_s = options.unix_offset_s + time.time() - now
            return openmind.Session(
                path,
                query,
                admitted=admitted,
                session_id=session_id,
                timing=self._openmind_timing,
                now=now,
                keep_audio=self._keep_audio,
                options=replace(options, unix_offset_s=offset_s),
            )
        return elevenlabs.Session(
            path,
            query,
            admitted=admitted,
            session_id=session_id,
            timing=self._timing,
            now=now,
            keep_audio=self._keep_audio,
        )

    def _wake(self) -> None:
        for conversation in self._conversations:
            conversation.wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
