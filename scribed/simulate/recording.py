"""What the simulator has seen, as frozen records that any thread may read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """One commit that the service took: what it covered, and what it was answered.

    Times that end in `_at` are `time.monotonic()` seconds; the others count seconds of audio sent
    on this connection.
    """

    session_id: str
    number: int  # from 1, within its session
    asked: bool  # by the client; False: the service's own, after silence or at the length limit
    start_s: float
    duration_s: float
    audio_bytes: int
    sha256: str  # of the audio as it was sent
    pcm: bytes | None  # that audio, where the server keeps it
    received_at: float
    text: str | None = None  # None until the answer is sent
    answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One connection whose upgrade arrived."""

    session_id: str  # 32 hex digits, also where no session_started was sent
    opened_at: float
    messages: int = 0  # received, empty ones included
    wire_bytes: int = 0  # received: WebSocket frames, pings and the handshake, without TLS and TCP
    audio_bytes: int = 0  # received, decoded from base64
    commits: int = 0  # taken, answered or not
    refused: str | None = None  # message_type of the error frame that ended it, or "HTTP 401"
    note: str | None = None  # what a user should know about this session
    close: tuple[int, str] | None = None  # code and reason; 1005: without a code, 1006: lost
    closed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Sums over all connections since the server started."""

    connections: int = 0
    refused: int = 0
    messages: int = 0
    wire_bytes: int = 0
    audio_bytes: int = 0
    commits: int = 0
    answers: int = 0
