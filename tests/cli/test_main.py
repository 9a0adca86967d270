"""The command itself: its help, its exit statuses, and what is no bug of ours."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from scribed import __version__
from scribed.cli import COMMANDS
from scribed.cli.loading import SYSTEM_FILE
from scribed.store.sequence import Sequence
from tests.cli.shell import COMMAND, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_help_names_every_command_and_every_exit_status(shell: Shell) -> None:
    said = shell.scribed("--help")
    assert (said.status, said.err) == (0, "")
    for command, summary in COMMANDS.items():
        assert command in said.out
        assert summary in " ".join(said.out.split())
    for status in (0, 1, 2, 70, 75, 78):
        assert f"{status} " in said.out
    assert str(SYSTEM_FILE) in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_does(shell: Shell, command: str) -> None:
    said = shell.scribed(command, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"usage: scribed {command} [-h]")
    assert len(said.out.split("\n\n")[1]) > 80  # a paragraph that an operator can act on


def test_the_version_is_said(shell: Shell) -> None:
    assert shell.scribed("--version").out == f"scribed {__version__}\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["chekc"], "invalid choice: 'chekc'"),
        (["check", "--shwo"], "unrecognized arguments: --shwo"),
        (["check", "extra"], "unrecognized arguments: extra"),
        (["check", "-c"], "expected one argument"),
        (["run", "--verbose"], "unrecognized arguments: --verbose"),
    ],
)
def test_wrong_usage_is_said_with_the_right_one(shell: Shell, words: list[str], why: str) -> None:
    said = shell.scribed(*words)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("usage: scribed")
    assert why in said.err


def test_a_daemon_without_any_valid_configuration_does_not_start(shell: Shell) -> None:
    path = shell.write("ear.toml", "[mqtt]\nport = 0\ntopic = '#'\n")
    said = shell.scribed("run", "-c", path)
    assert said.status == 78
    assert [line.split(":")[:2] for line in said.err.splitlines()] == [
        ["scribed", " mqtt.port"],
        ["scribed", " mqtt.topic"],
    ]


def test_a_daemon_whose_file_is_not_there_does_not_start(shell: Shell) -> None:
    said = shell.scribed("run", "-c", "nothing.toml")
    assert (said.status, said.err) == (
        78,
        "scribed: nothing.toml cannot be read: No such file or directory\n",
    )


def test_a_second_daemon_on_the_same_state_is_told_so(shell: Shell) -> None:
    state = shell.home / "state"
    shell.environ["STATE_DIRECTORY"] = str(state)
    first = Sequence(state)
    try:
        said = shell.scribed("run", "-c", shell.write("ear.toml", ""))
    finally:
        first.close()
    assert said.status == 75
    assert said.err.startswith(f"scribed: the state directory {state} is in use by another")


def test_a_state_directory_that_cannot_be_used_is_said(shell: Shell) -> None:
    shell.environ["STATE_DIRECTORY"] = str(shell.write("state", ""))
    said = shell.scribed("run", "-c", shell.write("ear.toml", ""))
    assert said.status == 1
    assert said.err.startswith(f"scribed: the state directory {shell.home}/state cannot be used")


def test_a_reader_that_goes_away_is_no_bug(shell: Shell) -> None:
    path = shell.write("ear.toml", "")
    with subprocess.Popen(
        [*COMMAND, "check", "--show", "-c", str(path)],
        env=shell.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("imported", ["argparse", "msgspec"])
def test_who_asks_it_to_stop_while_it_imports_sees_it_gone(
    shell: Shell, imported: str, how: signal.Signals
) -> None:
    shell.write(f"slow/{imported}.py", "import signal\nprint('here', flush=True)\nsignal.pause()\n")
    environ = {**shell.environ, "PYTHONPATH": f"{shell.home}/slow:{shell.environ['PYTHONPATH']}"}
    with subprocess.Popen(
        [*COMMAND, "monitor"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(how)
        assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 0
