"""What of the sound is listened to, and what the robot did meanwhile. Pure.

Not the robot's own voice (`echo.mode = "drop"`), and with `listen.mode = "on_request"` nothing but
what begins inside a window. Both end by themselves: what the robot says it does, and what somebody
asks for, has a time to live.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from scribed.capture.gate import GateEvent
from scribed.config import Echo, Listen, Motion
from scribed.intervals import Doings
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Block,
    RobotDoes,
    UtteranceEnded,
    UtteranceStarted,
)

ROBOT_SPEAKING, NOT_LISTENING = "robot_speaking", "not_listening"

HEARD_OUT_S = 60.0
"""Who spoke when the window closed is heard to the end, for so long at most: two utterances. A
noise that holds the gate open does not hold the window open."""
ONSET_S = 0.2
"""How long after it a voice from inside the window may take to become speech."""


class Heed:
    """See the module. Owned by one thread; blocks and commands come in the order of their times."""

    def __init__(
        self,
        echo: Echo = Echo(),  # noqa: B008 -- frozen
        motion: Motion = Motion(),  # noqa: B008 -- frozen
        listen: Listen = Listen(),  # noqa: B008 -- frozen
        *,
        frame_ms: int = 20,
    ) -> None:
        self.doings = Doings(echo)
        self._frame_samples = RATE * frame_ms // 1000
        self._choose(echo, motion, listen)
        self._opened_at = self._window_until = -math.inf
        self._started_at = 0.0  # of the open utterance

    def retune(self, echo: Echo, motion: Motion, listen: Listen) -> None:
        """Go by other settings from now on; what the robot does, and a window, go on."""
        self.doings.retune(echo)
        self._choose(echo, motion, listen)

    def _choose(self, echo: Echo, motion: Motion, listen: Listen) -> None:
        self._modes = {"speaking": echo.mode, "moving": motion.mode}
        self._on_request, self._window_s = listen.mode == "on_request", listen.window_s
        self._look_ahead()

    def take(self, does: RobotDoes) -> bool:
        """The robot says what it does; whether what is open is to be committed first.

        That is so where a gate closes, and where its own words would get into another's text.
        """
        intervals, mode = self.doings.of(does), self._modes[does.what]
        begins = does.on and intervals.until <= does.at
        intervals.take(does)
        self._look_ahead()
        return begins and (mode == "drop" or (mode == "mark" and does.what == "speaking"))

    def listen(self, at: float, ttl_s: float | None) -> float | None:
        """Open the window at `at`, or keep it open, for `ttl_s` (0: close it); how long it is open
        then. None: it always is."""
        if not self._on_request:
            return None
        ttl_s = self._window_s if ttl_s is None else ttl_s
        if at >= self._window_until:
            self._opened_at = at
        self._window_until = at + ttl_s
        return ttl_s

    def all_of(self, block: Block) -> bool:
        """Whether all of `block` is listened to, for certain."""
        return block.at >= self._all_from

    def deaf_to(
        self,
        start: float,
        end: float | None = None,
        *,
        engaged: bool = False,
        stirring: bool = False,
    ) -> str | None:
        """Why nothing of what is heard from `start` to `end` is listened to; None: some of it is.

        `engaged`: somebody is speaking, `stirring`: or may begin to.
        """
        end = start if end is None else end
        if self._dropped_until("speaking") > end:
            return ROBOT_SPEAKING
        if self._dropped_until("moving") > end:
            return NOT_LISTENING
        grace_s = HEARD_OUT_S if engaged else ONSET_S if stirring else 0.0
        if self._on_request and start >= self._window_until + grace_s:
            return NOT_LISTENING
        return None

    def part(self, block: Block) -> Block | None:
        """The frames of `block` that are listened to, where some of it is; None: no whole one."""
        since = max(self._dropped_until("speaking"), self._dropped_until("moving"))
        if self._on_request:
            since = max(since, self._opened_at)
        if since <= block.at:
            return block
        frames = math.ceil((since - block.at) * RATE / self._frame_samples - 1e-6)
        samples = frames * self._frame_samples
        pcm = block.pcm[samples * SAMPLE_BYTES :]
        return Block(pcm, block.position + samples, block.at + samples / RATE) if pcm else None

    def marked(self, events: list[GateEvent]) -> list[GateEvent]:
        """`events` with what let an utterance be heard, and with what the robot did during it."""
        return [
            self._mark(event) if isinstance(event, (UtteranceStarted, UtteranceEnded)) else event
            for event in events
        ]

    def _mark(self, event: UtteranceStarted | UtteranceEnded) -> GateEvent:
        if isinstance(event, UtteranceStarted):
            self._started_at = event.at
            return replace(event, trigger="listen") if self._on_request else event
        return replace(event, robot=self.doings.during(self._started_at, event.at))

    def _look_ahead(self) -> None:
        closed_until = max(self._dropped_until("speaking"), self._dropped_until("moving"))
        self._all_from = math.inf if self._on_request else closed_until

    def _dropped_until(self, what: str) -> float:
        """Until when a gate is closed."""
        if self._modes[what] != "drop":
            return -math.inf
        return (self.doings.speaking if what == "speaking" else self.doings.moving).until
