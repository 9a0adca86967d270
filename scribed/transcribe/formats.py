"""Transcripts as text, JSON lines, SRT or WebVTT; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from scribed.delivery.answers import beside_the_text, is_foreign
from scribed.model import EndReason, Final
from scribed.text import clean, norm
from scribed.transcribe.cues import Cue, cues

Format = Literal["text", "jsonl", "srt", "vtt"]
SUFFIXES: dict[Format, str] = {"text": ".txt", "jsonl": ".jsonl", "srt": ".srt", "vtt": ".vtt"}
_UNCUT = (EndReason.COMMIT, EndReason.FLUSH)
"""Ends of speech: in silence, or with the source itself."""
_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance that has its text; times are ms from the beginning of its source."""

    source: str
    seq: int
    start_ms: int
    end_ms: int
    final: Final


class Writer:
    """Puts the utterances of one source into a format; `cues` have been written of it before.

    `languages` are those that are spoken in it; none: any.
    """

    def __init__(self, form: Format, cues: int = 0, languages: Collection[str] = ()) -> None:
        self.cues = cues
        self._format, self._languages = form, languages

    def head(self) -> str:
        """What stands before the first utterance."""
        return "WEBVTT\n\n" if self._format == "vtt" else ""

    def write(self, said: Spoken) -> str:
        """One utterance, whole lines."""
        match self._format:
            case "text":
                return shown(said) + "\n"
            case "jsonl":
                return msgspec.json.encode(_fields(said, self._languages)).decode() + "\n"
            case "srt":
                return "".join(map(self._srt, _cues(said)))
            case "vtt":
                return "".join(map(self._vtt, _cues(said)))

    def _srt(self, cue: Cue) -> str:
        self.cues += 1
        speaker = f"{cue.speaker}: " if cue.speaker else ""
        times = f"{stamp(cue.start_ms, ',')} --> {stamp(cue.end_ms, ',')}"
        return f"{self.cues}\n{times}\n{speaker}{cue.text}\n\n"

    def _vtt(self, cue: Cue) -> str:
        self.cues += 1
        speaker = f"<v {cue.speaker.translate(_VTT)}>" if cue.speaker else ""
        times = f"{stamp(cue.start_ms)} --> {stamp(cue.end_ms)}"
        return f"{times}\n{speaker}{cue.text.translate(_VTT)}\n\n"


def shown(said: Spoken) -> str:
    """The text for people: redacted or edited where that was asked for."""
    answer = said.final.answer
    return clean(answer.redacted_text or answer.edited_text or answer.text)


def stamp(ms: int, point: str = ".") -> str:
    """`ms` as 00:01:02.345."""
    whole, thousandths = divmod(ms, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"


def _cues(said: Spoken) -> list[Cue]:
    return cues(shown(said), said.final.answer.words, said.start_ms, said.end_ms)


def _fields(said: Spoken, languages: Collection[str]) -> dict[str, Any]:
    """The fields of `stt.transcript/1` that mean something here, with `start_ms` and `end_ms`."""
    final, answer, ended = said.final, said.final.answer, said.final.ended
    text = clean(answer.text)
    return {
        "source": said.source,
        "utterance_id": final.started.id,
        "seq": said.seq,
        "final_reason": final.final_reason,
        "continues": final.started.continues,
        "text": text,
        "norm": norm(text),
        "caution": _cautions(said, languages),
        "language": answer.language,
        "language_source": answer.language_source,
        "confidence": answer.confidence,
        **beside_the_text(answer),
        "start_ms": said.start_ms,
        "end_ms": said.end_ms,
        "audio_ms": ended.audio_ms,
        "audio_lost_ms": ended.lost_ms,
        "level_dbfs": ended.level_dbfs,
        "snr_db": ended.snr_db,
        "provider": final.provider,
        "attempt": final.attempt,
    }


def _cautions(said: Spoken, languages: Collection[str]) -> list[str]:
    final = said.final
    return [
        name
        for name, applies in (
            ("cut", final.ended.reason not in _UNCUT),
            ("guessed", final.answer.guessed),
            ("audio_lost", final.ended.lost_ms > 0),
            ("language", is_foreign(final.answer, languages)),
        )
        if applies
    ]
