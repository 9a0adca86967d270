"""`scribed monitor` as a person starts it: on a terminal and in a pipe, at a real broker."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from scribed.contract.examples import payloads_of
from scribed.demo.broker import Broker
from tests.cli.shell import COMMAND, Shell
from tests.cli.terminal import Terminal
from tests.delivery.peers import Robot, ScriptedBroker, wait_for
from tests.parts.choosy import choosy

EXAMPLES = payloads_of()
BASE = "scribed/r7/mic"
PATIENCE_S = 20.0


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.environ |= {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"}
    return shell


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (home := tmp_path / "broker").mkdir()
    with Broker(home) as broker:
        yield broker


def example(topic: str, **other: object) -> bytes:
    """The contract's own message with other values."""
    return json.dumps({**json.loads(EXAMPLES[topic][0]), **other}).encode()


def comes_up(robot: Robot, base: str = BASE) -> dict[str, Any]:
    """A robot says what it has retained; its state."""
    state = example("state", t=datetime.now(timezone.utc).isoformat())
    robot.publish(f"{base}/status", b"online", retain=True)
    robot.publish(f"{base}/state", state, retain=True)
    return dict(json.loads(state))


class Piped:
    """The command with its output in a pipe; a context manager. `lines` is what it printed."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self._words, self._shell = words, shell
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Piped:
        self.process = subprocess.Popen(
            [*COMMAND, "monitor", *self._words],
            cwd=self._shell.home,
            env=self._shell.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def expect(self, *words: str) -> str:
        """Wait for a line that has all of these."""
        while True:
            try:
                line = self._queue.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"no line with {words} in {self.lines}") from None
            if all(word in line for word in words):
                return line

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._queue.put(line)


def test_in_a_pipe_each_thing_that_happens_is_a_line(shell: Shell, broker: Broker) -> None:
    port = str(broker.port)
    with Robot(broker.port) as robot:
        comes_up(robot)
        with Piped(shell, "--host", "127.0.0.1", "--port", port) as monitor:
            monitor.expect("r7/mic", "state", "hears")
            robot.publish(f"{BASE}/transcript", example("transcript", text="\x1b[2Jgo\x07", seq=7))
            line = monitor.expect("r7/mic", "transcript", "#7")
            assert line.rstrip().endswith("#7 [2Jgo")
            robot.publish(f"{BASE}/late", example("late", seq=8, text="[red]stop"))
            monitor.expect("late", "#8 [red]stop  [stale, more_speech]")
            robot.publish(f"{BASE}/alert/no_device", EXAMPLES["alert"][0], retain=True)
            monitor.expect("alert", "error no_device", "what to do: plug one in")
            robot.publish(f"{BASE}/alert/no_device", b"", retain=True)
            monitor.expect("alert", "no_device is over")
            robot.publish(f"{BASE}/ended", b"\xff\x00")
            monitor.expect("?", "ended is not understood")
            robot.publish(f"{BASE}/status", b"offline", retain=True)
            monitor.expect("state", "OFFLINE")
            assert monitor.end() == 0
            assert not any("\x1b" in line or "\x07" in line for line in monitor.lines)


def test_a_broker_that_goes_and_comes_back_is_told_and_what_is_retained_heard_anew(
    shell: Shell, broker: Broker
) -> None:
    with Piped(shell, "--host", "127.0.0.1", "--port", str(broker.port)) as monitor:
        with Robot(broker.port) as robot:
            comes_up(robot)
            monitor.expect("state", "hears")
        broker.kill()
        monitor.expect("broker lost:", "trying again")
        broker.start()
        monitor.expect("broker back")
        with Robot(broker.port) as robot:
            comes_up(robot)
            robot.publish(f"{BASE}/status", b"offline", retain=True)
            monitor.expect("state", "OFFLINE")
        assert monitor.end() == 0


def test_a_bridge_that_is_down_is_told(shell: Shell, broker: Broker) -> None:
    with Robot(broker.port) as robot:
        comes_up(robot)
        robot.publish("fleet/r7/bridge", b"0", retain=True)
        with Piped(shell, "--host", f"127.0.0.1:{broker.port}") as monitor:
            monitor.expect("r7/mic", "state", "BRIDGE DOWN")
            robot.publish("fleet/r7/bridge", b"1", retain=True)
            monitor.expect("r7/mic", "state", "hears")
            assert monitor.end() == 0


def test_a_broker_that_does_not_let_us_hear_of_bridges_is_watched_all_the_same(
    shell: Shell, tmp_path: Path
) -> None:
    (home := tmp_path / "choosy").mkdir()
    with choosy(home, "scribed/#") as broker, Robot(broker.port) as robot:
        comes_up(robot)
        with Piped(shell, "--host", f"127.0.0.1:{broker.port}") as monitor:
            monitor.expect("r7/mic", "state", "hears")
            assert monitor.end() == 0
        assert len(monitor.lines) == 1


def test_json_is_every_message_for_programs(shell: Shell, broker: Broker) -> None:
    words = ["--json", "--robot", "r7", "--host", "127.0.0.1", "--port", str(broker.port)]
    with Robot(broker.port) as robot, Piped(shell, *words) as monitor:
        state = comes_up(robot)
        comes_up(robot, "scribed/r8/mic")
        said: list[dict[str, Any]] = [json.loads(monitor.expect("{")) for _ in range(2)]
        robot.publish(f"{BASE}/text", "café \x1b".encode())
        said.append(json.loads(monitor.expect("{")))
    assert [each["topic"] for each in said] == ["status", "state", "text"]
    assert {each["robot"] for each in said} == {"r7"}
    assert said[1]["payload"] == state
    assert said[2]["payload"] == "café \x1b"
    assert not any("\x1b" in line for line in monitor.lines)


def test_on_a_terminal_one_robot_is_shown_in_full_and_more_in_a_line_each(
    shell: Shell, broker: Broker
) -> None:
    words = ["monitor", "--host", "127.0.0.1", "--port", str(broker.port)]
    with Robot(broker.port) as robot, Terminal(shell, *words) as person:
        comes_up(robot)
        person.expect("over a noise floor of")
        robot.publish(f"{BASE}/partial", EXAMPLES["partial"][0])
        person.expect("… Turn le")
        robot.publish(f"{BASE}/transcript", example("transcript", text="\x1b]0;mine\x07 left"))
        person.expect("#1841 ]0;mine left")
        comes_up(robot, "scribed/r8/mic")
        person.expect("robot")
        person.expect("r8/mic")
        broker.kill()
        person.expect("broker lost:")
        broker.start()
        with Robot(broker.port) as again:
            comes_up(again)
            person.expect("hears")
        person.interrupt()
        assert person.end() == 0
        assert "\x1b]0" not in person.shown
        assert person.shown.rstrip().endswith("\x1b[?25h\x1b[?1049l")  # cursor and screen are back


def test_without_rich_a_terminal_is_told_what_to_install_and_lines_need_none(
    shell: Shell, broker: Broker
) -> None:
    shell.write("without/rich.py", "raise ImportError('not installed')\n")
    shell.environ["PYTHONPATH"] = f"{shell.home / 'without'}:{shell.environ['PYTHONPATH']}"
    words = ["monitor", "--host", "127.0.0.1", "--port", str(broker.port)]
    with Terminal(shell, *words) as person:
        person.expect("pip install 'scribed[monitor]'")
        assert person.end() == 1
    with Robot(broker.port) as robot, Terminal(shell, *words, "--plain") as person:
        comes_up(robot)
        person.expect("hears")
        person.interrupt()
        assert person.end() == 0


def test_ctrl_c_ends_it_while_the_broker_does_not_answer(shell: Shell) -> None:
    with (
        ScriptedBroker(mute=True) as broker,
        Piped(shell, "--host", f"127.0.0.1:{broker.port}") as monitor,
    ):
        wait_for(lambda: broker.levels, "its CONNECT")
        assert monitor.end() == 0
        assert broker.levels == [5]


def test_an_output_that_takes_no_more_is_said(shell: Shell, broker: Broker) -> None:
    with Robot(broker.port) as robot, Path("/dev/full").open("w") as full:
        comes_up(robot)
        words = ["monitor", "--json", "--host", f"127.0.0.1:{broker.port}"]
        done = subprocess.run(
            [*COMMAND, *words],
            env=shell.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(
        b"scribed: the output cannot be written: No space left on device\n"
    )


def test_what_is_wrong_with_the_broker_is_said_at_once(shell: Shell, tmp_path: Path) -> None:
    said = shell.scribed("monitor", "--host", "127.0.0.1", "--port", "9")
    assert said.status == 1
    assert said.err.startswith("scribed: nothing listens on 127.0.0.1 port 9")
    (home := tmp_path / "closed").mkdir()
    with Broker(home, passwords={"eye": "right"}) as closed:
        where = ("--host", "127.0.0.1", "--port", str(closed.port))
        said = shell.scribed("monitor", *where)
        assert said.status == 1
        assert "--user" in said.err
        password = shell.write("password", "right")
        with Piped(shell, *where, "--user", "eye", "--password-file", str(password)) as monitor:
            with Robot(closed.port, user="eye", password="right") as robot:
                comes_up(robot)
            monitor.expect("hears")


def test_a_topic_that_names_no_robot_has_none_to_choose(shell: Shell) -> None:
    said = shell.scribed("monitor", "--robot", "r7", "--topic", "ears", "--host", "127.0.0.1")
    assert said.status == 1
    assert "does not say whose topic it is" in said.err
