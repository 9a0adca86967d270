"""The control socket: one question, one answer, and nobody can hold it or the daemon."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.errors import ScribedError
from scribed.model import Command, CommandError, Reply
from scribed.service.asking import Declined, NoDaemon, ask
from scribed.service.control import MAX_LINE_BYTES, Control, Question, decode
from scribed.service.sockets import listen_at
from scribed.worker import Finished, Mailbox, Stop
from tests.service.rig import SOON, Daemon


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def connected(daemon: Daemon) -> socket.socket:
    """A client that has not said anything yet."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SOON)
    client.connect(str(daemon.path))
    return client


def said_to(daemon: Daemon, text: bytes, *, finished: bool = True) -> dict[str, Any]:
    """What comes of `text`, sent as it is."""
    with connected(daemon) as client:
        try:
            client.sendall(text)
            if finished:
                client.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        with client.makefile("rb") as file:
            answer: dict[str, Any] = json.loads(file.readline())
        return answer


# A question and its answer


def test_a_question_becomes_a_command_and_its_reply_the_answer(tmp_path: Path) -> None:
    with Daemon(tmp_path, lambda command: {"on": command.args["on"], "was": None}) as daemon:
        assert ask(tmp_path, "mute", {"on": True}) == {"on": True, "was": None}
    (asked,) = daemon.asked
    assert (asked.name, asked.args, asked.local) == ("mute", {"on": True}, True)


def test_a_socket_is_found_however_deep_its_directory_lies(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with Daemon(deep, lambda _: {"flushed": True}):
        assert ask(deep, "flush", {}) == {"flushed": True}
        with pytest.raises(OSError, match="another scribed listens there"):
            listen_at(deep / "control.sock", 1)
    with pytest.raises(NoDaemon):
        ask(deep / "nowhere", "flush", {})


def test_what_is_declined_is_told_with_its_code(tmp_path: Path) -> None:
    error = CommandError("unknown", "no command of this name; there are mute and flush")
    there_are = pytest.raises(Declined, match="there are mute and flush")
    with Daemon(tmp_path, lambda _: error), there_are as caught:
        ask(tmp_path, "dance", {})
    assert caught.value.code == "unknown"


def test_many_ask_one_after_the_other_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    got: dict[int, Any] = {}
    with Daemon(tmp_path, lambda command: {"n": command.args["n"]}):
        askers = [
            threading.Thread(target=lambda n=n: got.update({n: ask(tmp_path, "x", {"n": n})}))
            for n in range(6)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(SOON)
    assert got == {n: {"n": n} for n in range(6)}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_ends_with_a_newline_or_with_what_is_sent(tmp_path: Path, end: bytes) -> None:
    with Daemon(tmp_path) as daemon:
        answer = said_to(daemon, b'{"cmd": "flush"}' + end, finished=not end.endswith(b"\n"))
        assert answer == {"ok": True, "result": {}}
    assert daemon.asked[0].args == {}


def test_an_answer_may_be_longer_than_a_socket_holds(tmp_path: Path) -> None:
    long = {"utterances": [{"id": "01JM" * 6, "seq": seq} for seq in range(20_000)]}
    with Daemon(tmp_path, lambda _: long):
        assert ask(tmp_path, "spool", {}) == long


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"{}",
        b"[1]",
        b'{"cmd": 5}',
        b'{"cmd": "mute", "args": [true]}',
        b'{"cmd": "mute", "arg": {}}',
        b"\xff\xfe",
        b"[" * 60_000,
    ],
)
def test_what_is_no_question_is_answered_with_what_one_looks_like(
    tmp_path: Path, line: bytes
) -> None:
    with Daemon(tmp_path) as daemon:
        answer = said_to(daemon, line + b"\n")
    assert answer["ok"] is False
    assert answer["error"]["code"] == "malformed"
    assert '{"cmd": "…", "args": {…}}' in answer["error"]["message"]
    assert daemon.asked == []


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_is_not_read_to_it(tmp_path: Path, end: bytes) -> None:
    with Daemon(tmp_path) as daemon:
        answer = said_to(daemon, b'"' + b"x" * MAX_LINE_BYTES + end)
        assert answer["error"]["code"] == "too_large"
        assert ask(tmp_path, "flush", {}) == {}


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: json.dumps(t).encode()))
def test_whatever_a_line_holds_it_is_a_question_or_an_error_in_words(line: bytes) -> None:
    try:
        said: object = decode(line)
    except ValueError as exc:
        said = str(exc)
    assert isinstance(said, Question) or str(said).endswith("…}}")


# Nobody holds it


def test_a_silent_client_holds_the_others_for_a_bounded_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    with Daemon(tmp_path, transfer_s=1.0) as daemon, connected(daemon) as silent:
        assert ask(tmp_path, "flush", {}) == {}
        assert 1.0 <= time.monotonic() - begun < 5.0
        answer = json.loads(silent.recv(4096))
        assert answer["error"]["message"] == "no line came within 1 s"


def test_a_client_that_does_not_take_its_answer_holds_the_others_no_longer(tmp_path: Path) -> None:
    long = {"x": "x" * 5_000_000}
    daemon = Daemon(tmp_path, lambda c: long if c.name == "long" else {}, transfer_s=1.0)
    with daemon, connected(daemon) as idler:
        idler.sendall(b'{"cmd": "long"}\n')
        assert ask(tmp_path, "flush", {}) == {}


def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        for text in (b"", b'{"cmd"', b'{"cmd": "flush"}\n'):
            with connected(daemon) as client:
                client.sendall(text)
        assert ask(tmp_path, "state", {}) == {}
    assert [asked.name for asked in daemon.asked] == ["flush", "state"]


def test_a_daemon_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    def answer(command: Command) -> dict[str, Any] | None:
        return None if command.name == "mute" else {}

    with Daemon(tmp_path, answer, reply_s=1.0):
        with pytest.raises(Declined, match=r"no answer within 1 s; whether it was done") as caught:
            ask(tmp_path, "mute", {"on": True})
        assert caught.value.code == "failed"
        assert ask(tmp_path, "flush", {}) == {}


def test_an_answer_that_comes_too_late_is_nobody_elses(tmp_path: Path) -> None:
    late: list[Command] = []

    def answer(command: Command) -> dict[str, Any] | None:
        if command.name == "mute":
            late.append(command)
            return None
        for slow in late:
            slow.answer.put(Reply(slow.token, {"answer": "late"}))
        return {"answer": "own"}

    with Daemon(tmp_path, answer, reply_s=1.0):
        with pytest.raises(Declined):
            ask(tmp_path, "mute", {"on": True})
        assert ask(tmp_path, "flush", {}) == {"answer": "own"}


def test_a_supervisor_without_room_for_a_question_is_said_so(tmp_path: Path) -> None:
    full: Mailbox[Any] = Mailbox(limit=0)
    control = Control(runtime=tmp_path, supervisor=full)
    control.start()
    assert _declined(tmp_path) == "the daemon has too much to do; ask again"
    control.inbox.put(Stop())
    control.join(SOON)
    control.inbox.close()
    full.close()


def _declined(runtime: Path) -> str:
    try:
        ask(runtime, "flush", {})
    except ScribedError as exc:
        return str(exc)
    return ""


# The socket


def test_the_socket_is_this_users_alone(tmp_path: Path) -> None:
    with Daemon(tmp_path / "run" / "default") as daemon:
        assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(daemon.runtime.stat().st_mode) == 0o700


def test_it_is_gone_when_the_daemon_has_ended(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        assert daemon.path.exists()
    assert daemon.ended.is_set()
    assert not daemon.path.exists()
    with pytest.raises(NoDaemon, match=r"no scribed listens on .*/control\.sock"):
        ask(tmp_path, "state", {})


def test_a_stop_does_not_wait_for_a_client_nor_for_a_reply(tmp_path: Path) -> None:
    with Daemon(tmp_path, lambda _: None) as daemon, connected(daemon) as client:
        client.sendall(b'{"cmd": "flush"}\n')
        wait_for(lambda: daemon.asked)
        begun = time.monotonic()
        daemon.stop()
        assert json.loads(client.recv(4096))["error"]["message"] == "the daemon is stopping"
    with Daemon(tmp_path) as daemon, connected(daemon):
        daemon.stop()
    assert time.monotonic() - begun < 1.8


def test_the_socket_of_a_daemon_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with Daemon(tmp_path):
        assert _declined(tmp_path) == ""


def test_the_socket_of_another_daemon_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Daemon(tmp_path, lambda _: {"who": "first"}):
        with Daemon(tmp_path) as second:
            assert second.ended.wait(SOON)
        assert ask(tmp_path, "state", {}) == {"who": "first"}
    assert "another scribed listens there; give each its own RUNTIME_DIRECTORY" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_text(""), "something else is there; remove it"),
        (lambda path: path.parent.rmdir() or path.parent.touch(), "File exists"),
    ],
    ids=["a file", "no directory"],
)
def test_without_a_place_for_the_socket_the_daemon_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object], why: str
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    spoil(runtime / "control.sock")
    with Daemon(runtime) as daemon:
        assert daemon.ended.wait(SOON)
    assert "no control socket" in caplog.text
    assert why in caplog.text


# Idle


def test_idle_it_sleeps_and_does_not_count_as_stuck(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        thread = daemon.control.native_id
        switches = Path(f"/proc/self/task/{thread}/status")

        def woken() -> int:
            (line,) = [x for x in switches.read_text().splitlines() if x.startswith("voluntary")]
            return int(line.split()[1])

        def sleeps(seconds: float) -> bool:
            before = woken()
            time.sleep(seconds)
            return woken() == before

        assert ask(tmp_path, "flush", {}) == {}
        wait_for(lambda: sleeps(0.05))
        assert sleeps(1.0)
        assert not daemon.control.stuck


# The other side


class Peer:
    """Somebody else on the socket, who says `text` to whoever comes."""

    def __init__(self, runtime: Path, text: bytes | None) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(runtime / "control.sock"))
        self._listening.listen()
        self._text, self._end = text, threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Peer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(SOON)
        self._listening.close()

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        with client:
            client.recv(4096)
            if self._text is None:
                self._end.wait(SOON)
            else:
                client.sendall(self._text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "scribed gave no answer on"),
        (b'{"ok": tr', "scribed gave an answer that is none"),
        (b'{"ok": true, "result": 5}\n', "scribed gave an answer that is none"),
        (b'{"ok": false}\n', "scribed gave an answer that is none"),
        (b'"hello"\n', "scribed gave an answer that is none"),
        (b"\xff\n", "scribed gave an answer that is none"),
    ],
)
def test_an_answer_that_is_none_is_said_to_be(tmp_path: Path, text: bytes, why: str) -> None:
    with Peer(tmp_path, text), pytest.raises(ScribedError, match=why):
        ask(tmp_path, "state", {})


def test_the_asker_does_not_wait_for_ever(tmp_path: Path) -> None:
    with Peer(tmp_path, None), pytest.raises(ScribedError, match=r"no answer on .* within 0\.2 s"):
        ask(tmp_path, "state", {}, timeout_s=0.2)


def test_the_end_of_the_control_thread_is_told(tmp_path: Path) -> None:
    mailbox: Mailbox[Any] = Mailbox()
    control = Control(runtime=tmp_path, supervisor=mailbox)
    control.start()
    control.inbox.put(Stop())
    assert mailbox.get(SOON) == Finished("control")
    control.join(SOON)
    control.inbox.close()
    mailbox.close()
    assert list(tmp_path.iterdir()) == []
