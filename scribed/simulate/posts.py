"""A POST on the WebSocket port, whose library knows GET only: a request and its answer. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

LIMIT = 64 * 1024  # bytes of a request, its body included
METHOD = b"POST "
END = b"\r\n\r\n"


class Post(NamedTuple):
    """A request; names of headers are in lower case."""

    path: str
    headers: dict[str, str]


class Answer(NamedTuple):
    """What it is answered."""

    status: int
    content_type: str
    body: str
    retry_after_s: float = 0.0

    def encode(self) -> bytes:
        """Return it as it goes over the wire; then the connection is closed."""
        body = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        if self.retry_after_s:
            lines.append(f"Retry-After: {self.retry_after_s:.0f}")
        return "\r\n".join(lines).encode() + END + body


class PostReader:
    """Collects one request from a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Post | None:
        """Take more; return the request when all of it is there. Raises `ValueError` on a bad one.

        The body is read, so that the client may finish, and dropped.
        """
        self._data += data
        if len(self._data) > LIMIT:
            raise ValueError("the request is too long")
        head, end, body = bytes(self._data).partition(END)
        if not end:
            return None
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        parts = request.split(" ")
        if len(parts) != 3 or "transfer-encoding" in headers:
            raise ValueError("the request cannot be read")
        if len(body) < int(headers.get("content-length", "0")):
            return None
        return Post(parts[1], headers)
