"""What users and machines get wrong: one clear line, the right status or state, no traceback."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from scribed.simulate.tls import throw_away
from tests.e2e import contract
from tests.e2e.conftest import said
from tests.e2e.recordings import write_wav
from tests.e2e.witness import WatchedRobot, assert_accounted, assert_no_traceback
from tests.parts import robot as parts
from tests.parts.asound import Asound
from tests.parts.broker import Broker
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import KEY, Robot, silence, toml

STDIN: dict[str, dict[str, Any]] = {"audio": {"source": "stdin"}}
PASSWORD = "pw-9d1f0c"


def run(
    directory: Path,
    sections: dict[str, dict[str, Any]],
    text: str = "",
    *,
    configuration: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the daemon on a configuration that ends it; `text` is added to its file."""
    (path := directory / "scribed.toml").write_text(toml(sections) + text, "utf-8")
    ran = subprocess.run(
        parts.command(configuration or path),
        env=Robot(directory, {}).environment | environment,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert_no_traceback(ran.stderr)
    assert KEY not in ran.stderr + ran.stdout
    return ran


def wait_for_alert(robot: Robot, code: str) -> dict[str, Any]:
    """The alert, as a late subscriber would find it, and as the contract has it."""
    robot.wait_for(lambda: robot.alert(code))
    contract.check(robot.on(f"alert/{code}")[-1])
    alert = robot.alert(code)
    assert alert is not None
    assert alert["code"] == code
    assert alert["remedy"]
    return alert


def lines_with(robot: Robot, words: str) -> list[str]:
    return [line for line in robot.log.splitlines() if words in line]


# The configuration


WRONG = {
    "a mistyped key": (
        "[vad]\nhangover = 300",
        ["vad.hangover: unknown key; did you mean vad.hangover_ms?"],
    ),
    "a key in the wrong section": (
        '[audio]\nhost = "broker"',
        ["audio.host: unknown key here; did you mean mqtt.host?"],
    ),
    "out of range": (
        "[vad]\naggressiveness = 4",
        ["vad.aggressiveness: 4 is not allowed; it is a whole number from 0 to 3"],
    ),
    "a word for a number": (
        '[mqtt]\nport = "1883"',
        ['mqtt.port: "1883" is not allowed; it is a whole number from 1 to 65535'],
    ),
    "several at once": (
        "[vad]\nhangover = 300\nstart_ms = 5\n[log]\nlevel = 'loud'",
        [
            "vad.hangover: unknown key; did you mean vad.hangover_ms?",
            "vad.start_ms: 5 is not allowed; it is a whole number from 10 to 1000",
            'log.level: "loud" is not allowed; one of "debug", "info", "warning", "error"',
        ],
    ),
    "an authority that is not there": (
        '[provider]\nca_file = "/nonexistent/ca.pem"',
        [
            "provider.ca_file: /nonexistent/ca.pem cannot be used (no such file or directory); "
            "name a PEM file with the authority's certificate"
        ],
    ),
    "an endpoint without encryption": (
        '[provider]\nurl = "ws://speech.example"',
        [
            "provider.url: ws:// would send speech and key unencrypted to speech.example; "
            "use wss://, ws:// is for a loopback address only"
        ],
    ),
}


@pytest.mark.parametrize(("text", "problems"), WRONG.values(), ids=WRONG)
def test_a_wrong_configuration_is_told_in_full_and_nothing_starts(
    tmp_path: Path, text: str, problems: list[str]
) -> None:
    ran = run(tmp_path, {}, text)
    assert ran.returncode == 78
    assert ran.stderr.splitlines() == [f"scribed: {problem}" for problem in problems]
    assert ran.stdout == ""
    assert not (tmp_path / "state").exists()


def test_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    ran = run(tmp_path, {}, "[vad\n")
    assert ran.returncode == 78
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"scribed: {tmp_path / 'scribed.toml'}: not valid TOML: ")
    assert "line 2" in line


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, {}, configuration=tmp_path / "nowhere.toml")
    assert ran.returncode == 78
    line = f"scribed: {tmp_path / 'nowhere.toml'} cannot be read: No such file or directory"
    assert ran.stderr.splitlines() == [line]


def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, STDIN, STATE_DIRECTORY="/dev/null/state")
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("scribed: the state directory /dev/null/state cannot be used: ")


def test_an_authority_s_file_that_holds_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate\n")
    ran = run(tmp_path, {"provider": {"ca_file": tmp_path / "ca.pem"}})
    assert ran.returncode == 78
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"scribed: provider.ca_file: {tmp_path / 'ca.pem'} cannot be used (")


def test_a_wrong_configuration_leaves_the_last_good_one_in_use(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, STDIN | {"provider": {"url": cloud.url}}) as robot:
        robot.wait_for(lambda: robot.status == "online")
        assert robot.stop()[0] == 0
        robot.sections["vad"] = {"hangover": 300}
        robot.start()
        alert = wait_for_alert(robot, "config_invalid")
        assert "vad.hangover: unknown key; did you mean vad.hangover_ms?" in alert["message"]
        assert str(robot.configuration) in alert["remedy"]
        assert len(lines_with(robot, "vad.hangover_ms?; uses the last good")) == 1
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        robot.wait_for_texts(1)  # it hears all the same
        assert robot.stop()[0] == 0
        del robot.sections["vad"]
        robot.start()
        robot.wait_for(lambda: robot.alert("config_invalid") is None)
        assert robot.stop()[0] == 0


# The credential


def test_without_a_key_it_runs_and_says_where_to_put_one(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    with WatchedRobot(tmp_path, STDIN | {"provider": {"url": cloud.url}}, key=None) as robot:
        alert = wait_for_alert(robot, "auth_failed")
        for place in ("elevenlabs-api-key", "provider.key_file", "ELEVENLABS_API_KEY"):
            assert place in alert["message"]
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        robot.wait_for(lambda: robot.state.get("state") == "refused")
        assert robot.state["link"]["state"] == "refused"
        assert robot.state["hearing"] is True
        assert len(lines_with(robot, "link down: no API key")) == 1
        assert len(lines_with(robot, "alert auth_failed: no API key")) == 1
        assert robot.stop()[0] == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        assert list(assert_accounted(robot).values()) == ["waiting"]
    assert cloud.connections == 0


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    sections = STDIN | {"provider": {"key_file": tmp_path / "key"}}
    with WatchedRobot(tmp_path, sections, key=None) as robot:
        robot.secrets.append(KEY)
        alert = wait_for_alert(robot, "auth_failed")
        assert f"chmod 600 {tmp_path / 'key'}" in alert["message"]
        assert robot.stop()[0] == 0, robot.log


@pytest.mark.parametrize("with_http", [True, False], ids=["HTTP 401", "auth_error"])
def test_a_refused_key_is_a_state_with_a_slow_retry(
    tmp_path: Path, command: bytes, with_http: bool
) -> None:
    with Server(
        recognizer=Script(["go"]), key="the right one", refuse_with_http=with_http
    ) as server:
        sections = STDIN | {"provider": {"url": server.url}, "retry": {"refused_s": 2.0}}
        with WatchedRobot(tmp_path, sections) as robot:
            robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
            alert = wait_for_alert(robot, "auth_failed")
            assert ("401" if with_http else "auth_error") in alert["message"]
            robot.wait_for(lambda: robot.state["state"] == "refused")
            assert robot.state["link"]["state"] == "refused"
            assert robot.state["link"]["last_error"] == alert["message"]
            robot.speak(command + silence(0.8), pace=4.0)  # speaking does not hurry it
            robot.wait_for(lambda: len(server.sessions) == 2)
            first, second = server.sessions
            assert second.opened_at - first.opened_at > 1.9
            assert robot.stop()[0] == 0, robot.log
            robot.wait_for(lambda: robot.status == "offline")
            assert set(assert_accounted(robot).values()) == {"waiting"}


def test_a_key_file_that_is_put_there_later_is_found(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    key = tmp_path / "key"
    sections = STDIN | {
        "provider": {"url": cloud.url, "key_file": key},
        "retry": {"refused_s": 1.0},
    }
    with WatchedRobot(tmp_path, sections, key=None) as robot:
        robot.secrets.append(KEY)
        assert (
            f"provider.key_file: {key} cannot be read"
            in wait_for_alert(robot, "auth_failed")["message"]
        )
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        key.touch(0o600)
        key.write_text(f"{KEY}\n")
        robot.wait_for_texts(1)
        robot.wait_for(lambda: robot.alert("auth_failed") is None)
        assert robot.stop()[0] == 0, robot.log
    assert cloud.requests[0].headers["xi-api-key"] == KEY


def test_a_service_that_repeats_the_key_does_not_get_it_into_log_or_topics(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    refusal = {"message_type": "auth_error", "error": f"the key {KEY} is not valid"}
    cloud.always = Behaviour(greeting=[refusal])
    with WatchedRobot(tmp_path, STDIN | {"provider": {"url": cloud.url}}) as robot:
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        alert = wait_for_alert(robot, "auth_failed")
        assert alert["message"] == "auth_error: the key *** is not valid"
        robot.wait_for(lambda: robot.link.get("last_error"))
        assert robot.stop()[0] == 0, robot.log


def test_a_certificate_that_nobody_vouches_for_is_told_and_the_key_not_sent(
    tmp_path: Path, command: bytes
) -> None:
    (directory := tmp_path / "tls").mkdir()
    context, authority = throw_away(directory, host="localhost")
    with Server(recognizer=Script(["go"]), tls=context) as server:
        sections = STDIN | {"provider": {"url": server.url}}
        with WatchedRobot(tmp_path, sections) as robot:
            robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
            robot.wait_for(lambda: robot.state.get("link", {}).get("last_error"))
            assert "the certificate is not trusted" in robot.state["link"]["last_error"]
            assert "provider.ca_file" in robot.state["link"]["last_error"]
            assert robot.stop()[0] == 0, robot.log
            assert server.stats.connections == 0
            robot.sections["provider"]["ca_file"] = authority
            robot.start()
            robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
            robot.wait_for_texts(1)
            assert robot.stop()[0] == 0, robot.log


# The microphone


def test_a_device_that_does_not_exist_is_answered_with_those_that_do(
    cloud: Cloud, tmp_path: Path, asound: Asound
) -> None:
    asound.card("Desk")
    asound.fault("arm")
    sections = {"audio": {"device": "mic2"}, "provider": {"url": cloud.url}}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        alert = wait_for_alert(robot, "no_device")
        assert 'audio.device: no capture device "mic2"; there are: ' in alert["message"]
        assert "card:Desk" in alert["message"]
        assert "arm" in alert["message"]
        robot.wait_for(lambda: robot.state.get("hearing") is False)
        assert (robot.state["hearing_reason"], robot.state["state"]) == ("no_device", "no_device")
        assert len(lines_with(robot, "no microphone")) == 1
        assert robot.stop()[0] == 0, robot.log


def test_a_microphone_that_is_plugged_in_later_is_heard(
    cloud: Cloud, tmp_path: Path, asound: Asound
) -> None:
    device = asound.fault("mic")
    device.on("unplugged")
    sections = {"audio": {"device": "mic"}, "provider": {"url": cloud.url}}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        wait_for_alert(robot, "no_device")
        device.off("unplugged")
        robot.wait_for(lambda: robot.alert("no_device") is None)
        robot.wait_until_it_hears()
        robot.wait_for(lambda: robot.events("device_found") == [{"device": "mic"}])
        assert robot.stop()[0] == 0, robot.log


def test_the_alert_says_why_there_is_no_microphone_now(
    cloud: Cloud, tmp_path: Path, asound: Asound
) -> None:
    device = asound.fault("mic")
    device.on("unplugged")
    sections = {"audio": {"device": "mic"}, "provider": {"url": cloud.url}}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        assert "no capture device" in wait_for_alert(robot, "no_device")["message"]
        device.on("busy")
        device.off("unplugged")
        robot.wait_for(lambda: "in use by another" in (robot.alert("no_device") or {})["message"])
        device.off("busy")
        robot.wait_for(lambda: robot.alert("no_device") is None)
        assert len(lines_with(robot, "no microphone")) == 2
        assert robot.stop()[0] == 0, robot.log


def test_a_rate_that_the_device_refuses_is_told_with_those_that_it_has(
    cloud: Cloud, tmp_path: Path, asound: Asound
) -> None:
    asound.card("Mic", rates=[44_100, 48_000])
    sections: dict[str, dict[str, Any]] = {
        "audio": {"device": "hw:CARD=Mic", "rate": 16_000},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        alert = wait_for_alert(robot, "no_device")
        assert 'audio.rate: "hw:CARD=Mic" does not take 16000 Hz' in alert["message"]
        assert "it has 44100, 48000" in alert["message"]
        assert robot.stop()[0] == 0, robot.log


def not_a_wav(path: Path) -> None:
    path.write_bytes(b"ID3\x04 this is no WAV file at all")


def a_law(path: Path) -> None:
    write_wav(path, bytes(3200))
    content = bytearray(path.read_bytes())
    content[20:22] = (6).to_bytes(2, "little")
    path.write_bytes(content)


WAVS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no sound": (not_a_wav, "cannot be read: that is no sound that ffmpeg knows"),
    "A-law": (a_law, "holds A-law"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "a directory": (lambda path: path.mkdir(), "is no file; pipes belong to stdin"),
    "missing": (lambda path: None, "cannot be opened: No such file or directory"),
}


@pytest.mark.parametrize(("make", "problem"), WAVS.values(), ids=WAVS)
def test_a_file_of_the_wrong_kind_ends_it_with_one_line(
    cloud: Cloud, tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    make(path := tmp_path / "speech.wav")
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "file", "path": path},
        "provider": {"url": cloud.url},
    }
    with WatchedRobot(tmp_path, sections) as robot:
        assert robot.process.wait(20) == 1
        (line,) = lines_with(robot, "ERROR")
        assert f'audio.path: "{path}' in line
        assert problem in line


def test_a_closed_standard_input_ends_it_with_one_line(cloud: Cloud, tmp_path: Path) -> None:
    program = ("sh", "-c", 'exec "$@" <&-', "sh")
    with WatchedRobot(tmp_path, STDIN | {"provider": {"url": cloud.url}}, program=program) as robot:
        assert robot.process.wait(20) == 1
        (line,) = lines_with(robot, "ERROR")
        assert "audio.source: standard input is closed" in line


def test_a_terminal_is_no_microphone(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        ran = run(tmp_path, STDIN, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert ran.returncode == 1
    (line,) = [line for line in ran.stderr.splitlines() if "ERROR" in line]
    assert "standard input is a terminal; pipe raw s16le into it, as in: arecord" in line


# The broker


def test_a_refused_password_is_one_clear_line_and_heals(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    (home := tmp_path / "broker").mkdir()
    (password := tmp_path / "password").write_text(f"{PASSWORD}-mistyped\n")
    password.chmod(0o600)
    sections = STDIN | {
        "provider": {"url": cloud.url},
        "mqtt": {"username": "robot", "password_file": password},
    }
    broker = Broker(home, passwords={"robot": PASSWORD}, persistence=True)
    with broker, WatchedRobot(tmp_path, sections, broker=broker, user=("robot", PASSWORD)) as robot:
        robot.secrets.append(PASSWORD)
        robot.wait_for(lambda: "mqtt.password_file" in robot.log)
        robot.speak(silence(0.3) + command + silence(0.8), pace=4.0)
        cloud.wait_for(lambda: len(cloud.commits) == 1)  # it hears all the same
        assert robot.process.poll() is None
        assert len(lines_with(robot, "WARNING delivery")) == 1
        assert robot.on("status", "transcript") == []
        broker.stop()
        accepting = Broker(
            home, port=broker.port, passwords={"robot": f"{PASSWORD}-mistyped"}, persistence=True
        )
        robot.subscriber.become("robot", f"{PASSWORD}-mistyped")

        def hears() -> bool:
            """A pipe that has been quiet is no hearing, and that is looked at now and then."""
            robot.speak(silence(0.1))
            return robot.state.get("hearing") is True

        with accepting:
            robot.wait_for(lambda: robot.status == "online")
            robot.wait_for_texts(1)
            robot.wait_for(hears)
            robot.wait_for(lambda: not robot.alert("mqtt_denied"))
            assert robot.stop()[0] == 0, robot.log


def test_a_corrected_password_counts_from_the_next_start(cloud: Cloud, tmp_path: Path) -> None:
    (home := tmp_path / "broker").mkdir()
    (password := tmp_path / "password").write_text("mistyped\n")
    password.chmod(0o600)
    sections = STDIN | {
        "provider": {"url": cloud.url},
        "mqtt": {"username": "robot", "password_file": password},
    }
    broker = Broker(home, passwords={"robot": PASSWORD})
    with broker, WatchedRobot(tmp_path, sections, broker=broker, user=("robot", PASSWORD)) as robot:
        robot.secrets.append(PASSWORD)
        robot.wait_for(lambda: "mqtt.password_file" in robot.log)
        assert robot.stop()[0] == 0, robot.log
        password.write_text(f"{PASSWORD}\n")
        robot.start()
        robot.wait_for(lambda: robot.status == "online")
        robot.wait_for(lambda: robot.state)
        assert robot.stop()[0] == 0, robot.log


def test_every_message_of_a_troubled_daemon_is_as_the_contract_has_it(
    cloud: Cloud, tmp_path: Path, asound: Asound, command: bytes
) -> None:
    (audio := tmp_path / "mic.raw").write_bytes(silence(0.5) + command + silence(1.0))
    device = asound.fault("mic", audio=audio)
    device.on("unplugged")
    cloud.always.answer = lambda heard: "..." if len(cloud.commits) == 1 else said(heard)
    sections = {"audio": {"device": "mic"}, "provider": {"url": cloud.url}}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        wait_for_alert(robot, "no_device")
        device.off("unplugged")
        robot.wait_for(lambda: robot.on("ended"))
        assert robot.on("ended")[0].payload["outcome"] == "no_speech"
        device.on("unplugged")
        robot.wait_for(lambda: robot.events("device_lost"))
        assert robot.stop()[0] == 0, robot.log
        robot.wait_for(lambda: robot.status == "offline")
        for message in robot.subscriber.received:
            contract.check(message)
