"""Words that a stand-in knows by their sound: a text says what was heard, once and in order."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path

from scribed.demo.voice import speak
from scribed.simulate.recognizers import RATE, Answer, Word

WORDS = ("dance", "forward", "kitchen", "seven", "yesterday")
PRINT_S = 0.1
"""So much of a word's sound, from its loudest part on, tells it from all others."""


def voices(directory: Path) -> dict[str, bytes]:
    """Each of `WORDS` as it sounds, without the silence around it."""
    said = {}
    for word in WORDS:
        speak(word, directory / f"{word}.wav")
        with wave.open(str(directory / f"{word}.wav")) as file:
            said[word] = trimmed(file.readframes(file.getnframes()))
    return said


class ByItsSound:
    """A `Recognizer` of words that come exactly as they are known."""

    def __init__(self, voices: Mapping[str, bytes]) -> None:
        self._prints = {word: loudest(pcm) for word, pcm in voices.items()}
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    def partial(self) -> str:
        return " ".join(word.text for word in self._words())

    def commit(self) -> Answer:
        words = self._words()
        self._pcm.clear()
        return Answer(" ".join(word.text for word in words), tuple(words))

    def close(self) -> None:
        """Nothing to give back."""

    def _words(self) -> list[Word]:
        found = []
        for word, sound in self._prints.items():
            at = self._pcm.find(sound)
            while at >= 0:
                found.append(Word(word, at / RATE / 2, (at + len(sound)) / RATE / 2, -0.05))
                at = self._pcm.find(sound, at + 1)
        return sorted(found, key=lambda word: word.start_s)


def trimmed(pcm: bytes) -> bytes:
    """`pcm` from its first loud 20 ms to its last."""
    frames = [pcm[at : at + 640] for at in range(0, len(pcm) - 639, 640)]
    loud = [n for n, frame in enumerate(frames) if power(frame) > max(map(power, frames)) / 1000]
    return b"".join(frames[loud[0] : loud[-1] + 1])


def loudest(pcm: bytes) -> bytes:
    """The `PRINT_S` of `pcm` with the most power."""
    size = int(PRINT_S * RATE) * 2
    return max((pcm[at : at + size] for at in range(0, len(pcm) - size, 640)), key=power)


def power(pcm: bytes) -> int:
    return sum(sample * sample for sample in memoryview(pcm).cast("h"))
