"""Whether anything may be heard, and what that means for a source.

While it is muted a microphone is closed, a pipe is read on and what it brings thrown away (there is
a live microphone at its other end, as in `arecord | scribed run`), and a file stands still.
"""

from __future__ import annotations

from scribed.capture.keeping import Keeping
from scribed.capture.listening import Listening
from scribed.capture.orders import Mute
from scribed.capture.presence import Presence


class Muting:
    """`on`: start without hearing anything. Used by the capture thread only."""

    def __init__(
        self, listening: Listening, presence: Presence, keeping: Keeping, *, on: bool
    ) -> None:
        self.on = on  #: whether it is muted
        self._listening, self._presence, self._keeping = listening, presence, keeping
        self._closing: list[Mute] = []  # to be answered when the source is closed

    def take(self, order: Mute) -> bool:
        """Mute, or hear again; whether the source may have to be closed before anything else."""
        if order.on:
            self._closing.append(order)
            if not self.on:
                self._begin()
                return True
        else:
            if self.on:
                self._end()
            order.done()
        return False

    def tell(self) -> None:
        """Nothing is heard any more: say so, to whoever asked for it too. May be told again."""
        self._presence.muted()
        while self._closing:
            self._closing.pop().done()

    def _begin(self) -> None:
        self.on = True
        self._listening.leave_off()
        self._keeping.wipe()

    def _end(self) -> None:
        self.tell()
        self.on = False
        self._listening.begin_again()
        self._presence.unmuted()
