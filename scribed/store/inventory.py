"""What the store says about its audio files."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from scribed.model import EarlierBoot, UtteranceEnded, UtteranceId, UtteranceStarted
from scribed.store.audiofile import AudioFile, Kind


class Info(Struct, frozen=True):
    """One utterance's file."""

    started: UtteranceStarted  #: `boot` is set where it was spoken before this boot
    ended: UtteranceEnded | None  #: None: still open
    nbytes: int  #: of audio
    durable: bool  #: in the state directory, where a reboot spares it
    sending: bool  #: marked as being sent (`mark_sending`)
    path: Path

    @property
    def id(self) -> UtteranceId:
        return self.started.id


Infos = list[Info]


class SetAside(Struct, frozen=True):
    """A damaged file that went to quarantine; id and seq are as its name says."""

    id: UtteranceId
    seq: int
    why: str
    path: Path | None  #: where it is now (as before, if it cannot be moved); None: deleted


class Scan(Struct, frozen=True):
    """What was found at start. Everything in `found` is sealed now."""

    found: tuple[Info, ...] = ()  #: oldest first; `sending`: the daemon ended while it was sent
    torn: tuple[UtteranceId, ...] = ()  #: of those: were open, and were sealed with RESTART
    mismatched: tuple[UtteranceId, ...] = ()  #: of those: the audio is not what was sealed
    damaged: tuple[SetAside, ...] = ()
    foreign: int = 0  #: files that are not ours, or of a later version: left alone
    problems: tuple[str, ...] = ()  #: words for the journal: directories that cannot be read, …


def info(file: AudioFile, boot_id: str) -> Info:
    """What there is to say about `file` in the boot `boot_id`."""
    meta = file.meta
    started = meta.started
    if meta.boot_id != boot_id:
        boot = EarlierBoot(meta.boot_id, meta.unix_offset, meta.clock_synced)
        started = replace(started, boot=boot)
    sending = file.kind is Kind.SENDING
    return Info(started, meta.ended, file.nbytes, file.place.durable, sending, file.path)
