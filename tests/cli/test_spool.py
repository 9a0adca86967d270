"""`scribed spool`: what waits, whether the daemon runs or not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed import clock
from scribed.cli.stopped import LEDGER
from scribed.config import Spool as Limits
from scribed.model import (
    Closed,
    Command,
    CommandError,
    EarlierBoot,
    EndReason,
    Outcome,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.service.names import boot_id, new_id
from scribed.store.ballast import Ballast
from scribed.store.ledger import Ledger
from scribed.store.sequence import Sequence
from scribed.store.spool import Spool
from scribed.store.utterances import Utterances
from tests.cli.shell import COMMAND, Shell
from tests.service.rig import Daemon


def this_boot() -> EarlierBoot:
    return EarlierBoot(boot_id(), clock.wall() - clock.now(), True)


class Store:
    """What a daemon keeps in `state` and `state/run`, as the daemon makes it."""

    def __init__(self, state: Path) -> None:
        self.state, self.runtime = state, state / "run"
        self.runtime.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(state / LEDGER, this_boot=this_boot, ballast=Ballast(state))
        self.utterances = Utterances(
            state,
            self.runtime,
            spool=Limits(min_free_mb=0),
            boot_id=boot_id(),
            now=clock.now,
            wall=clock.wall,
            synced=lambda: True,
        )
        self.utterances.scan()

    def hear(self, seq: int, ms: int, *, sealed: bool = True) -> UtteranceId:
        """An utterance of so many milliseconds of a sound of its own."""
        own, at = new_id(), clock.now() - 10
        self.utterances.begin(UtteranceStarted(own, seq, at))
        self.utterances.append(own, bytes([seq % 100]) * pcm_bytes(ms))
        if sealed:
            ended = UtteranceEnded(own, at + ms / 1000, EndReason.COMMIT, ms, 0, -30.5, 20.0)
            assert self.utterances.seal(ended)
        return own

    def spool(self) -> Spool:
        return Spool(self.utterances, self.ledger, state=self.state, this_boot=this_boot)

    def close(self) -> None:
        self.utterances.close()
        self.ledger.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.environ["STATE_DIRECTORY"] = str(tmp_path / "state")
    return shell


@pytest.fixture
def store(shell: Shell) -> Iterator[Store]:
    store = Store(shell.home / "state")
    yield store
    store.close()


@pytest.fixture(params=["running", "stopped"])
def ids(
    request: pytest.FixtureRequest, shell: Shell, store: Store
) -> Iterator[tuple[UtteranceId, UtteranceId]]:
    """Number 7 of 1.5 s in tmpfs, number 8 of 600 ms on disk; of a daemon that runs, or not."""
    first = store.hear(7, 1500)
    store.utterances.well = False
    ids = first, store.hear(8, 600)
    if request.param == "stopped":
        store.close()
        yield ids
        return
    spool = store.spool()

    def answer(command: Command) -> dict[str, Any] | CommandError:
        assert command.name == "spool"
        return spool.answer(command.args)

    with Daemon(store.runtime, answer):
        yield ids


Ids = tuple[UtteranceId, UtteranceId]


def ask(shell: Shell, *words: str | Path) -> Any:
    """What is said as JSON."""
    said = shell.scribed("spool", *words, "--json")
    assert (said.status, said.err) == (0, "")
    return json.loads(said.out)


# ls


def test_everything_that_waits_is_listed_oldest_first(shell: Shell, ids: Ids) -> None:
    said = ask(shell, "ls")
    assert [(u["seq"], u["id"]) for u in said["utterances"]] == [(7, ids[0]), (8, ids[1])]
    assert [(u["where"], u["state"]) for u in said["utterances"]] == [
        ("runtime", "sealed"),
        ("state", "sealed"),
    ]
    assert [(u["audio_ms"], u["bytes"]) for u in said["utterances"]] == [
        (1500, 48000),
        (600, 19200),
    ]
    for utterance in said["utterances"]:
        assert abs(utterance["start_unix_ms"] / 1000 - (time.time() - 10)) < 60
    assert (said["waiting"], said["finals"]) == (2, 0)


def test_the_list_is_a_table_for_people(shell: Shell, ids: Ids) -> None:
    said = shell.scribed("spool", "ls")
    assert said.status == 0
    head, first, second, summary = said.out.splitlines()
    assert head.split() == ["seq", "id", "spoken", "length", "where", "state"]
    assert first.split()[:2] == ["7", ids[0]]
    assert first.split()[-4:] == ["1.5", "s", "runtime", "sealed"]
    assert second.split()[-4:] == ["0.6", "s", "state", "sealed"]
    assert summary == "2 wait for an answer, 0 for the broker"


def test_an_empty_spool_is_said_to_be(shell: Shell, store: Store) -> None:
    store.close()
    assert shell.scribed("spool", "ls").out == "0 wait for an answer, 0 for the broker\n"


def test_what_only_waits_for_the_broker_is_counted(shell: Shell, store: Store) -> None:
    ended = Closed(UtteranceStarted(new_id(), 3, clock.now()), None, Outcome.FAILED)
    store.ledger.commit(items=[ended])
    store.close()
    assert ask(shell, "ls")["finals"] == 1


# show


@pytest.mark.parametrize("by", ["id", "seq"])
def test_one_is_shown_by_its_id_or_its_number(shell: Shell, ids: Ids, by: str) -> None:
    said = ask(shell, "show", ids[0] if by == "id" else "7")
    assert (said["id"], said["seq"]) == (ids[0], 7)
    meta = said["meta"]
    assert (meta["reason"], meta["level_dbfs"], meta["boot_id"]) == ("commit", -30.5, boot_id())
    assert meta["end_unix_ms"] - said["start_unix_ms"] == pytest.approx(1500, abs=1)
    shown = shell.scribed("spool", "show", "7").out
    assert f"id             {ids[0]}\n" in shown
    assert "reason         commit\n" in shown


@pytest.mark.parametrize("verb", ["show", "export", "purge"])
def test_one_that_is_not_there_is_said(shell: Shell, ids: Ids, verb: str) -> None:
    said = shell.scribed("spool", verb, "99")
    assert (said.status, said.out) == (1, "")
    assert "99" in said.err
    assert "ls" in said.err
    assert ask(shell, "ls")["waiting"] == 2


# export


def test_an_utterance_is_copied_to_a_file_that_is_this_users_alone(shell: Shell, ids: Ids) -> None:
    said = shell.scribed("spool", "export", "7")
    assert (said.status, said.out) == (0, f"7-{ids[0]}.wav\n")
    path = shell.home / f"7-{ids[0]}.wav"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert file.readframes(1 << 20) == bytes([7]) * pcm_bytes(1500)
    assert ask(shell, "ls")["waiting"] == 2


def test_a_file_that_exists_is_not_written_over(shell: Shell, ids: Ids) -> None:
    path = shell.write("mine.wav", "precious")
    said = shell.scribed("spool", "export", ids[0], "-o", path)
    assert (said.status, said.err) == (
        1,
        f"scribed: {path} exists; name another file with -o\n",
    )
    assert path.read_text() == "precious"
    assert ask(shell, "export", "8", "-o", "other.wav")["path"] == "other.wav"
    assert (shell.home / "other.wav").exists()


def test_a_place_that_cannot_be_written_is_said(shell: Shell, ids: Ids) -> None:
    said = shell.scribed("spool", "export", ids[0], "-o", "nowhere/x.wav")
    assert (said.status, said.err) == (
        1,
        "scribed: nowhere/x.wav cannot be made: No such file or directory\n",
    )


# purge


def test_named_ones_are_deleted_and_the_others_stay(shell: Shell, ids: Ids) -> None:
    assert shell.scribed("spool", "purge", "7", ids[0]).out == "1 deleted\n"
    assert [u["id"] for u in ask(shell, "ls")["utterances"]] == [ids[1]]


def test_all_are_deleted_where_all_is_said(shell: Shell, ids: Ids) -> None:
    assert ask(shell, "purge", "--all") == {"purged": 2}
    said = ask(shell, "ls")
    assert said["utterances"] == []
    assert said["finals"] == 2  # the ends of both, for the robot to be told
    assert list((shell.home / "state").rglob("*.wav")) == []


@pytest.mark.parametrize("words", [[], ["7", "--all"]])
def test_without_a_clear_word_nothing_is_deleted(shell: Shell, ids: Ids, words: list[str]) -> None:
    said = shell.scribed("spool", "purge", *words)
    assert said.status == 2
    assert "name the utterances to delete, or --all" in said.err
    assert ask(shell, "ls")["waiting"] == 2


def test_each_that_was_deleted_ends_as_evicted(shell: Shell, store: Store) -> None:
    one = store.hear(7, 300)
    store.close()
    assert ask(shell, "purge", "7") == {"purged": 1}
    (closed,) = store.ledger.undelivered()
    assert (closed.started.id, closed.started.seq) == (one, 7)
    assert isinstance(closed, Closed)
    assert closed.outcome is Outcome.EVICTED


def test_an_utterance_that_is_being_spoken_is_listed_and_not_deleted(store: Store) -> None:
    one = store.hear(7, 300, sealed=False)
    spool = store.spool()
    listed = spool.answer({"verb": "ls"})
    assert isinstance(listed, dict)
    assert [(u["id"], u["state"]) for u in listed["utterances"]] == [(one, "open")]
    assert spool.answer({"verb": "purge", "ids": None}) == {"purged": 0}
    assert store.utterances.get(one) is not None


# A daemon that does not run


def test_what_a_crash_left_open_is_there(shell: Shell, store: Store) -> None:
    one = store.hear(7, 300, sealed=False)
    store.close()
    (found,) = ask(shell, "ls")["utterances"]
    assert (found["id"], found["audio_ms"], found["state"]) == (one, 300, "sealed")
    assert ask(shell, "show", one)["meta"]["reason"] == "restart"


def test_what_is_damaged_is_set_aside_and_ends_as_quarantined(shell: Shell, store: Store) -> None:
    one = store.hear(7, 300)
    store.ledger.note_reserved(65)  # as the daemon does before it gives a number away
    store.close()
    (path,) = (shell.home / "state").rglob("*.wav")
    path.write_bytes(b"no header")
    assert shell.scribed("spool", "ls").err.startswith(f"scribed: {path.name} is set aside: ")
    said = ask(shell, "ls")
    (found,) = said["utterances"]
    assert (found["id"], found["seq"], found["where"]) == (one, 7, "quarantine")
    assert (said["waiting"], said["finals"]) == (0, 1)
    assert "unknown" in shell.scribed("spool", "ls").out
    assert ask(shell, "show", "7")["meta"]["path"].startswith(f"{shell.home}/state/quarantine/")
    assert ask(shell, "purge", "7") == {"purged": 1}
    assert ask(shell, "ls")["utterances"] == []
    (closed,) = store.ledger.undelivered()
    assert isinstance(closed, Closed)
    assert closed.outcome is Outcome.QUARANTINED


def test_a_file_that_outlived_its_answer_does_not_wait(shell: Shell, store: Store) -> None:
    one = store.hear(7, 300)
    store.ledger.commit(
        items=[Closed(UtteranceStarted(one, 7, clock.now()), None, Outcome.NO_SPEECH)]
    )
    store.close()
    assert ask(shell, "ls") == {"utterances": [], "waiting": 0, "finals": 1}


def test_a_daemon_that_runs_and_does_not_listen_is_left_alone(shell: Shell, store: Store) -> None:
    store.close()
    sequence = Sequence(shell.home / "state")
    try:
        said = shell.scribed("spool", "ls")
    finally:
        sequence.close()
    assert said.status == 75
    assert "is running on" in said.err
    assert "does not listen on its control socket" in said.err


def test_looking_for_an_instance_that_never_ran_makes_nothing(shell: Shell) -> None:
    said = shell.scribed("spool", "ls")
    assert said.status == 1
    assert "no scribed runs for instance default" in said.err
    assert list(shell.home.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_leaves_nothing_that_the_daemon_cannot_use(shell: Shell, store: Store) -> None:
    store.hear(7, 300)
    store.close()
    state = shell.home / "state"
    for path in (state, *state.rglob("*")):
        os.chown(path, 65534, 65534)
    shell.open_to_all()
    assert ask(shell, "ls")["waiting"] == 1
    assert shell.scribed("spool", "export", "7", "-o", "root.wav").status == 0
    assert ask(shell, "purge", "7") == {"purged": 1}
    assert {path.stat().st_uid for path in state.rglob("*")} == {65534}
    assert (shell.home / "root.wav").stat().st_uid == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_users_state_is_said_with_the_remedy(shell: Shell, store: Store) -> None:
    store.close()
    (shell.home / "state").chmod(0o700)
    shell.open_to_all()
    done = subprocess.run(
        [*COMMAND, "spool", "ls"],
        env=shell.environ,
        cwd="/",
        user=65534,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user cannot run this Python")
    assert done.returncode == 1
    assert "belongs to another user; ask as that user, or as root with sudo" in done.stderr
