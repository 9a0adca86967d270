"""One connection of OpenMind's speech recognition proxy, as a pure state machine.

It commits by itself at the end of the speech that it hears; a client cannot ask it to. All its
routes are here: ElevenLabs, Google V1 and V2, Riva. What is unknown about the service is chosen to
be hard on a client: a restart loses what is not yet answered, and so does a close.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from scribed.simulate.audio import To16k
from scribed.simulate.dialects import AskAnswer, Close, Timing, Work
from scribed.simulate.dialects import openmind_frames as frames
from scribed.simulate.dialects.elevenlabs_errors import TEXTS
from scribed.simulate.dialects.openmind_faults import OPENMIND_FAULTS
from scribed.simulate.dialects.openmind_hearing import Hearing
from scribed.simulate.dialects.openmind_routes import DEFAULTS, ROUTES, Asked, Options, Unsupported
from scribed.simulate.dialects.openmind_voice import Voice
from scribed.simulate.endpointing import Edge, Endpointing
from scribed.simulate.recognizers import BYTES_PER_S, RATE, Answer
from scribed.simulate.recording import CommitRecord

PAUSE_S = 0.3  # of silence for speech_end: Google's events do not flicker between two words
NORMAL, BROKEN = Close(1000, ""), Close(1011, "")


class Session:
    """The proxy's end of one connection; see `Dialect`. Whatever the query asks for (Google's
    `model`), it changes nothing.

    `timing.idle_s` is how long nobody may speak before the ElevenLabs route closes the connection,
    and `timing.session_s` when recognition begins anew; 0 is the route's own time.
    """

    bytes_per_s = BYTES_PER_S  # of the work: the client's rate is known with its first message

    def __init__(
        self,
        path: str,
        _query: str,
        *,
        admitted: bool,
        session_id: str,
        timing: Timing,
        now: float,
        keep_audio: bool = False,
        options: Options = DEFAULTS,
    ) -> None:
        self.id, self.opened_at = session_id, now
        self.refused: str | None = None
        self.note: str | None = None  # and then nothing is transcribed
        self._route = ROUTES[path]
        self._timing, self._options, self._keep_audio = timing, options, keep_audio
        self._voice = Voice(self._route, options, session_id, now)
        self._hearing: Hearing | None = None  # from the first audio
        self._befalls: list[str] = []  # events of OPENMIND_FAULTS
        self._work: list[Work] = []
        self._records: list[CommitRecord] = []
        self._pending: deque[CommitRecord | None] = deque()  # not yet recognised; None: lost
        self._answers_until = now
        self._partial = ""  # to be said
        self._session_s = timing.session_s or self._route.session_s
        self._restart_at = now + self._session_s
        self._silence_s = self._route.silence(timing.idle_s)
        self._speech_at = now  # or the opening
        self._audio_at = math.inf
        if not admitted:
            self.fail("auth_error")
        elif self._route.hello is not None and options.hello:
            self._voice.tell("connection", self._route.hello, now)

    @property
    def audio_bytes(self) -> int:
        """How much audio the client has sent, decoded."""
        return self._hearing.segments.nbytes if self._hearing else 0

    def convert(self) -> To16k:
        """Return what changes nothing: the session has converted its audio itself."""
        return To16k(rate=RATE, ulaw=False)

    # From the client

    def receive(self, message: str | bytes, now: float) -> None:
        """Take one WebSocket message. A bad one is answered with an error and forgotten."""
        if self._voice.ending:
            return
        try:
            chunk = frames.read_chunk(message, raw=self._options.binary == "raw")
        except frames.InputError as error:
            self._voice.complain(str(error), now)
            return
        try:
            hearing = self._hearing or self._begin(self._route.asked(chunk.fields))
        except Unsupported as error:
            self.note = f"the route {self._route.name} does not know {error}"
            self._fail(f"400 unsupported {error}")
            return
        self._audio_at = now
        self._hear(hearing, chunk.audio, now)

    def _begin(self, asked: Asked) -> Hearing:
        self.note = asked.mute
        self._hearing = Hearing(
            self.id,
            Endpointing(self._options.endpoint_s, self._options.threshold, min_silence_s=PAUSE_S),
            self._timing,
            rate=asked.rate,
            keep_audio=self._keep_audio,
        )
        return self._hearing

    def _hear(self, hearing: Hearing, audio: bytes, now: float) -> None:
        for step in hearing.hear(audio):
            if isinstance(step, Edge):
                if self._route.vad_events:
                    self._voice.tell(*frames.EVENTS[step], now)
                if step is Edge.END:
                    self._commit(hearing.commit(now))
                else:
                    self._speech_at = now
            elif self.note is None:
                self._work.append(step)
        if hearing.speaking:
            self._speech_at = now

    def _commit(self, record: CommitRecord) -> None:
        self._partial = ""
        self._records.append(record)
        if self.note is None:
            self._pending.append(record)
            self._work.append(AskAnswer())

    # From the recogniser

    def heard_partial(self, segment: int, text: str) -> None:
        """Take the text of segment number `segment`; nothing happens if it is committed."""
        if self._route.partials and self._hearing and segment == self._hearing.segments.committed:
            self._partial = text

    def heard_answer(self, answer: Answer, now: float, *, times: int = 1) -> None:
        """Take the answer to the oldest commit that has none, and send it so many `times`."""
        record = self._pending.popleft()
        if record is None:
            return
        at = max(now, record.received_at + self._timing.answer_s, self._answers_until)
        self._answers_until = at
        answered = replace(record, text=answer.text, answered_at=at)
        for turn in range(times):
            self._voice.final(answer.text, at, answered if turn == 0 else None)

    def recognizer_failed(self) -> None:
        """The recogniser is broken: end the session as a broken engine of the service would."""
        self.fail("transcriber_error")

    def overflow(self) -> None:
        """The recogniser is too far behind."""
        self._fail("Audio stream buffer full")

    # What the service does by itself, and a fault makes it do

    def fail(self, kind: str) -> None:
        """End the session for ElevenLabs' error `kind`, in the proxy's words; or suffer an event of
        `OPENMIND_FAULTS`."""
        if kind in OPENMIND_FAULTS:
            self._befalls.append(kind)
        else:
            self._fail(
                TEXTS.get(kind, kind), Close(1008, "") if kind in frames.PERMANENT else BROKEN
            )

    def _befall(self, event: str, now: float) -> None:
        if event == "openmind-restart":
            self._restart(now)
        else:
            self._voice.complain("Speech recognition error: a hiccup; recognition goes on", now)

    def _restart(self, now: float) -> None:
        """Begin recognition anew, as the service does where its session is too old."""
        self._restart_at = now + self._session_s
        if self._route.cut:
            self._voice.hang_up(NORMAL)
            return
        self._partial = ""
        if self._options.restart == "lose":
            self._pending = deque([None] * len(self._pending))
            self._voice.forget_answers()
        if self._hearing and self._hearing.open:
            record = self._hearing.interrupt(now)
            if self._options.restart == "commit":
                self._commit(record)
            elif self.note is None:
                self._pending.append(None)
                self._work.append(AskAnswer())
        if self._route.restart_info:
            self._voice.tell("info", frames.RESTARTED, now)

    # What is to be done

    def work(self) -> list[Work]:
        """Return, once, the work for the recogniser, in order."""
        work, self._work = self._work, []
        return work

    def records(self) -> list[CommitRecord]:
        """Return, once, the commits that were taken or answered; an answer repeats its commit."""
        records, self._records = self._records, []
        return records

    def timer(self) -> float | None:
        """Return when to call `outputs` at the latest; None: the session is over."""
        if self._voice.over:
            return None
        if self._voice.ending or self._befalls:
            return self.opened_at  # long ago: at once
        partial_at = self._answers_until if self._partial and not self._pending else math.inf
        return min(
            partial_at,
            self._voice.next_at(),
            self._restart_at,
            self._speech_at + self._silence_s,
            self._audio_at + self._route.audio_timeout_s,
        )

    def outputs(self, now: float) -> list[str | bytes | Close]:
        """Return, once, the messages that are due, in order, and at last a `Close`."""
        if self._voice.over:
            return []
        if now >= self._speech_at + self._silence_s:
            self._voice.hang_up(NORMAL)
        elif now >= self._audio_at + self._route.audio_timeout_s:
            self._fail(frames.AUDIO_TIMEOUT)
        elif now >= self._restart_at and not self._voice.ending:
            self._restart(now)
        befalls, self._befalls = self._befalls, []
        for event in befalls:
            self._befall(event, now)
        if self._partial and not self._pending and now >= self._answers_until:
            self._voice.partial(self._partial, now)
            self._partial = ""
        said, answered = self._voice.due(now)
        self._records += answered
        return said

    def _fail(self, details: str, close: Close = BROKEN) -> None:
        if not self._voice.ending:
            self._voice.hang_up(close, f"Speech recognition error: {details}")
            self.refused = "error"
