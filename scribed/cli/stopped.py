"""The spool of a daemon that does not run: its files, under its lock and as its user."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scribed import clock
from scribed.cli import instances
from scribed.config import Spool as Limits
from scribed.errors import ScribedError, StateInUse
from scribed.model import Closed, CommandError, EarlierBoot, Outcome
from scribed.service.asking import Declined, NoDaemon
from scribed.service.names import boot_id
from scribed.service.timesync import clock_synced
from scribed.store.ballast import Ballast
from scribed.store.ledger import Ledger, LedgerError
from scribed.store.records import bare
from scribed.store.sequence import Sequence
from scribed.store.spool import Spool
from scribed.store.utterances import Utterances

LEDGER = "ledger.db"


@contextlib.contextmanager
def spool(
    instance: str, *, otherwise: NoDaemon
) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Answers as the daemon would. Raises `otherwise` where the instance has no state either,
    `StateInUse` where a daemon has it after all, and `ScribedError` where it is another user's.

    What a crash left open is sealed by looking, as the next start would do it.
    """
    place = _place(instance, otherwise)
    logging.basicConfig(format="scribed: %(message)s")  # what the store finds wrong
    with contextlib.ExitStack() as stack:
        with _as_owner(place.state):
            sequence = _lock(place.state)
            stack.callback(sequence.close)
            ledger, utterances = _open(place, sequence.next)
        asked = Spool(utterances, ledger, state=place.state, this_boot=_this_boot)

        def answer(args: dict[str, Any]) -> dict[str, Any]:
            with _as_owner(place.state):
                said = asked.answer(args)
            if isinstance(said, CommandError):
                raise Declined(said.code, said.message)
            return said

        try:
            yield answer
        finally:
            with _as_owner(place.state):
                utterances.close()
                ledger.close()


def _place(instance: str, otherwise: NoDaemon) -> instances.Place:
    found = [place for place in instances.places(instance, os.environ) if place.state.is_dir()]
    if not found:
        raise otherwise
    for place in found:
        if os.access(place.state, os.R_OK | os.W_OK | os.X_OK):
            return place
    raise ScribedError(
        f"{found[0].state} belongs to another user; ask as that user, or as root with sudo"
    )


def _lock(state: Path) -> Sequence:
    try:
        return Sequence(state)
    except StateInUse as exc:
        raise StateInUse(
            f"a scribed is running on {state}, and does not listen on its control socket: "
            "ask again in a moment, or see its log"
        ) from exc


def _open(place: instances.Place, next_seq: int) -> tuple[Ledger, Utterances]:
    ledger = Ledger(place.state / LEDGER, this_boot=_this_boot, ballast=Ballast(place.state))
    utterances = Utterances(
        place.state,
        place.runtime if place.runtime.is_dir() else None,
        spool=Limits(),  # nothing is evicted here: its limits are not asked for
        boot_id=boot_id(),
        now=clock.now,
        wall=clock.wall,
        synced=clock_synced,
    )
    _account_for(utterances, ledger, next_seq)
    return ledger, utterances


def _account_for(utterances: Utterances, ledger: Ledger, next_seq: int) -> None:
    """Look at the files, and leave the ledger as the next start has to find it.

    What is damaged goes to quarantine by that, where no start looks: its end is noted here.
    """
    scan = utterances.scan()
    try:
        used = max(next_seq, ledger.reserved() or 0)  # a name may be damaged as well
        ends = [
            Closed(bare(each.id, each.seq), None, Outcome.QUARANTINED)
            for each in scan.damaged
            if each.seq < used
        ]
        if ends:
            ledger.commit(items=ends)
        for info in scan.found:
            if ledger.has(info.id):  # its file outlived its answer
                utterances.discard(info.id)
    except LedgerError as exc:
        raise ScribedError(str(exc)) from exc


def _this_boot() -> EarlierBoot:
    return EarlierBoot(boot_id(), clock.wall() - clock.now(), clock_synced())


@contextlib.contextmanager
def _as_owner(directory: Path) -> Iterator[None]:
    """As root, be the owner of `directory` meanwhile: what is made is the daemon's to use."""
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
