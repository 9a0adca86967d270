"""What earlier runs left in the audio directories, taken over at start whatever its state."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from scribed.model import EndReason, UtteranceEnded, UtteranceId, seconds
from scribed.store.audiofile import NAME, AudioFile, Kind
from scribed.store.inventory import SetAside
from scribed.store.places import PROBE, Place
from scribed.store.quarantine import Quarantine
from scribed.store.wav import HEADER_BYTES, Damaged, Meta, Newer, parse

VERIFY_BYTES = 32 << 20
"""Audio whose checksums are compared at start: about a second of an SD card."""


class Rescued(Struct):
    """What was found."""

    files: list[AudioFile] = field(default_factory=list)  #: sealed, oldest first
    torn: list[UtteranceId] = field(default_factory=list)
    mismatched: list[UtteranceId] = field(default_factory=list)
    damaged: list[SetAside] = field(default_factory=list)
    foreign: int = 0
    problems: list[str] = field(default_factory=list)


class _Found(Struct, frozen=True):
    """A file whose name is one of ours; `meta` None: it is damaged, `why` says how."""

    place: Place
    path: Path
    seq: int
    id: UtteranceId
    kind: Kind
    part: bool
    meta: Meta | None = None
    why: str = ""

    @property
    def completeness(self) -> tuple[int, bool, bool, bool]:
        """The file to keep of several of one utterance has the greatest."""
        assert self.meta is not None
        sealed = self.meta.ended is not None
        return self.meta.nbytes, sealed, not self.part, self.place.durable


def rescue(
    places: Sequence[Place], quarantine: Quarantine, progress: Callable[[], None]
) -> Rescued:
    """Take over the files in `places`. Raises nothing, whatever lies there. `progress` is called
    at each file, more than once."""
    result = Rescued()
    found: dict[UtteranceId, list[_Found]] = {}
    for place in places:
        for path in _paths(place, result):
            progress()
            if one := _look(place, path, result):
                found.setdefault(one.id, []).append(one)
    for same in found.values():
        progress()
        _choose(same, quarantine, result)
    result.files.sort(key=lambda file: file.meta.started.seq)
    _verify(result, progress)
    return result


def ended(meta: Meta) -> UtteranceEnded:
    """How it ended: as sealed, less what is missing; else where its audio ends."""
    if meta.ended is None:
        duration_ms = round(seconds(meta.nbytes) * 1000)
        at = meta.started.at + seconds(meta.nbytes)
        return UtteranceEnded(meta.started.id, at, EndReason.RESTART, duration_ms)
    return shortened(meta.ended, meta.nbytes) if meta.missing else meta.ended


def shortened(whole: UtteranceEnded, nbytes: int) -> UtteranceEnded:
    """How an utterance ended of whose audio only the first `nbytes` are left."""
    cut_ms = max(0, whole.audio_ms - round(seconds(nbytes) * 1000))
    return replace(whole, audio_ms=whole.audio_ms - cut_ms, lost_ms=whole.lost_ms + cut_ms)


def _paths(place: Place, result: Rescued) -> list[Path]:
    """The files in `place` that bear a name of ours."""
    paths = []
    try:
        with os.scandir(place.directory) as entries:
            for entry in entries:
                if entry.name == PROBE:
                    continue
                if NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    paths.append(Path(entry.path))
                else:
                    result.foreign += 1
    except FileNotFoundError:
        pass
    except OSError as exc:
        result.problems.append(f"{place.directory} cannot be read: {exc.strerror or exc}")
    return sorted(paths)


def _look(place: Place, path: Path, result: Rescued) -> _Found | None:
    """What a file is; None: not ours, or out of reach, and left alone."""
    match = NAME.fullmatch(path.name)
    assert match is not None
    seq, name, kind, part = match.groups()
    found = _Found(place, path, int(seq), UtteranceId(name), Kind(kind), part is not None)
    try:
        first, size = _first(path)
        meta = parse(first, size)
    except OSError as exc:
        result.problems.append(f"{path} cannot be read: {exc.strerror or exc}")
        return None
    except Newer as exc:
        result.foreign += 1
        result.problems.append(f"{path} is left alone: {exc}")
        return None
    except Damaged as exc:
        return replace(found, why=str(exc))
    if (meta.started.id, meta.started.seq) != (found.id, found.seq):
        result.foreign += 1
        result.problems.append(f"{path} is left alone: it holds another utterance than its name")
        return None
    return replace(found, meta=meta)


def _first(path: Path) -> tuple[bytes, int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.pread(fd, HEADER_BYTES, 0), os.fstat(fd).st_size
    finally:
        os.close(fd)


def _choose(same: list[_Found], quarantine: Quarantine, result: Rescued) -> None:
    """Of the files of one utterance keep the most complete; set damaged ones aside."""
    good = [one for one in same if one.meta is not None]
    best = max(good, key=lambda one: one.completeness, default=None)
    file = None
    if best is not None and best.meta is not None:
        file = AudioFile(best.place, best.path, best.meta, best.kind)
        file.leftovers.update(one.path for one in good if one is not best)
    for one in same:
        if one.meta is None:
            path = quarantine.take(one.path, one.why)
            if file is None and one.id not in {aside.id for aside in result.damaged}:
                result.damaged.append(SetAside(one.id, one.seq, one.why, path))
    if file is not None:
        _adopt(file, result)
        file.tidy()
        result.files.append(file)


def _adopt(file: AudioFile, result: Rescued) -> None:
    """Seal it where it is not, and give it the name that it should have."""
    meta = file.meta
    end = ended(meta)
    try:
        if meta.ended is None:
            result.torn.append(meta.started.id)
            file.reopen()
            file.seal(end, meta.unix_offset, meta.clock_synced)
            file.checked = True
        else:
            file.rename(Kind.SEALED if file.kind is Kind.OPEN else file.kind)
    except (OSError, ValueError) as exc:
        file.release()
        result.problems.append(f"{file.path} cannot be sealed: {exc}")
    # Known as it is meant, also where the disk did not take it: the next start does the same.
    file.meta = replace(file.meta, ended=end)


def _verify(result: Rescued, progress: Callable[[], None]) -> None:
    """Compare checksums, as far as there is time for it."""
    budget = VERIFY_BYTES
    for file in result.files:
        progress()
        budget -= file.nbytes
        if file.checked or file.meta.crc32 is None or (budget < 0 and not file.meta.missing):
            continue
        try:
            if not file.matches(file.read()):
                result.mismatched.append(file.meta.started.id)
        except OSError as exc:
            result.mismatched.append(file.meta.started.id)
            result.problems.append(f"{file.path} cannot be read: {exc.strerror or exc}")
