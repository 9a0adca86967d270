"""The protocols that the simulator speaks, one each, without I/O and without a clock.

Here is what a session asks of the server that runs it.
"""

from __future__ import annotations

from typing import NamedTuple


class Close(NamedTuple):
    """The last output: close the WebSocket."""

    code: int
    reason: str


class Feed(NamedTuple):
    """Work: hear this, in the session's `audio_format`."""

    audio: bytes


class AskPartial(NamedTuple):
    """Work: report the text of the open segment, with this number, to `heard_partial`."""

    segment: int


class AskAnswer(NamedTuple):
    """Work: end the open segment and report to `heard_answer`."""


Work = Feed | AskPartial | AskAnswer
