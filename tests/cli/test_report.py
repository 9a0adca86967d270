"""`scribed report`: what an operator may hand to somebody else."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.shell import Shell
from tests.service.rig import Daemon

KEY = "canary-key-7f3a91c2"
PASSWORD = "canary-password-55e0"
TOKEN = "canary-token-0a8b66"
SAID = "open the pod bay doors"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A machine with secrets in every place, and a store with a text and audio in it."""
    shell = Shell(tmp_path)
    shell.environ |= {
        "RUNTIME_DIRECTORY": str(tmp_path / "run"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "OPENMIND_API_KEY": TOKEN,
    }
    shell.write("key", KEY)
    shell.write("password", PASSWORD)
    shell.write("state/audio/0000000007-01JM.sealed.wav", SAID)
    shell.write("state/ledger.db", SAID)
    shell.write(
        "ear.toml",
        f"""
        audio = {{source = "url", path = "rtsp://me:{PASSWORD}@camera/1"}}
        mqtt = {{username = "ear", password_file = "{tmp_path}/password", port = 1}}
        [provider]
        url = "ws://127.0.0.1:1"
        key_file = "{tmp_path}/key"
        [provider.elevenlabs]
        auth = "token"
        token_command = ["echo", "{TOKEN}"]
        """,
    )
    return shell


def files(archive: Path) -> dict[str, str]:
    """What is inside, by name."""
    inside = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            content = opened.extractfile(member)
            assert content is not None
            assert member.mode == 0o600
            inside[member.name.partition("/")[2]] = content.read().decode()
    return inside


def assert_nothing_private(text: str) -> None:
    for secret in (KEY, PASSWORD, TOKEN, SAID):
        raw = secret.encode()
        for form in (secret, quote(secret, safe=""), secret[::-1], raw.hex()):
            assert form not in text
        assert base64.b64encode(raw).decode().rstrip("=")[:-1] not in text


def test_a_bundle_has_what_helps_and_nothing_private(shell: Shell) -> None:
    leaky = {
        "hearing": True,
        "hearing_reason": "ok",
        "status_line": "hears url",
        "link": {"last_error": f"refused {KEY}, {base64.b64encode(KEY.encode()).decode()}"},
    }
    with Daemon(shell.home / "run", lambda _: leaky):
        said = shell.scribed("report", "-c", "ear.toml", "-o", "bundle.tar.gz")
    assert said.status == 0, said.err
    bundle = shell.home / "bundle.tar.gz"
    assert bundle.stat().st_mode & 0o777 == 0o600
    inside = files(bundle)
    assert {
        "README.txt",
        "versions.json",
        "configuration.txt",
        "doctor.json",
        "state.json",
        "devices.json",
        "store.txt",
    } <= set(inside)
    assert "scribed" in json.loads(inside["versions.json"])
    assert json.loads(inside["doctor.json"])["schema"] == "scribed.doctor/1"
    assert json.loads(inside["state.json"])["hearing"] is True
    assert 'url = "ws://127.0.0.1:1"' in inside["configuration.txt"]
    assert "audio/0000000007-01JM.sealed.wav" in inside["store.txt"]
    for name in inside:
        assert name == "README.txt" or name in said.out, "the terminal says what is inside"
    assert_nothing_private("\n".join(inside.values()) + said.out + said.err)


def test_it_goes_over_no_other_file(shell: Shell) -> None:
    there = shell.write("bundle.tar.gz", "mine")
    said = shell.scribed("report", "-c", "ear.toml", "-o", there)
    assert (said.status, there.read_text()) == (1, "mine")
    assert said.err == f"scribed: {there} is there already; give another name with -o FILE\n"
    said = shell.scribed("report", "-c", "ear.toml", "-o", "/proc/no/such")
    assert said.status == 1
    assert "cannot be written" in said.err


def test_with_texts_in_the_journal_that_is_left_out_and_said(shell: Shell) -> None:
    shell.environ["SCRIBED_TRANSCRIPT__LOG_TEXT"] = "true"
    said = shell.scribed("report", "-c", "ear.toml", "-o", "b.tar.gz")
    assert said.status == 0
    inside = files(shell.home / "b.tar.gz")
    assert "journal.txt" not in inside
    assert "transcript.log_text is on" in inside["README.txt"]
    assert "transcript.log_text is on" in said.out


def test_a_configuration_that_is_not_valid_is_in_it_as_what_is_wrong_with_it(shell: Shell) -> None:
    shell.write("ear.toml", f'vad.aggressiveness = 9\napi_key = "{KEY}"\n')
    said = shell.scribed("report", "-c", "ear.toml", "-o", "b.tar.gz")
    assert said.status == 0, said.err
    inside = files(shell.home / "b.tar.gz")
    assert "vad.aggressiveness: 9 is not allowed" in inside["configuration.txt"]
    assert_nothing_private("\n".join(inside.values()))
