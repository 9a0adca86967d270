"""Subtitles: a text with word times, cut into cues that can be read; pure.

Bounds are the usual ones of broadcasters: two lines of 42 characters, seven seconds at most.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scribed.model import Word

LINE_CHARS, LINES = 42, 2
LONGEST_MS = 7000
SHORTEST_MS = 1000
"""A cue stays so long, unless the next one comes."""
PAUSE_MS = 600
"""So much silence between two words is a good place to cut."""
_SENTENCE_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")
_CLAUSE_ENDS = (",", ";", ":", "–", "\u3001", "\uff0c")
_ROOM = LINE_CHARS * LINES


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start_ms` to `end_ms`, of the source's time."""

    start_ms: int
    end_ms: int
    text: str = field(repr=False)  #: up to `LINES` lines
    speaker: str | None = None


@dataclass(slots=True)
class _Piece:
    """A word with all of the text that belongs to it: spaces and punctuation before the next."""

    text: str
    start_ms: int
    end_ms: int
    speaker: str | None


def cues(text: str, words: Sequence[Word] | None, start_ms: int, end_ms: int) -> list[Cue]:
    """`text` of an utterance from `start_ms` to `end_ms` as cues, in order, none over another.

    `words` count from the utterance's start. Where there are none, or they are not those of `text`,
    its words are taken to be spoken evenly, by their length.
    """
    pieces = _timed(text, words, start_ms) if words else None
    groups = list(_groups(pieces or _even(text, start_ms, end_ms)))
    found: list[Cue] = []
    for n, group in enumerate(groups):
        begins = max(group[0].start_ms, found[-1].end_ms if found else 0)
        ends = max(group[-1].end_ms, begins + 1)
        if ends < begins + SHORTEST_MS:
            room = groups[n + 1][0].start_ms if n + 1 < len(groups) else max(end_ms, ends)
            ends = max(ends, min(begins + SHORTEST_MS, room))
        shown = "\n".join(_lines("".join(piece.text for piece in group)))
        found.append(Cue(begins, ends, shown, group[0].speaker))
    return found


def _timed(text: str, words: Sequence[Word], start_ms: int) -> list[_Piece] | None:
    """The words with the text up to the next one; None: `text` has others."""
    pieces: list[_Piece] = []
    at = 0
    for word in words:
        said = word.text.strip()
        if not said:
            continue
        found = text.find(said, at)
        if found < 0:
            return None
        if pieces:
            pieces[-1].text += text[at:found]
        else:
            said = text[:found] + said
        pieces.append(_Piece(said, start_ms + word.start_ms, start_ms + word.end_ms, word.speaker))
        at = found + len(word.text.strip())
    if not pieces or any(char.isalnum() for char in text[at:]):
        return None
    pieces[-1].text += text[at:]
    return pieces


def _even(text: str, start_ms: int, end_ms: int) -> list[_Piece]:
    """The words of `text`, each as long as its letters; what has no spaces, letter by letter."""
    parts: list[str] = []
    for word in text.split():
        if len(word) > LINE_CHARS:
            parts += [*word[:-1], word[-1] + " "]
        else:
            parts.append(word + " ")
    whole = sum(map(len, parts))
    pieces: list[_Piece] = []
    before = 0
    for part in parts:
        begins = start_ms + (end_ms - start_ms) * before // whole
        before += len(part)
        ends = start_ms + (end_ms - start_ms) * before // whole
        pieces.append(_Piece(part, begins, ends, None))
    return pieces


def _groups(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """What is shown at once: within the bounds, cut where a reader expects it if that may be."""
    while pieces:
        fits = 1
        while fits < len(pieces) and _fits(pieces[: fits + 1]):
            fits += 1
        cut = _best_cut(pieces, fits)
        yield pieces[:cut]
        pieces = pieces[cut:]


def _fits(group: list[_Piece]) -> bool:
    if group[-1].end_ms - group[0].start_ms > LONGEST_MS or group[-1].speaker != group[0].speaker:
        return False
    lines = _lines("".join(piece.text for piece in group))
    return len(lines) <= LINES and all(len(line) <= LINE_CHARS for line in lines)


def _best_cut(pieces: list[_Piece], fits: int) -> int:
    """Behind which of the first `fits` pieces to cut: a sentence, a pause, a clause; else all."""
    if fits == len(pieces):
        return fits
    for good in (_ends_sentence, _before_pause, _ends_clause):
        for cut in range(fits, 0, -1):
            size = sum(len(piece.text) for piece in pieces[:cut])
            if size * 3 < _ROOM and cut < fits:
                break
            if good(pieces, cut):
                return cut
    return fits


def _ends_sentence(pieces: list[_Piece], cut: int) -> bool:
    return pieces[cut - 1].text.rstrip().endswith(_SENTENCE_ENDS)


def _before_pause(pieces: list[_Piece], cut: int) -> bool:
    return pieces[cut].start_ms - pieces[cut - 1].end_ms >= PAUSE_MS


def _ends_clause(pieces: list[_Piece], cut: int) -> bool:
    return pieces[cut - 1].text.rstrip().endswith(_CLAUSE_ENDS)


def _lines(text: str) -> list[str]:
    """`text` on as few lines as it takes, of about the same length."""
    text = " ".join(text.split())
    if len(text) <= LINE_CHARS:
        return [text]
    for width in range(len(text) // LINES, LINE_CHARS + 1):
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        if len(lines) <= LINES and all(len(line) <= width for line in lines):
            return lines
    return textwrap.wrap(text, LINE_CHARS, break_on_hyphens=False)
