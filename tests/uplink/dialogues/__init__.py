"""Golden dialogues: what a session and its service say to each other, one file a dialogue; and the
player that holds a session to them.

A file is plain text, read line by line. Empty lines count for nothing; the clock starts at 0.

    # WHY                     what the dialogue shows; any number of such lines, anywhere
    with {…}                  keys of `[provider]`, before the first step
    given {…}                 other arguments of the session ("token", "previous_text")

What happens, in order:

    at SECONDS                time passes to SECONDS; timers that are due on the way are served
    start ID [ATTEMPT]        an utterance begins
    audio MS                  so much audio of it (every sample is 1)
    pause                     `pause()`, which must say yes; `pause no`: it must say no
    end                       the utterance ends; `end silent`: and nothing was said since the pause
    departed ID               what it was asked for has left the machine
    < TEXT                    the service sends TEXT, usually JSON, as it stands
    <b TEXT                   the same as a binary message; `<x HEX`: these bytes
    close CODE [REASON]       the service closes; `close none`: the connection broke
    refused STATUS RETRY [BODY]   the upgrade was refused; RETRY is `Retry-After`, or none

What is expected there and then:

    > {…}                     the next message of the session; `> 12x {…}`: the next twelve
    >b {…} PCM                the next one is binary: a header with a length before it, then audio
    > ...                     whatever it sent so far
    = EVENT {…}               the next event of the session

What is expected is a part of what there is: other fields do not matter, lists have the same length.
A string may be a pattern: "~REGEX" is searched for, "<100 ms>" is base64 of so much audio (samples
of 1), "<100 ms silence>" of so much silence, "<500 ms + 350 ms silence>" of one and then the other;
the same words without quotes are the PCM of `>b`, as `>b {"rate": 16000} <100 ms>`. An event is
told by the name of its class and its fields; "id" is short for "utterance_id", the fields of an
answer stand beside the others.

Every event must be told by a `=` line right behind the line that brought it. So must be every
message sent, but only in a dialogue that has a `>` line, and not before the dialogue's end. What
holds for all dialogues is looked at besides: a timer that was served is due later, an utterance is
answered once and only if it was begun, and a failed session says nothing more.

    for path in paths("openmind"):
        dialogue = load(path)
        play(dialogue, OpenMindSession(dialogue.settings, "key", **dialogue.given))
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from scribed.config import ProviderSection
from scribed.interfaces import Committed, EarlyText, Failed, PartialText, Session, SessionEvent
from scribed.model import UtteranceId, pcm_bytes
from tests.uplink.dialogues.expected import SPOKEN, Mismatch, compare, pcm, plain, shown

START = 1000.0
"""What the session's clock shows at the start of a dialogue."""


@dataclasses.dataclass(frozen=True)
class Step:
    line: int
    word: str
    rest: str


@dataclasses.dataclass(frozen=True)
class Dialogue:
    name: str
    settings: ProviderSection
    given: dict[str, Any]
    steps: tuple[Step, ...]


def paths(folder: str) -> list[Path]:
    """The dialogues in one folder beside this file, by name."""
    found = sorted((Path(__file__).parent / folder).glob("*.txt"))
    assert found, f"no dialogue in {folder}"
    return found


def load(path: Path) -> Dialogue:
    """The dialogue in this file."""
    options: dict[str, Any] = {"with": {}, "given": {}}
    steps: list[Step] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word not in options:
            steps.append(Step(number, word, rest.strip()))
        elif steps:
            raise Mismatch(f"{path.name}:{number}: {word} stands behind the first step")
        else:
            options[word] |= json.loads(rest)
    settings = msgspec.convert(options["with"], ProviderSection)
    return Dialogue(path.name, settings, options["given"], tuple(steps))


def play(dialogue: Dialogue, session: Session) -> None:
    """Hold `session`, which must be new, to the dialogue; raises `Mismatch` where it differs."""
    stage = _Stage(session, heeds_sent=any(s.word.startswith(">") for s in dialogue.steps))
    last = Step(0, "", "")
    for last in dialogue.steps:
        try:
            stage.play(last)
        except Mismatch as exc:
            raise Mismatch(f"{dialogue.name}:{last.line}: {exc}") from None
        except Exception as exc:
            raise Mismatch(f"{dialogue.name}:{last.line}: {type(exc).__name__}: {exc}") from exc
    try:
        stage.finish()
    except Mismatch as exc:
        raise Mismatch(f"{dialogue.name}: after line {last.line}: {exc}") from None


class _Stage:
    def __init__(self, session: Session, *, heeds_sent: bool) -> None:
        self._session, self._heeds_sent = session, heeds_sent
        self._now = START
        self._sent: collections.deque[str | bytes] = collections.deque()
        self._events: collections.deque[SessionEvent] = collections.deque()
        self._begun: set[str] = set()
        self._answered: set[str] = set()
        self._over = False
        self._expectations: dict[str, Callable[[str], None]] = {
            ">": self._expect_sent,
            ">b": self._expect_binary,
            "=": self._expect_event,
        }
        self._actions: dict[str, Callable[[str], None]] = {
            "at": self._at,
            "start": self._start,
            "audio": lambda ms: session.audio(SPOKEN * (pcm_bytes(float(ms)) // 2), self._now),
            "pause": self._pause,
            "end": lambda how: session.end(self._now, silent=how == "silent"),
            "departed": lambda which: session.departed(UtteranceId(which), self._now),
            "<": lambda text: session.receive(text, self._now),
            "<b": lambda text: session.receive(text.encode(), self._now),
            "<x": lambda digits: session.receive(bytes.fromhex(digits), self._now),
            "close": self._close,
            "refused": self._refused,
        }
        self._serve()

    def play(self, step: Step) -> None:
        if step.word in self._expectations:
            self._expectations[step.word](step.rest)
        elif step.word in self._actions:
            self._expect_no_more_events()
            self._actions[step.word](step.rest)
            self._collect()
        else:
            raise Mismatch(f"no such step: {step.word}")

    def finish(self) -> None:
        self._expect_no_more_events()
        if self._heeds_sent and self._sent:
            raise Mismatch(f"sent besides: {[shown(message) for message in self._sent]}")

    # What happens

    def _at(self, when: str) -> None:
        end = START + float(when)
        if end < self._now:
            raise Mismatch("time does not run backwards")
        while (due := self._session.timer()) is not None and due <= end + 1e-9:
            self._now = max(self._now, due)
            self._serve()
        self._now = end

    def _serve(self) -> None:
        self._session.handle_timer(self._now)
        due = self._session.timer()
        if due is not None and due <= self._now:
            raise Mismatch("the timer is due again at once: a busy loop")
        self._collect()

    def _start(self, rest: str) -> None:
        which, _, attempt = rest.partition(" ")
        self._begun.add(which)
        self._session.start(UtteranceId(which), self._now, attempt=int(attempt or "1"))

    def _pause(self, expected: str) -> None:
        if self._session.pause(self._now) != (expected != "no"):
            raise Mismatch(f"pause() says {'yes' if expected == 'no' else 'no'}")

    def _close(self, rest: str) -> None:
        code, _, reason = rest.partition(" ")
        self._session.receive_close(None if code == "none" else int(code), reason)

    def _refused(self, rest: str) -> None:
        status, retry, body = (*rest.split(" ", 2), "", "")[:3]
        retry_after_s = None if retry in ("", "none") else float(retry)
        self._session.refused(int(status), body, retry_after_s)

    def _collect(self) -> None:
        self._sent.extend(self._session.messages_to_send())
        for event in self._session.events():
            self._judge(event)
            self._events.append(event)

    def _judge(self, event: SessionEvent) -> None:
        """What holds whatever the dialogue is about."""
        if self._over:
            raise Mismatch(f"after its end: {shown(event)}")
        if isinstance(event, (PartialText, EarlyText, Committed)):
            which = event.utterance_id
            if which not in self._begun or which in self._answered:
                raise Mismatch(f"for an utterance that is not open: {shown(event)}")
            if isinstance(event, Committed):
                self._answered.add(which)
        self._over = isinstance(event, Failed)

    # What is expected

    def _expect_sent(self, rest: str) -> None:
        if rest == "...":
            self._sent.clear()
            return
        times, _, expected = rest.partition(" ") if re.match(r"\d+x ", rest) else ("1x", "", rest)
        for _ in range(int(times[:-1])):
            message = self._next_sent(rest)
            if isinstance(message, bytes):
                raise Mismatch(f"expected {rest}\n  sent {shown(message)}")
            compare(json.loads(expected), json.loads(message), rest)

    def _expect_binary(self, rest: str) -> None:
        expected, brace, audio = rest.rpartition("}")
        message = self._next_sent(rest)
        if isinstance(message, str):
            raise Mismatch(f"expected {rest}\n  sent {shown(message)}")
        begin = 4 + int.from_bytes(message[:4], "big")
        compare(json.loads(expected + brace), json.loads(message[4:begin]), rest)
        if message[begin:] != pcm(audio.strip()):
            raise Mismatch(f"expected {audio}\n  sent {len(message) - begin} other bytes of audio")

    def _next_sent(self, expected: str) -> str | bytes:
        if not self._sent:
            raise Mismatch(f"expected {expected}\n  sent nothing")
        return self._sent.popleft()

    def _expect_event(self, rest: str) -> None:
        name, _, fields = rest.partition(" ")
        if not self._events:
            raise Mismatch(f"expected {rest}\n  got nothing")
        event = self._events.popleft()
        if type(event).__name__ != name:
            raise Mismatch(f"expected {rest}\n  got {shown(event)}")
        compare(json.loads(fields or "{}"), plain(event), rest)

    def _expect_no_more_events(self) -> None:
        if self._events:
            raise Mismatch(f"not expected: {[shown(event) for event in self._events]}")
