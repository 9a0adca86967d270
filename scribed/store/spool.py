"""What waits for an answer, for people to look into: the four verbs of `scribed spool`.

For whoever owns the store: its thread while the daemon runs, the command line while none does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scribed.model import (
    Closed,
    CommandError,
    EarlierBoot,
    Outcome,
    UtteranceEnded,
    UtteranceStarted,
    seconds,
)
from scribed.store import wav
from scribed.store.audiofile import NAME
from scribed.store.ledger import Ledger, LedgerError
from scribed.store.utterances import Info, Utterances

Answer = dict[str, Any] | CommandError


class Spool:
    """Answers `{"verb": "ls"}` and the like; `id` may be an utterance's id or its seq.

    `state` is the state directory, `this_boot` how its clock stands just now. Nothing here raises.
    """

    def __init__(
        self,
        utterances: Utterances,
        ledger: Ledger,
        *,
        state: Path,
        this_boot: Callable[[], EarlierBoot],
    ) -> None:
        self._utterances, self._ledger = utterances, ledger
        self._quarantine, self._this_boot = state / "quarantine", this_boot

    def answer(self, args: Mapping[str, Any]) -> Answer:
        """The result of a question, or why there is none.

        `purge` deletes what is sealed, and what is set aside where it is named; each utterance that
        waited gets its end (`evicted`) in the ledger, to be published at the next start. The daemon
        itself purges through its uplink.
        """
        match args.get("verb"):
            case "ls":
                return self._list()
            case "show":
                return self._find(args.get("id"))
            case "export":
                found = self._find(args.get("id"))
                if isinstance(found, CommandError):
                    return found
                return {"path": found["meta"]["path"]}
            case "purge":
                return self._purge(args.get("ids"))
            case _:
                return CommandError("malformed", 'verb is "ls", "show", "export" or "purge"')

    def _list(self) -> Answer:
        waiting = self._utterances.list()
        found = [*(self._described(info) for info in waiting), *self._set_aside()]
        finals: int | None = None  # unknown; what is in files is known all the same
        with contextlib.suppress(LedgerError):
            finals = self._ledger.count_undelivered()
        utterances = [_without_meta(each) for each in found]
        return {"utterances": utterances, "waiting": len(waiting), "finals": finals}

    def _find(self, wanted: object) -> Answer:
        for info in self._utterances.list():
            if _is(wanted, info.id, info.started.seq):
                return self._described(info)
        for each in self._set_aside():
            if _is(wanted, each["id"], each["seq"]):
                return each
        return CommandError("unknown", f"no utterance {wanted!s:.40} waits; `ls` has those that do")

    def _purge(self, ids: object) -> Answer:
        if ids is not None and not isinstance(ids, list):
            return CommandError("malformed", "ids is a list of utterances, or null: all that wait")
        chosen = [
            info
            for info in self._utterances.list()
            if info.ended and (ids is None or _is_one_of(ids, info.id, info.started.seq))
        ]
        try:
            self._ledger.commit(
                items=[Closed(info.started, info.ended, Outcome.EVICTED) for info in chosen]
            )
        except LedgerError as exc:
            return CommandError("failed", f"nothing was deleted: {exc}")
        for info in chosen:  # only now that its end is safe
            self._utterances.discard(info.id)
        aside = [
            each for each in self._set_aside() if _is_one_of(ids or [], each["id"], each["seq"])
        ]
        for each in aside:
            Path(each["meta"]["path"]).unlink(missing_ok=True)
        return {"purged": len(chosen) + len(aside)}

    # In words

    def _described(self, info: Info) -> dict[str, Any]:
        where = "state" if info.durable else "runtime"
        state = "open" if info.ended is None else "sending" if info.sending else "sealed"
        boot = info.started.boot or self._this_boot()
        return _describe(
            info.started,
            info.ended,
            boot,
            nbytes=info.nbytes,
            where=where,
            state=state,
            path=info.path,
        )

    def _set_aside(self) -> Iterator[dict[str, Any]]:
        """What is in quarantine, as far as it can be read."""
        try:
            paths = sorted(self._quarantine.iterdir())
        except OSError:
            return
        for path in paths:
            if name := NAME.fullmatch(path.name):
                try:
                    yield _look_at(path)
                except (OSError, wav.Damaged):
                    yield _unreadable(path, int(name[1]), name[2])


def _look_at(path: Path) -> dict[str, Any]:
    """Raises `OSError`, `Damaged`."""
    with path.open("rb") as file:
        first = file.read(wav.HEADER_BYTES)
    meta = wav.parse(first, path.stat().st_size)
    boot = EarlierBoot(meta.boot_id, meta.unix_offset, meta.clock_synced)
    return _describe(
        meta.started,
        meta.ended,
        boot,
        nbytes=meta.nbytes,
        where="quarantine",
        state="quarantined",
        path=path,
    )


def _unreadable(path: Path, seq: int, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "seq": seq,
        "state": "quarantined",
        "start_unix_ms": None,
        "audio_ms": None,
        "bytes": None,
        "where": "quarantine",
        "meta": {"path": str(path)},
    }


def _describe(
    started: UtteranceStarted,
    ended: UtteranceEnded | None,
    boot: EarlierBoot,
    *,
    nbytes: int,
    where: str,
    state: str,
    path: Path,
) -> dict[str, Any]:
    return {
        "id": started.id,
        "seq": started.seq,
        "state": state,
        "start_unix_ms": round((started.at + boot.unix_offset) * 1000),
        "audio_ms": round(seconds(nbytes) * 1000),
        "bytes": nbytes,
        "where": where,
        "meta": {
            "reason": None if ended is None else ended.reason.value,
            "end_unix_ms": None if ended is None else round((ended.at + boot.unix_offset) * 1000),
            "audio_lost_ms": None if ended is None else ended.lost_ms,
            "level_dbfs": None if ended is None else ended.level_dbfs,
            "snr_db": None if ended is None else ended.snr_db,
            "continues": started.continues,
            "boot_id": boot.id,
            "clock_synced": boot.clock_synced,
            "path": str(path),
        },
    }


def _without_meta(described: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in described.items() if key != "meta"}


def _is(wanted: object, id: str, seq: int) -> bool:
    return wanted == id or str(wanted) == str(seq)


def _is_one_of(wanted: Sequence[object], id: str, seq: int) -> bool:
    return any(_is(each, id, seq) for each in wanted)
