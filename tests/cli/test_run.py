"""`scribed run` with less than a process usually has, and what it says at its start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import COMMAND, Shell

EAR = '[audio]\nsource = "stdin"\n[mqtt]\nport = 1\n'


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.environ["ELEVENLABS_API_KEY"] = "sk_0123456789"
    return shell


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_what_is_closed_at_the_start_is_no_bug(shell: Shell, closed: str) -> None:
    path = shell.write("ear.toml", EAR)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "run", "-c", str(path)],
        cwd=shell.home,
        env=shell.environ,
        stdin=subprocess.DEVNULL,  # its end is the end of the daemon
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (0, "")
    assert ("started: scribed" in done.stderr) is (closed == ">&-")


def test_what_was_closed_is_never_one_of_its_own_files(shell: Shell) -> None:
    program = "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in (1, 2)), file=out)"
    wrapped = (
        "import sys; from pathlib import Path; import scribed.cli as cli; cli._fill_descriptors();"
        f"out = Path('seen').open('w'); {program}"
    )
    subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", COMMAND[0], "-c", wrapped],
        cwd=shell.home,
        env=shell.environ,
        timeout=60,
        check=True,
    )
    assert (shell.home / "seen").read_text() == "/dev/null /dev/null\n"


@pytest.mark.parametrize("url", ["wss://me:s3cret", "wss://me:s3cret@h:99999", "ws://h/?k=s3cret"])
def test_an_endpoint_that_holds_a_secret_is_not_repeated(shell: Shell, url: str) -> None:
    said = shell.scribed("run", "-c", shell.write("ear.toml", f'provider.url = "{url}"'))
    assert said.status == 78
    assert said.err.startswith("scribed: provider.url: ")
    assert "s3cret" not in said.out + said.err


def test_a_password_of_nobody_is_warned_of_at_the_start(shell: Shell) -> None:
    shell.write("credentials/mqtt-password", "pw-0123456789")
    shell.environ["CREDENTIALS_DIRECTORY"] = str(shell.home / "credentials")
    said = shell.scribed("run", "-c", shell.write("ear.toml", EAR))
    assert said.status == 0
    (line,) = [line for line in said.err.splitlines() if "mqtt-password" in line]
    assert "WARNING" in line
    assert "mqtt.username: is empty" in line
    assert "pw-01" not in said.err
