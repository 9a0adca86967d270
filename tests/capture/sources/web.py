"""A small web server for what ffmpeg is to fetch, with the manners of bad ones."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Web:
    """Serves `pages`: a path to its bytes, or to what answers the request; a context manager."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Callable[[Any], None]] = {}
        self.requests: list[str] = []  #: path and query
        self.leaving = threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                web.requests.append(self.path)
                page = web.pages.get(self.path.partition("?")[0])
                with contextlib.suppress(OSError):
                    if page is None:
                        answer(self, b"not here", status=404)
                    elif isinstance(page, bytes):
                        answer(self, page)
                    else:
                        page(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def answer(request: Any, body: bytes, *, status: int = 200, sent: int | None = None) -> None:
    """Answer with `body`, ranges included; `sent`: hang up after so many bytes of it."""
    first = 0
    if status == 200 and (match := re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))):
        first, status = int(match[1]), 206
    request.send_response(status)
    request.send_header("Accept-Ranges", "bytes")
    request.send_header("Content-Length", str(len(body) - first))
    if status == 206:
        request.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
    request.end_headers()
    request.wfile.write(body[first : None if sent is None else sent])
    request.close_connection = request.close_connection or sent is not None


def broadcast(request: Any, body: bytes, **headers: str) -> None:
    """Answer without a length: it ends when the connection does."""
    request.send_response(200)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Connection", "close")
    request.end_headers()
    request.close_connection = True
    request.wfile.write(body)
