"""Which broker a command that works over MQTT means."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from scribed.cli.brokers import access, add_broker_options, in_options, robot_name
from scribed.config import Mqtt
from scribed.delivery.watch import Access
from scribed.errors import BrokerError, ScribedError


def chosen(home: Path, *words: str) -> Access:
    parser = argparse.ArgumentParser()
    add_broker_options(parser)
    return access(parser.parse_args(words), {"HOME": str(home)})


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    """The home of a user with a daemon of their own."""
    word = secret(tmp_path / "word", "s3cret\n")
    (place := tmp_path / ".config" / "scribed").mkdir(parents=True)
    (place / "scribed.toml").write_text(
        f"[mqtt]\nhost = 'site'\nport = 1884\nusername = 'ear'\npassword_file = '{word}'\n"
        "topic = 'ears/{robot}'\n"
    )
    return tmp_path


def test_without_options_it_is_the_one_of_this_machines_configuration(robot: Path) -> None:
    said = chosen(robot)
    assert (said.mqtt.host, said.mqtt.port, said.mqtt.username) == ("site", 1884, "ear")
    assert (said.mqtt.topic, said.password) == ("ears/{robot}", "s3cret")


def test_without_a_configuration_it_is_the_default(tmp_path: Path) -> None:
    assert chosen(tmp_path) == Access(Mqtt())


def test_a_host_that_is_named_is_told_nothing_of_the_configuration(robot: Path) -> None:
    assert chosen(robot, "--host", "elsewhere") == Access(Mqtt(host="elsewhere"))


def test_options_go_before_the_configuration(robot: Path) -> None:
    said = chosen(robot, "--port", "1999", "--topic", "t/{robot}/{source}")
    assert (said.mqtt.host, said.mqtt.port, said.password) == ("site", 1999, "s3cret")
    assert said.mqtt.topic == "t/{robot}/{source}"


def test_another_user_is_not_given_the_password_of_the_first(robot: Path) -> None:
    assert chosen(robot, "--user", "eye").password is None


def test_with_tls_the_port_is_that_of_tls(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    for words in (["--tls"], ["--ca-file", str(ca)]):
        said = chosen(tmp_path, "--host", "site", *words).mqtt
        assert (said.tls, said.port) == (True, 8883)
    assert chosen(tmp_path, "--host", "site", "--tls", "--port", "1").mqtt.port == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "hub:1884"], Mqtt("hub", 1884)),
        (["--broker", "hub:1884", "--tls"], Mqtt("hub", 1884, tls=True)),
        (["--host", "mqtts://hub"], Mqtt("hub", 8883, tls=True)),
        (["--host", "ws://hub/mqtt"], Mqtt("hub", 80, "websockets", "/mqtt")),
        (["--host", "ws://hub:9001"], Mqtt("hub", 9001, "websockets")),
        (["--host", "wss://hub"], Mqtt("hub", 443, "websockets", tls=True)),
        (["--host", "ws://hub", "--tls"], Mqtt("hub", 443, "websockets", tls=True)),
        (["--host", "unix:/run/mqtt.sock"], Mqtt(transport="unix", path="/run/mqtt.sock")),
    ],
)
def test_a_broker_is_named_in_one_word(tmp_path: Path, words: list[str], said: Mqtt) -> None:
    assert chosen(tmp_path, *words).mqtt == said


def test_a_certificate_of_ours_means_tls_and_its_key_must_be_private(tmp_path: Path) -> None:
    cert, key = secret(tmp_path / "cert.pem", "x"), secret(tmp_path / "key.pem", "x")
    words = ["--host", "hub", "--client-cert", str(cert)]
    assert chosen(tmp_path, *words).mqtt == Mqtt("hub", 8883, tls=True, cert_file=str(cert))
    assert chosen(tmp_path, *words, "--client-key", str(key)).mqtt.key_file == str(key)
    key.chmod(0o644)
    with pytest.raises(ScribedError, match=r"--client-key: .* is open to others"):
        chosen(tmp_path, *words, "--client-key", str(key))
    cert.chmod(0o644)
    with pytest.raises(ScribedError, match=r"--client-cert: .* is open to others"):
        chosen(tmp_path, *words)


def test_a_password_comes_from_a_private_file(tmp_path: Path) -> None:
    word = secret(tmp_path / "word", "s3cret\n")
    words = ("--host", "site", "--user", "eye", "--password-file")
    assert chosen(tmp_path, *words, str(word)).password == "s3cret"
    word.chmod(0o644)
    with pytest.raises(ScribedError, match="--password-file"):
        chosen(tmp_path, *words, str(word))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--password-file", "x"], "--password-file: whose password is it"),
        (["--topic", "scribed/#"], "--topic"),
        (["--host", ""], "--host: is empty"),
        (["--ca-file", "/nowhere"], "--ca-file: /nowhere is not a file"),
        (["--client-cert", "/nowhere"], "--client-cert: /nowhere is not a file"),
        (["--client-key", "/nowhere"], "--client-key: whose key is it"),
        (["--host", "hub:1", "--port", "2"], "--port: hub:1 has one already"),
        (["--host", "unix:/run/x", "--tls"], "--tls: a Unix socket needs none"),
        (["--host", "ftp://hub"], "is no broker; it is HOST, HOST:PORT, ws:"),
    ],
)
def test_what_cannot_be_meant_is_said_in_terms_of_the_options(
    tmp_path: Path, words: list[str], said: str
) -> None:
    with pytest.raises(ScribedError, match=said) as raised:
        chosen(tmp_path, *words)
    assert "mqtt." not in str(raised.value)


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "x"], ["--host", "a", "-c", "b"]])
def test_wrong_usage_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        chosen(tmp_path, *words)


def test_a_fault_is_said_in_options_to_whom_has_no_configuration() -> None:
    fault = BrokerError("nothing listens; correct mqtt.host, mqtt.username", denied=True)
    said = in_options(fault)
    assert (str(said), said.denied) == ("nothing listens; correct --host, --user", True)


@pytest.mark.parametrize("text", ["", "R7", "a/b", "+", "#", "r 7"])
def test_what_is_no_name_of_a_robot_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        robot_name(text)
