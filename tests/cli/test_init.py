"""`scribed init`: from nothing to a configuration that works, by a person and by a script."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.cli import initial
from scribed.cli.init import configure
from scribed.cli.initial import Draft
from scribed.cli.questions import Questions
from scribed.demo.broker import Broker
from tests.cli.shell import COMMAND, Said, Shell
from tests.cli.terminal import Terminal
from tests.cli.test_devices import room
from tests.parts.asound import Asound, compile_fault
from tests.parts.cloud import Behaviour, Cloud

KEY = "sk_init_0123456789"
PASSWORD = "pw_init_9876543210"


@pytest.fixture(scope="module")
def fault_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fault(tmp_path_factory.mktemp("fault"))


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    users = {"ear": PASSWORD}
    with Broker(tmp_path_factory.mktemp("broker"), passwords=users) as running:
        yield running


@pytest.fixture
def asound(tmp_path: Path, fault_module: Path) -> Asound:
    return Asound(tmp_path, fault_module)


@pytest.fixture
def shell(tmp_path: Path, asound: Asound, cloud: Cloud) -> Shell:
    shell = Shell(tmp_path / "home")
    shell.home.mkdir()
    shell.environ |= asound.environment()
    shell.environ["SCRIBED_PROVIDER__URL"] = cloud.url
    return shell


def script(shell: Shell, *words: str, stdin: str = "") -> Said:
    """Run it without a terminal, and with something on standard input."""
    done = subprocess.run(
        [*COMMAND, "init", "-c", "robot/ear.toml", *words],
        cwd=shell.home,
        env=shell.environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_person_is_asked_for_the_three_things_and_has_a_configuration(
    shell: Shell, asound: Asound, broker: Broker, cloud: Cloud, tmp_path: Path
) -> None:
    near = room(tmp_path / "near.s16", speech=4000, quiet=20)
    far = room(tmp_path / "far.s16", speech=150, quiet=60)
    asound.card("Far", rates=[16_000], channels=[1], audio=far)
    asound.card("Near", rates=[16_000], channels=[1], audio=near)
    cloud.behaviours.append(Behaviour(http_status=401))
    with Terminal(shell, "init", "-c", "robot/ear.toml") as terminal:
        terminal.expect("Say a sentence")
        terminal.answer("Is it card:Near? [Y/n]", "")
        terminal.answer("Speech service [1]:", "")
        terminal.answer("Key for elevenlabs (not shown", "sk_not_this_one")
        terminal.expect("failed: elevenlabs: ")
        terminal.answer("Another one? [Y/n]", "y")
        terminal.answer("Key for elevenlabs (not shown", KEY)
        terminal.expect("ok: elevenlabs: session started")
        terminal.answer("MQTT broker [localhost:1883]:", f"127.0.0.1:{broker.port}")
        terminal.expect("the broker takes no anonymous clients")
        terminal.answer("User [", "ear")
        terminal.answer("Password (not shown):", PASSWORD)
        terminal.expect("nothing published")
        terminal.answer("Write this to robot/ear.toml? [Y/n]", "y")
        terminal.expect("scribed doctor -c robot/ear.toml")
        assert terminal.end() == 0
    for secret in (KEY, PASSWORD, "sk_not_this_one"):
        assert secret not in terminal.shown
    robot = shell.home / "robot"
    assert (robot / "elevenlabs-api-key").read_text() == f"{KEY}\n"
    assert [mode(robot / name) for name in ("elevenlabs-api-key", "mqtt-password", "ear.toml")] == [
        0o600
    ] * 3
    assert {path.name for path in robot.iterdir()} == {
        "elevenlabs-api-key",
        "mqtt-password",
        "ear.toml",
    }
    said = shell.scribed("check", "-c", "robot/ear.toml", "--show")
    assert (said.status, said.err) == (0, "")
    assert 'device = "card:Near"' in said.out


def test_ctrl_c_leaves_nothing_behind(shell: Shell) -> None:
    with Terminal(shell, "init", "-c", "robot/ear.toml") as terminal:
        terminal.answer("Speech service [1]:", "")
        terminal.answer("Key for elevenlabs (not shown", KEY)
        terminal.expect("MQTT broker")
        terminal.interrupt()
        terminal.expect("scribed: nothing was written")
        assert terminal.end() == 1
    assert not (shell.home / "robot").exists()


def test_ctrl_c_at_the_hidden_question_shows_again_what_is_typed(shell: Shell) -> None:
    with Terminal(shell, "init", "-c", "robot/ear.toml") as terminal:
        terminal.answer("Speech service [1]:", "")
        terminal.expect("Key for elevenlabs (not shown")
        assert not terminal.echoes
        terminal.interrupt()
        terminal.expect("scribed: nothing was written")
        assert terminal.end() == 1
        assert terminal.echoes


def test_a_configuration_that_is_there_is_not_touched_without_a_yes(shell: Shell) -> None:
    path = shell.write("robot/ear.toml", "[vad]\nhangover_ms = 700  # mine\n")
    with Terminal(shell, "init", "-c", "robot/ear.toml") as terminal:
        terminal.answer("There is robot/ear.toml already. Change it? A copy is kept [y/N]", "")
        assert terminal.end() == 1
    assert path.read_text() == "[vad]\nhangover_ms = 700  # mine\n"


def test_a_script_gives_its_answers_as_options_and_keeps_what_was_set(
    shell: Shell, broker: Broker
) -> None:
    before = "[vad]\nhangover_ms = 700  # mine\n"
    shell.write("robot/ear.toml", before)
    password = shell.write("password", PASSWORD)
    said = script(
        shell,
        "--yes",
        *("--device", "card:Mic", "--key-file", "-", "--broker", f"127.0.0.1:{broker.port}"),
        *("--broker-user", "ear", "--broker-password-file", str(password)),
        stdin=f"{KEY}\n",
    )
    assert said.status == 0, said.err
    assert "ok: elevenlabs: session started" in said.out
    assert "nothing published" in said.out
    robot = shell.home / "robot"
    text = (robot / "ear.toml").read_text()
    assert "hangover_ms = 700\n" in text
    assert 'device = "card:Mic"\n' in text
    assert KEY not in text
    (copy,) = robot.glob("ear.toml.*")
    assert (copy.read_text(), mode(copy)) == (before, 0o600)
    assert (robot / "elevenlabs-api-key").read_text() == f"{KEY}\n"
    assert shell.scribed("check", "-c", "robot/ear.toml").status == 0


def test_what_does_not_answer_yet_is_written_all_the_same_and_said(shell: Shell) -> None:
    said = script(shell, "--yes", "--broker", "127.0.0.1:1", "--key-file", "/nowhere/key")
    assert said.status == 0, said.err
    assert "failed: elevenlabs: provider.key_file: /nowhere/key cannot be read" in said.out
    assert "failed: nothing listens on 127.0.0.1 port 1" in said.out
    assert "port = 1\n" in (shell.home / "robot/ear.toml").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "init asks questions, and this is no terminal; give --yes"),
        (("--yes", "--broker", "hub:99999"), '"hub:99999" is no broker; it is HOST, HOST:PORT'),
        (("--yes", "--device", "usb:zz"), "audio.device"),
        (("--yes", "--key-file", "-"), "a key is one word; nothing was taken"),
    ],
)
def test_what_cannot_be_is_an_error_and_nothing_is_written(
    shell: Shell, words: tuple[str, ...], complaint: str
) -> None:
    said = script(shell, *words)
    assert said.status != 0
    assert complaint in said.err
    assert not (shell.home / "robot").exists()


def test_a_directory_that_cannot_be_written_is_said(shell: Shell) -> None:
    said = shell.scribed("init", "--yes", "--broker", "127.0.0.1:1", "-c", "/proc/scribed/a.toml")
    assert said.status == 1
    assert "cannot be written" in said.err
    assert "nothing was changed" in said.err


class Answers(Questions):
    """Somebody who knows the broker's user and password, and takes the defaults otherwise."""

    def __init__(self) -> None:
        super().__init__(yes=True)

    def text(self, question: str, default: str) -> str:
        return "ear" if question == "User" else default

    def secret(self, question: str) -> str:
        return PASSWORD


def test_a_password_that_systemd_hands_over_is_replaced_where_systemd_reads_it(
    tmp_path: Path, broker: Broker
) -> None:
    handed = tmp_path / "credentials" / "mqtt-password"
    draft = Draft(tmp_path / "ear.toml", {}, {}, handed={"mqtt-password": handed})
    configure(parser := argparse.ArgumentParser())
    given = parser.parse_args(["--broker", f"127.0.0.1:{broker.port}"])
    initial.broker(draft, Answers(), given)
    assert draft.secrets == [(handed, PASSWORD)]
    assert "mqtt.password_file" not in draft.values
    assert draft.values["mqtt.username"] == "ear"
