"""Whatever speakers, services and links do: one end for each utterance, and nothing of it lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scribed import clock
from scribed.config import Config
from scribed.errors import Remedy
from scribed.interfaces import Committed, EarlyText, Failed
from scribed.model import (
    Answer,
    Closed,
    EndReason,
    Final,
    Outcome,
    Partial,
    Provider,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
)
from scribed.uplink.entry import Audio, Begin, End, Fetch, Pause, Step
from scribed.uplink.troubles import Troubles
from scribed.uplink.waiting import Waiting
from scribed.worker import Budget, Mailbox

WHO = Provider("elevenlabs", "m", "s")
SILENCE = bytes(640)


@dataclass
class Spoken:
    """What was said in one utterance."""

    audio: bytes = b""
    speech: bytes = b""  #: as far as somebody spoke
    over: bool = False


@dataclass
class Line:
    """One connection, and what the service has of it."""

    heard: dict[str, bytes] = field(default_factory=dict)
    owed: list[tuple[str, str]] = field(default_factory=list)  # "pause" or "end", and whose
    early: dict[str, bytes] = field(default_factory=dict)  # what the last pause has asked for
    silent: set[str] = field(default_factory=set)


class World:
    """A gate, the uplink's pure parts, and a service, in the hands of a script."""

    def __init__(self) -> None:
        self.mailboxes: list[Mailbox[Any]] = [Mailbox(), Mailbox(), Mailbox()]
        store, self.delivery, supervisor = self.mailboxes
        self.waiting = Waiting(
            Config(),
            store=store,
            delivery=self.delivery,
            budget=Budget(32 << 20),
            supervisor=supervisor,
            troubles=Troubles(supervisor),
            clock_synced=lambda: True,
        )
        self.backlog = self.waiting.backlog
        self.now = clock.now()
        self.spoken: dict[str, Spoken] = {}
        self.ends: dict[str, Final | Closed] = {}
        self.lines = [Line()]
        self.open: UtteranceId | None = None
        self.paused = False
        self.pauses_taken = 0

    def close(self) -> None:
        for mailbox in self.mailboxes:
            mailbox.close()

    # The gate

    def start(self) -> None:
        if self.open is None:
            n = len(self.spoken) + 1
            self.open, self.paused = UtteranceId(f"u{n}"), False
            self.spoken[self.open] = Spoken()
            self._post(UtteranceStarted(self.open, n, self.now))
            self.audio(1)

    def audio(self, pieces: int) -> None:
        for _ in range(pieces if self.open is not None else 0):
            self._audio(silent=self.paused)

    def _audio(self, *, silent: bool) -> None:
        assert self.open is not None
        said = self.spoken[self.open]
        pcm = SILENCE if silent else bytes([1 + len(said.audio) // 640 % 250]) * 640
        said.audio += pcm
        if not silent:
            said.speech = said.audio
        self._post(UtteranceAudio(self.open, pcm))

    def pause(self) -> None:
        if self.open is not None and not self.paused:
            self.paused = True
            self._post(UtterancePaused(self.open))

    def resume(self) -> None:
        if self.open is not None and self.paused:
            self.paused = False
            self._post(UtteranceResumed(self.open))
            self._audio(silent=False)

    def end(self, reason: EndReason = EndReason.COMMIT) -> None:
        if self.open is not None:
            self.spoken[self.open].over = True
            self._post(UtteranceEnded(self.open, self.now, reason, 0))
            self.open = None

    def _post(self, event: Any) -> None:
        self.waiting.take(event, self.now)
        if self.waiting.ends.torn:
            self.lose()

    # The connection

    def step(self, times: int, *, takes_pauses: bool = True) -> None:
        for _ in range(times):
            expected = self.backlog.has_next(self.now)
            step = self.backlog.next(self.now)
            assert (step is not None) == expected, "has_next() does not say what next() does"
            if step is None:
                return
            self._take(step, self.lines[-1], takes_pauses=takes_pauses)
            self.check()

    def _take(self, step: Step, line: Line, *, takes_pauses: bool) -> None:
        who = step.entry.id
        match step:
            case Begin():
                assert all(who not in other.heard for other in self.lines), "it was sent already"
                line.heard[who] = b""
            case Audio(pcm=pcm):
                line.heard[who] += pcm
                line.early.pop(who, None)
            case Pause() if takes_pauses:
                assert self.paused
                assert self.open == who
                assert line.heard[who] == self.spoken[who].speech, "a pause in mid-speech"
                line.owed.append(("pause", who))
                line.early[who] = line.heard[who]
                self.pauses_taken += 1
            case Pause():
                self.backlog.cannot_pause(who)
            case End(silent=True):
                assert line.early.get(who) == self.spoken[who].speech, "something was said since"
                line.silent.add(who)
                if ("pause", who) not in line.owed:
                    self._commit(line, who)
            case End():
                assert line.heard[who] == self.spoken[who].audio, "not all of it was sent"
                line.owed.append(("end", who))
            case Fetch():
                raise AssertionError("nothing was parked")

    def answer(self) -> None:
        for line in self.lines:
            if line.owed:
                kind, who = line.owed.pop(0)
                if kind == "end" or who in line.silent:
                    self._commit(line, who)
                else:
                    said = EarlyText(UtteranceId(who), f"{who} so far")
                    self.waiting.texts.early(said, WHO, self.now)
                return

    def _commit(self, line: Line, who: str) -> None:
        silent = who in line.silent
        said = self.spoken[who]
        assert line.heard[who] == (said.speech if silent else said.audio)
        self.waiting.texts.committed(
            Committed(UtteranceId(who), Answer(f"text of {who}")), WHO, self.now
        )

    def rotate(self) -> None:
        """A fresh connection leads, where none is in mid-utterance; the old one may owe answers."""
        if not self.backlog.in_mid_utterance:
            self.lines = [line for line in self.lines if line.owed] + [Line()]

    def lose(self) -> None:
        self.waiting.charge(Failed(Remedy.RECONNECT, "lost"), self.now)
        self.waiting.rewind()
        self.lines = [Line()]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waiting.pass_time(self.now)

    # What must always hold

    def check(self) -> None:
        assert sum(len(line.owed) for line in self.lines) <= 1, "two commits without an answer"
        for item in self.delivery.drain():
            if isinstance(item, Partial):
                assert item.started.id not in self.ends
                continue
            assert item.started.id not in self.ends, "a second end"
            self.ends[item.started.id] = item
        waiting = {entry.id for entry in self.backlog}
        assert waiting | self.ends.keys() == self.spoken.keys()
        assert not waiting & self.ends.keys()


moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["start", "pause", "resume", "end", "answer"])),
        st.tuples(st.sampled_from(["start", "pause", "resume", "end", "answer", "rotate"])),
        st.tuples(st.sampled_from(["start", "pause", "answer", "lose", "rotate", "mute", "cut"])),
        st.tuples(st.just("audio"), st.integers(1, 60)),
        st.tuples(st.just("step"), st.integers(1, 8)),
        st.tuples(st.sampled_from(["step", "step_without_pauses"]), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.floats(0.0, 8.0)),
    ),
    min_size=40,  # of a short script nothing interesting comes
    max_size=120,
)


def play(script: list[tuple[Any, ...]]) -> World:
    world = World()
    for name, *arguments in script:
        match name:
            case "mute":
                world.end(EndReason.MUTED)
            case "cut":
                world.end(EndReason.LENGTH)
            case "step_without_pauses":
                world.step(*arguments, takes_pauses=False)
            case _:
                getattr(world, name)(*arguments)
        world.check()
    return world


@given(moves)
@settings(max_examples=200)
def test_whatever_happens_each_utterance_has_one_end_and_is_sent_whole(
    script: list[tuple[Any, ...]],
) -> None:
    world = play(script)
    world.end()
    for _ in range(5 * len(world.spoken) + 5):
        world.wait(40.0)
        world.step(1000)
        world.answer()
        world.check()
    assert world.ends.keys() == world.spoken.keys(), "one waits for ever"
    assert (world.backlog.nbytes, world.backlog.ram) == (0, 0)
    for end in world.ends.values():
        assert not isinstance(end, Closed) or end.outcome in (Outcome.MUTED, Outcome.FAILED)
    world.close()


def test_a_script_with_a_pause_commits_early_and_once() -> None:
    script = [("start",), ("audio", 5), ("pause",), ("step", 9), ("answer",), ("audio", 3)]
    world = play([*script, ("end",), ("step", 9)])
    assert world.pauses_taken == 1
    assert [type(end) for end in world.ends.values()] == [Final]
    world.close()
