"""`scribed status`, `mute` and `flush`: what they ask of a daemon, and what they make of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed.cli.instances import Place, places
from scribed.model import Command, CommandError
from tests.cli.shell import COMMAND, Said, Shell
from tests.service.rig import Daemon

HEARS: dict[str, Any] = {
    "schema": "stt.state/1",
    "hearing": True,
    "hearing_reason": "ok",
    "state": "listening",
    "mute_reasons": [],
    "link": {"state": "idle", "since": "2026-06-01T10:00:00Z", "last_error": None},
    "device": {"name": "plughw:CARD=Mic", "rate": 16000, "channels": 1, "state": "open"},
    "level_dbfs": -41.5,
    "noise_floor_dbfs": -60.0,
    "heard": "no speech, -42 dBFS over a noise floor of -60 dBFS",
    "last_frame_age_ms": 40,
    "last_final_age_s": 14.2,
    "backlog": {"utterances": 3, "seconds": 12.5},
    "clock_synced": True,
    "version": "0.1.0",
    "config_sha": "abc123",
    "status_line": "hears plughw:CARD=Mic, link idle, broker up",
}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.environ["RUNTIME_DIRECTORY"] = str(tmp_path / "run")
    return shell


@pytest.fixture
def daemon(shell: Shell) -> Iterator[Daemon]:
    with Daemon(shell.home / "run") as daemon:
        yield daemon


def status(shell: Shell, daemon: Daemon, **facts: Any) -> Said:
    daemon.answer = lambda _: HEARS | facts
    return shell.scribed("status")


# status


def test_an_ear_that_hears_is_status_0_and_the_main_facts_are_said(
    shell: Shell, daemon: Daemon
) -> None:
    said = status(shell, daemon)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "hears plughw:CARD=Mic, link idle, broker up",
        "  hearing     yes (ok)",
        "  microphone  plughw:CARD=Mic open, 16000 Hz, 1 ch, last frame 40 ms ago",
        "  sound       no speech, -42 dBFS over a noise floor of -60 dBFS",
        "  link        idle since 2026-06-01T10:00:00Z",
        "  backlog     3 utterances, 12.5 s",
        "  transcript  last one 14 s ago",
        "  clock       synchronised",
        "  version     0.1.0, configuration abc123",
    ]
    assert [(asked.name, asked.args) for asked in daemon.asked] == [("state", {})]


@pytest.mark.parametrize(("hearing", "reason"), [(False, "no_device"), (None, "starting")])
def test_one_that_does_not_hear_is_status_1_with_the_reason(
    shell: Shell, daemon: Daemon, hearing: bool | None, reason: str
) -> None:
    said = status(shell, daemon, hearing=hearing, hearing_reason=reason)
    assert said.status == 1
    assert f"({reason})" in said.out


def test_what_is_wrong_is_said_and_what_is_not_known_is_left_out(
    shell: Shell, daemon: Daemon
) -> None:
    said = status(
        shell,
        daemon,
        mute_reasons=["local", "mqtt"],
        link={"state": "backoff", "since": "2026-06-01T10:00:00Z", "last_error": "HTTP 503"},
        last_final_age_s=None,
        clock_synced=None,
        level_dbfs=None,
        heard=None,
        last_frame_age_ms=None,
    ).out
    assert "  muted       local, mqtt\n" in said
    assert "  last error  HTTP 503\n" in said
    assert "  transcript  none yet\n" in said
    assert "clock" not in said
    assert "dBFS" not in said


def test_as_json_it_is_the_payload(shell: Shell, daemon: Daemon) -> None:
    daemon.answer = lambda _: HEARS
    said = shell.scribed("status", "--json")
    assert (said.status, json.loads(said.out)) == (0, HEARS)


# mute, flush


@pytest.mark.parametrize(
    ("switch", "on", "words"),
    [("on", True, "muted: the microphone is closed\n"), ("off", False, "no longer muted\n")],
)
def test_the_microphone_is_closed_and_opened(
    shell: Shell, daemon: Daemon, switch: str, on: bool, words: str
) -> None:
    assert shell.scribed("mute", switch) == Said(0, words, "")
    (asked,) = daemon.asked
    assert (asked.name, asked.args, asked.local) == ("mute", {"on": on}, True)


def test_an_utterance_is_ended(shell: Shell, daemon: Daemon) -> None:
    assert shell.scribed("flush") == Said(0, "", "")
    assert daemon.asked[0].name == "flush"


def test_what_the_daemon_declines_is_one_line_and_status_1(shell: Shell, daemon: Daemon) -> None:
    daemon.answer = lambda _: CommandError("failed", "the microphone does not close")
    said = shell.scribed("mute", "on")
    assert said == Said(1, "", "scribed: the microphone does not close\n")


@pytest.mark.parametrize("words", [["mute"], ["mute", "maybe"], ["flush", "now"]])
def test_wrong_usage_asks_nothing(shell: Shell, daemon: Daemon, words: list[str]) -> None:
    assert shell.scribed(*words).status == 2
    assert daemon.asked == []


# Which daemon


@pytest.mark.parametrize("words", [["status"], ["mute", "on"], ["flush"], ["spool", "ls"]])
def test_where_none_runs_it_is_said_with_what_to_do(shell: Shell, words: list[str]) -> None:
    said = shell.scribed(*words, "-i", "front")
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        "scribed: no scribed runs for instance front: no answer on "
        f"{shell.home}/run/control.sock; systemctl status scribed@front\n"
    )


def test_an_instance_that_can_be_none_is_wrong_usage(shell: Shell) -> None:
    said = shell.scribed("status", "-i", "../root")
    assert said.status == 2
    assert "is no instance: it has lower-case letters" in said.err


def test_a_users_own_daemon_is_found_where_systemd_would_not_put_it(shell: Shell) -> None:
    del shell.environ["RUNTIME_DIRECTORY"]
    shell.environ["XDG_RUNTIME_DIR"] = str(shell.home / "xdg")
    for runtime in ("xdg/scribed/front", ".local/state/scribed/front/run"):
        with Daemon(shell.home / runtime, lambda _: HEARS):
            assert shell.scribed("status", "-i", "front").status == 0


def test_the_service_is_looked_for_first_unless_it_was_said_which() -> None:
    home = {"HOME": "/home/me"}
    own = Path("/home/me/.local/state/scribed/front")
    assert places("front", home) == [
        Place(Path("/run/scribed/front"), Path("/var/lib/scribed/front")),
        Place(own / "run", own),
    ]
    said = {"STATE_DIRECTORY": "/srv/ear", **home}
    assert places("front", said) == [Place(Path("/srv/ear/run"), Path("/srv/ear"))]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_socket_of_another_user_is_said_with_the_remedy(shell: Shell, daemon: Daemon) -> None:
    shell.open_to_all()
    done = subprocess.run(
        [*COMMAND, "status"],
        env=shell.environ,
        cwd="/",
        user=65534,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("another user cannot run this Python")
    assert done.returncode == 1
    assert "belongs to another user; ask as that user, or as root with sudo" in done.stderr
    assert daemon.asked == []


def test_a_daemon_that_hangs_is_said(shell: Shell) -> None:
    def silent(_command: Command) -> None:
        return None

    with Daemon(shell.home / "run", silent, reply_s=0.2):
        said = shell.scribed("flush")
    assert said.status == 1
    assert "the daemon gave no answer within 0.2 s" in said.err
