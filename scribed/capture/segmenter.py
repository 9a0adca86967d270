"""The gate: frames and voiced/unvoiced decisions in, utterances out. Pure.

```
        start_ms of voiced audio              min_utterance_ms of voiced audio
        within start_window_ms                since the trigger
closed ─────────────────────────► candidate ─────────────────────────► open
   ▲                                  │ hangover_ms of silence           │ hangover_ms of silence,
   └──────────────────────────────────┴──────────────────────────────────┘ length, gap, close()
```
* A candidate is not yet an utterance: nobody hears of it, a click costs nothing. When it opens, its
  audio starts `pre_roll_ms` before the first voiced frame of the trigger, so that the first word is
  whole.
* Near `max_utterance_s` the last `CUT_WINDOW_S` of audio are held back (`UtteranceHeld` says which,
  so that they are kept meanwhile); where the speaker goes on past the maximum the cut is made
  behind the quietest of these frames, and what follows it opens the next utterance, which says what
  it continues. Where that is a pause only, it is a candidate that the next voiced frame opens, with
  the whole pause; if none comes within the hangover, nobody went on, and the pause is pre-roll.
* Lost audio counts as silence. Shorter than the hangover it is a hole (`lost_ms`) in the utterance
  that it lies in, longer it ends it.
* With `early_commit_ms` an open utterance pauses after so much silence and resumes with the next
  voiced frame: `UtterancePaused` comes where all its speech so far is posted as audio (so not while
  any of it is held back), `UtteranceResumed` just before the next that is. One that ends without
  having resumed has said nothing since.

With a `trace` it says of each frame how it stands behind it, and what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from scribed.capture.gate import Gate, GateEvent, merged
from scribed.capture.onset import Frame, Onset
from scribed.capture.trace import Trace
from scribed.model import (
    RATE,
    SAMPLE_BYTES,
    Block,
    EndReason,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceHeld,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
)
from scribed.recording import CANDIDATE, CLOSED, OPEN, GateStand


class Segmenter:
    """Cuts the stream of one microphone into utterances.

    `identify(at)` gives the identity of an utterance whose first sample was heard at `at`;
    `quietest(frames)` the index of the one with the least power.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        identify: Callable[[float, UtteranceId | None], UtteranceStarted],
        quietest: Callable[[Sequence[bytes]], int],
    ) -> None:
        self.trace: Trace | None = None
        self._identify, self._quietest = identify, quietest
        self._onset = Onset(gate.in_frames())
        self.retune(gate)
        self._expected: int | None = None
        self._candidate: list[Frame] | None = None
        self._continues: UtteranceId | None = None  # what the candidate goes on with, if it does
        self._id: UtteranceId | None = None
        self._held: list[Frame] = []
        self._paused = False  # so it was told, and no speech was posted since
        self._silence = 0  # unvoiced frames in a row
        self._sent = self._sent_voiced = 0  # frames handed on, and up to the last voiced one
        self._voiced_until = 0.0
        self._lost = 0  # samples

    def retune(self, gate: Gate) -> None:
        """Go by `gate` from now on; only while nobody is engaged, with frames as long as they were.
        What was heard just before stays, as far as the new pre-roll goes."""
        self._frame_ms, self._frame_s = gate.frame_ms, gate.frame_ms / 1000
        self._go_by = go_by = gate.in_frames()
        self._onset.retune(go_by)

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._id is not None

    @property
    def is_engaged(self) -> bool:
        """Whether somebody speaks: an utterance is open, or may become one."""
        return self._id is not None or self._candidate is not None

    @property
    def is_stirring(self) -> bool:
        """Whether somebody may begin to speak: there were voices in the last `start_window_ms`."""
        return self._onset.stirs

    @property
    def patience(self) -> int:
        """How many more frames may be heard at once without a later decision: at least 1.

        Any number while nobody speaks (the pre-roll covers it), few near an onset, and while
        somebody speaks as many as are left until a pause, or of the hangover.
        """
        if self._id is not None:
            return max(1, self._silence_until - self._silence)
        if self._candidate is not None or self._onset.stirs:
            return 1
        return self._go_by.hangover

    def feed(self, block: Block, voiced: Sequence[bool]) -> list[GateEvent]:
        """Take the frames of `block`, with a decision for each; return what they caused.

        Audio of one utterance is one `UtteranceAudio`, however many frames of it came, and what is
        held back one `UtteranceHeld`: it comes once more, as audio of this utterance or the next.
        """
        events: list[GateEvent] = []
        lost = 0
        if self._expected is not None and block.position != self._expected:
            self._note(f"lost {block.position - self._expected}")
            lost = self._gap(block.position - self._expected, events)
        self._expected = block.position + len(block.pcm) // SAMPLE_BYTES
        if not lost and self._goes_on(voiced):
            return [self._emit_all(block, voiced)]
        frames = self._frames(block, voiced, lost)
        if not (self.is_engaged or True in voiced):
            self._rest(frames)
            return events
        for frame in frames:
            self._take(frame, events)
        return merged(events) if len(events) > 1 else events

    def close(self, reason: EndReason) -> list[GateEvent]:
        """End the open utterance, if any, for a reason outside the gate; forget the pre-roll."""
        events: list[GateEvent] = []
        if self._id is not None:
            self._end(reason, events)
        self._expected = None
        self._clear()
        return merged(events)

    def stand(self) -> GateStand | None:
        """How it stands, for `go_on_from()`; None while it cannot say that in a few words."""
        onset = self._onset.stand()
        if self._candidate is not None or self._held or onset is None:
            return None
        before, window = onset
        return GateStand(
            before=before,
            window=window,
            is_open=self._id is not None,
            paused=self._paused,
            silence=self._silence,
            sent=self._sent,
            sent_voiced=self._sent_voiced,
            lost=self._lost,
        )

    def go_on_from(self, stand: GateStand, before: Block) -> None:
        """Stand so; `before` has the frames of `stand.before`, and ends where the next begin."""
        self._clear()
        self._onset.go_on_from(stand.before, stand.window, before, self._go_by.frame_bytes)
        if stand.is_open:
            self._id = UtteranceId("before")
        self._voiced_until = before.end
        self._silence, self._paused, self._lost = stand.silence, stand.paused, stand.lost
        self._sent, self._sent_voiced = stand.sent, stand.sent_voiced
        self._expected = before.position + len(before.pcm) // SAMPLE_BYTES

    @property
    def _silence_until(self) -> int:
        """After how many unvoiced frames in a row the open utterance pauses or ends."""
        no_pause = self._paused or any(frame.voiced for frame in self._held)
        return self._go_by.hangover if no_pause else self._go_by.early

    def _goes_on(self, voiced: Sequence[bool]) -> bool:
        """Whether these frames are audio of the open utterance, and nothing else comes of them."""
        frames = len(voiced)
        return (
            self._id is not None
            and self._sent + frames <= self._go_by.hold_after
            and self._sent + frames < self._go_by.maximum
            and self._silence + frames < self._silence_until
            and not (self._paused and True in voiced)
        )

    def _emit_all(self, block: Block, voiced: Sequence[bool]) -> UtteranceAudio:
        """The same as `_while_open()` for each frame where the utterance `_goes_on()`."""
        assert self._id is not None
        for n, is_voiced in enumerate(voiced):
            if is_voiced:
                self._silence = 0
                self._sent_voiced = self._sent + n + 1
                self._voiced_until = block.at + n * self._frame_s + self._frame_s
            else:
                self._silence += 1
            if self.trace is not None:
                self.trace.stood(OPEN)
        self._sent += len(voiced)
        return UtteranceAudio(self._id, block.pcm)

    def _frames(self, block: Block, voiced: Sequence[bool], lost: int) -> list[Frame]:
        """Those of `block`; so many samples are missing before the first."""
        pcm, size, at, frame_s = block.pcm, self._go_by.frame_bytes, block.at, self._frame_s
        return [
            Frame(pcm[n * size : (n + 1) * size], at + n * frame_s, is_voiced, 0 if n else lost)
            for n, is_voiced in enumerate(voiced)
        ]

    def _rest(self, frames: Sequence[Frame]) -> None:
        """The same as `_take()` for each where nobody speaks, nor begins to."""
        self._onset.rest(frames)
        if self.trace is not None:
            self.trace.stood(CLOSED, len(frames))

    def _take(self, frame: Frame, events: list[GateEvent]) -> None:
        if self._id is not None:
            self._while_open(frame, events)
        elif self._candidate is not None:
            self._while_candidate(frame, events)
        elif self._onset.add(frame):
            self._candidate, self._silence = self._onset.frames(), 0
            self._open_if_long_enough(events)
        if self.trace is not None:
            idle = CLOSED if self._candidate is None else CANDIDATE
            self.trace.stood(idle if self._id is None else OPEN)

    def _note(self, words: str) -> None:
        if self.trace is not None:
            self.trace.note(words)

    def _while_candidate(self, frame: Frame, events: list[GateEvent]) -> None:
        assert self._candidate is not None
        self._candidate.append(frame)
        self._silence = 0 if frame.voiced else self._silence + 1
        if self._silence >= self._go_by.hangover:
            frames = self._candidate
            self._clear()
            self._onset.remember(frames)
        else:
            self._open_if_long_enough(events)

    def _open_if_long_enough(self, events: list[GateEvent]) -> None:
        assert self._candidate is not None
        # However sparse the voiced frames: it is never longer than what may be open.
        del self._candidate[: max(0, len(self._candidate) - self._go_by.hold_after + 1)]
        minimum = self._go_by.minimum if self._continues is None else 1
        if sum(frame.voiced for frame in self._candidate) < minimum:
            return
        frames, continues, silence = self._candidate, self._continues, self._silence
        self._clear()
        self._open(frames, continues, events)
        self._silence = silence

    def _open(
        self, frames: list[Frame], continues: UtteranceId | None, events: list[GateEvent]
    ) -> None:
        self._note(f"open {len(frames)}{' continues' if continues else ''}")
        onset = next((frame.at for frame in frames if frame.voiced), None)
        started = replace(self._identify(frames[0].at, continues), onset=onset)
        self._id, self._voiced_until = started.id, frames[0].at
        events.append(started)
        frames[0].lost = 0  # that was before it
        for frame in frames:
            self._emit(frame, events)

    def _while_open(self, frame: Frame, events: list[GateEvent]) -> None:
        assert self._id is not None
        self._silence = 0 if frame.voiced else self._silence + 1
        if self._sent + len(self._held) >= self._go_by.hold_after:
            self._held.append(frame)
            events.append(UtteranceHeld(self._id, frame.pcm))
        else:
            self._emit(frame, events)
        if self._silence >= self._go_by.hangover:
            self._end(EndReason.COMMIT, events)
        elif self._sent + len(self._held) >= self._go_by.maximum:
            self._cut(events)
        self._pause_if_silent(events)

    def _pause_if_silent(self, events: list[GateEvent]) -> None:
        if self._id is not None and self._silence >= self._silence_until:
            self._paused = True
            self._note("pause")
            events.append(UtterancePaused(self._id))

    def _cut(self, events: list[GateEvent]) -> None:
        """End behind the quietest held frame but the last; go on with what follows it, now or with
        the next voiced frame."""
        at = self._quietest([frame.pcm for frame in self._held[:-1]]) + 1
        self._held, rest = self._held[:at], self._held[at:]
        previous, silence = self._id, self._silence
        self._lost += rest[0].lost
        self._end(EndReason.LENGTH, events)
        if any(frame.voiced for frame in rest):
            self._open(rest, previous, events)
        else:
            self._candidate, self._continues = rest, previous
        self._silence = silence

    def _emit(self, frame: Frame, events: list[GateEvent]) -> None:
        assert self._id is not None
        if frame.voiced and self._paused:
            self._paused = False
            self._note("resume")
            events.append(UtteranceResumed(self._id))
        events.append(UtteranceAudio(self._id, frame.pcm))
        self._sent += 1
        self._lost += frame.lost
        if frame.voiced:
            self._voiced_until, self._sent_voiced = frame.at + self._frame_s, self._sent

    def _end(self, reason: EndReason, events: list[GateEvent]) -> None:
        assert self._id is not None
        for frame in self._held:
            self._emit(frame, events)
        if reason is EndReason.LENGTH:
            last = self._held[-1]
            self._voiced_until, self._sent_voiced = last.at + self._frame_s, self._sent
        ended = UtteranceEnded(
            self._id,
            at=self._voiced_until,
            reason=reason,
            audio_ms=self._sent_voiced * self._frame_ms,
            lost_ms=round(self._lost * 1000 / RATE),
        )
        self._note(f"end {reason.value} {ended.audio_ms} {ended.lost_ms}")
        events.append(ended)
        self._clear()

    def _gap(self, lost: int, events: list[GateEvent]) -> int:
        """`lost` samples are missing before the next frame; how many of them are a hole."""
        silence = lost * 1000 / RATE / self._frame_ms
        heard = self._id is not None or self._candidate is not None
        if heard and self._silence + silence < self._go_by.hangover:
            self._silence += int(silence)
            return lost
        if self._id is not None:
            self._lost += lost
            self._end(EndReason.GAP, events)
        else:
            self._clear()
        return 0

    def _clear(self) -> None:
        """Back to closed, with nothing remembered."""
        self._id = self._candidate = self._continues = None
        self._onset.clear()
        self._held = []
        self._paused = False
        self._silence = self._sent = self._sent_voiced = self._lost = 0
        self._voiced_until = 0.0
