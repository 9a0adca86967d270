"""What becomes of each block that is read: heard, passed over, or dropped for want of room."""

from __future__ import annotations

from collections.abc import Callable

from scribed import clock
from scribed.capture.ear import Ear
from scribed.capture.gate import GateEvent
from scribed.capture.heed import NOT_LISTENING, Heed
from scribed.capture.losses import Losses
from scribed.capture.orders import Retune
from scribed.capture.posting import Posting
from scribed.model import RATE, SAMPLE_BYTES, Attention, Block, EndReason, RobotDoes


class Listening:
    """Takes what `heed` wants of the sound to `ear`, and what that cuts out to `posting`; `losses`
    is told what is missing. Used by the capture thread only.

    `mark` is told the end of each block before anything is decided about it, `tell` when what is
    heard is thrown away from now on, and when no more.
    """

    def __init__(
        self,
        ear: Ear,
        heed: Heed,
        posting: Posting,
        losses: Losses,
        *,
        mark: Callable[[float], None],
        tell: Callable[[Attention], object],
    ) -> None:
        self.deaf_to = heed.deaf_to(clock.now())  #: why what is heard is thrown away, if it is
        self.last_frame_at: float | None = None
        self.samples = 0  #: heard since the start
        self._ear, self._heed = ear, heed
        self._posting, self._losses = posting, losses
        self._mark, self._tell = mark, tell
        self._expected: int | None = None  # the position of the next block

    def begin(self) -> None:
        """What is heard next follows nothing: a source was opened."""
        self._ear.reset()
        self._losses.listen_anew()
        self._expected = None

    def begin_again(self) -> None:
        """The same after a time in which nothing was missed, as nothing was to be heard."""
        self.begin()
        self._mark(clock.now())

    def leave_off(self) -> None:
        """Nothing is to be heard from now on: end what is open, and forget what was heard."""
        self.cut_short(EndReason.MUTED)
        self._ear.reset()  # a second stage, or what conditions the sound, has some of it too
        self._losses.heard(clock.now())  # what a restart had cost ends here, if nothing was heard

    def hear(self, block: Block, *, live: bool) -> None:
        """Take the next block; if it is `live`, and there is no room for it, it is dropped."""
        samples = len(block.pcm) // SAMPLE_BYTES
        end_at = block.at + samples / RATE
        self._mark(end_at)
        self._losses.heard(block.at)
        if self._expected is not None and block.position != self._expected:
            self._losses.jumped(block.position - self._expected)
        self._expected = block.position + samples
        if not live or self._posting.has_room():
            self._losses.end_drop()
            heeded = self._listen_to(block)
            if heeded is None and self.deaf_to == NOT_LISTENING:
                self._ear.overhear(block)
            events = [] if heeded is None else self._ear.hear(heeded)
            self.last_frame_at = end_at
            self.samples += samples
            if events:
                self._post(events)
        elif self._losses.drop(samples):
            self.cut_short(EndReason.GAP)

    def cut_short(self, reason: EndReason) -> None:
        """End what is open for a reason outside the gate; forget the pre-roll."""
        self._post(self._ear.close(reason))
        if reason is not EndReason.GAP:
            self._losses.end_drop()

    def flush(self) -> bool:
        """End the open utterance with all that has been said; whether there was one."""
        if is_open := self._ear.is_open:
            self.cut_short(EndReason.FLUSH)
        return is_open

    def robot(self, does: RobotDoes) -> float:
        """The robot says what it does; for how many more seconds it does that.

        Its own words are not to stand in one text with those of somebody else.
        """
        if self._heed.take(does) and self._ear.is_open:
            self.cut_short(EndReason.GATED)
        if deaf_to := self._heed.deaf_to(does.at, engaged=True):
            self._attend(deaf_to)
        return self._heed.doings.of(does).left_s(does.id, does.at)

    def listen(self, at: float, ttl_s: float | None) -> float | None:
        """As `Heed.listen()`."""
        return self._heed.listen(at, ttl_s)

    def retune(self, new: Retune) -> None:
        """Hear by `new` from now on; who is engaged is cut short."""
        if self._ear.is_engaged:
            self.cut_short(EndReason.FLUSH)
        self._ear.renew(new.new_vad, new.new_conditioner)
        self._ear.retune(new.gate, silent_s=new.silent_s)
        self._heed.retune(new.echo, new.motion, new.listen)
        self._posting.retune(new.chunk_bytes)

    def _listen_to(self, block: Block) -> Block | None:
        """What of `block` is to be listened to; None: nothing."""
        ear = self._ear
        if self.deaf_to is None and self._heed.all_of(block):
            return block
        self._attend(
            self._heed.deaf_to(
                block.at, block.end, engaged=ear.is_engaged, stirring=ear.is_stirring
            )
        )
        return None if self.deaf_to else self._heed.part(block)

    def _attend(self, deaf_to: str | None) -> None:
        """From now on throw away what is heard, or listen again, and say so."""
        was = self.deaf_to
        if deaf_to == was:
            return
        if was is None:
            self.cut_short(EndReason.GATED)
        elif deaf_to is None:
            self._ear.resume()
        self.deaf_to = deaf_to
        self._tell(Attention(deaf_to))

    def _post(self, events: list[GateEvent]) -> None:
        self._posting.post(self._heed.marked(events))
