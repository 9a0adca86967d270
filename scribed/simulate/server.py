"""The simulator's sockets: one thread with an event loop that serves every connection."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import secrets
import ssl
import threading
from http import HTTPStatus
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

from scribed.simulate.connection import Connection, Conversation
from scribed.simulate.dialects.elevenlabs import KEY_HEADER, PATH, Session, Timing
from scribed.simulate.dialects.elevenlabs_query import Gate
from scribed.simulate.engine import Engine
from scribed.simulate.recognizers import MakeRecognizer
from scribed.simulate.recording import CommitRecord, SessionRecord, Stats
from scribed.simulate.tally import Record, Tally

START_LIMIT_S = 10.0  # to bind a local address
CLOSE_LIMIT_S = 1.0  # for a client's half of the closing handshake
JOIN_LIMIT_S = 5.0  # for the thread, and again for what recognisers are in the middle of
MESSAGE_LIMIT = 2**20  # bytes; the largest legal chunk is 256 KB of base64. Beyond: close 1009

logger = logging.getLogger(__name__)


class Server:
    """The ElevenLabs realtime endpoint on `host:port`; port 0 takes a free one.

    `recognizer` makes a session's recogniser. `key` is the only accepted credential; None accepts
    any that is not empty. A refused one gets an `auth_error` frame, or HTTP 401 with
    `refuse_with_http`. `record`, if given, is called in the server's thread with a session when
    it opens and when it closes, and with a commit when it is taken and when it is answered.
    `answer_s`, `warmup_s`, `partial_every_s` and `idle_s` are those of `Timing`. With `keep_audio`
    commits keep their PCM.

    `start`, `close` and the properties may be used from any thread; it is also a context manager.
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
        idle_s: float = Timing.idle_s,
        keep_audio: bool = False,
        record: Record | None = None,
    ) -> None:
        self._make_recognizer = recognizer
        self._host, self._port, self._tls = host, port, tls
        self._gate, self._refuse_with_http = Gate(key), refuse_with_http
        self._timing = Timing(answer_s, warmup_s, partial_every_s, idle_s)
        self._keep_audio = keep_audio
        self._tally = Tally(record)
        self._engines: set[Engine] = set()  # of the loop's thread while it runs
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

    @property
    def url(self) -> str:
        """`ws://HOST:PORT` or `wss://HOST:PORT`, without a path; after `start`."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
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
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
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
            create_connection=Connection,
            logger=quiet,
        ) as server:
            self._started.set_result(next(iter(server.sockets)).getsockname()[1])
            await self._stop.wait()

    def _answer_upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"The endpoint's path is {PATH}\n")
        assert isinstance(connection, Connection)
        connection.admitted = self._gate.admits(request.headers.get(KEY_HEADER), parts.query)
        if self._refuse_with_http and not connection.admitted:
            now = asyncio.get_running_loop().time()
            entry = self._tally.open(SessionRecord(secrets.token_hex(16), now))
            entry.closed(close=None, refused="HTTP 401", now=now)
            return connection.respond(HTTPStatus.UNAUTHORIZED, "The key is missing or wrong.\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        try:
            conversation = self._open(connection)
            self._engines = {e for e in self._engines if e.is_alive()} | {conversation.engine}
            await conversation.run()
        except Exception:
            logger.exception("a bug of the simulator ended a session")
            raise

    def _open(self, connection: Connection) -> Conversation:
        assert connection.request is not None
        session = Session(
            urlsplit(connection.request.path).query,
            admitted=connection.admitted,
            session_id=secrets.token_hex(16),
            timing=self._timing,
            now=asyncio.get_running_loop().time(),
            keep_audio=self._keep_audio,
        )
        opened = SessionRecord(
            session.id, session.opened_at, note=_note(session.parameters.mute_language)
        )
        return Conversation(connection, session, self._tally.open(opened), self._make_recognizer)


def _note(mute_language: str | None) -> str | None:
    """Say what the service would not say."""
    return mute_language and (
        f'language_code "{mute_language}" has a region tag: the service never transcribes such a '
        f'session; use "{mute_language.partition("-")[0]}"'
    )
