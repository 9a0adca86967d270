"""Fixed answers, one for each commit, for tests and for programs that must see known text."""

from __future__ import annotations

import itertools
from pathlib import Path

from scribed.errors import ScribedError
from scribed.simulate.recognizers import BYTES_PER_S, Answer, Word

SPEECH_S_PER_WORD = 0.35  # unhurried speech: a partial shows a word more for each so much audio
SPEECH_SHARE = 0.9  # of what is not digital silence; the rest is the silence that ended it
LOGPROB = -0.05  # a confident word


class Script:
    """The answers of all sessions of one server: line after line, then from the first again.

    An empty line is an empty answer. Calling it makes a session's recogniser. Raises
    `ValueError` if there is no line.
    """

    def __init__(self, lines: list[str]) -> None:
        if not lines:
            raise ValueError("a script needs at least one answer")
        self._lines = [" ".join(line.split()) for line in lines]
        self._turns = itertools.count()  # next() is atomic: sessions have threads of their own
        self._given = 0

    @classmethod
    def read(cls, path: Path) -> Script:
        """Read one answer a line (UTF-8). Raises `ScribedError` if there is nothing to read."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ScribedError(f"cannot read the script {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ScribedError(f"the script {path} is not UTF-8 text, one answer a line") from error
        if not lines:
            raise ScribedError(f"the script {path} is empty; write one answer a line")
        return cls(lines)

    def __call__(self) -> ScriptRecognizer:
        return ScriptRecognizer(self)

    def peek(self) -> str:
        """Return the answer that the next commit gets."""
        return self._lines[self._given % len(self._lines)]

    def take(self) -> str:
        """Return the answer for a commit, and move on."""
        turn = next(self._turns)
        self._given = turn + 1
        return self._lines[turn % len(self._lines)]


class ScriptRecognizer:
    """A `Recognizer` that measures the audio and never listens to it.

    Its words lie between the first and the last sample that is not zero, if there is any.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._begin()

    def _begin(self) -> None:
        self._heard_s = 0.0
        self._sound_s: tuple[float, float] | None = None  # from, and to

    def feed(self, pcm: bytes) -> None:
        if sound := pcm.strip(b"\0"):
            start = len(pcm) - len(pcm.lstrip(b"\0"))
            start_s = self._heard_s + start / BYTES_PER_S
            end_s = self._heard_s + (start + len(sound)) / BYTES_PER_S
            self._sound_s = (self._sound_s[0] if self._sound_s else start_s, end_s)
        self._heard_s += len(pcm) / BYTES_PER_S

    def partial(self) -> str:
        return " ".join(self._script.peek().split()[: int(self._heard_s / SPEECH_S_PER_WORD)])

    def commit(self) -> Answer:
        text = self._script.take()
        start_s, end_s = self._sound_s or (0.0, self._heard_s)
        self._begin()
        return Answer(text, spread(text.split(), start_s, (end_s - start_s) * SPEECH_SHARE))

    def close(self) -> None:
        """Nothing to give back."""


def spread(texts: list[str], from_s: float, duration_s: float) -> tuple[Word, ...]:
    """Lay words over `duration_s` seconds, each as long as its letters, with a gap between two."""
    letters = sum(len(text) + 1 for text in texts)
    words: list[Word] = []
    before = 0
    for text in texts:
        start_s = from_s + duration_s * before / letters
        end_s = from_s + duration_s * (before + len(text)) / letters
        words.append(Word(text, start_s, end_s, LOGPROB))
        before += len(text) + 1
    return tuple(words)
