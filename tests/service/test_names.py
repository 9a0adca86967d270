"""Who the daemon is, where nobody said it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.config import Config
from scribed.configfile import parse
from scribed.service.names import (
    STOCK_NAMES,
    identity,
    instance_of,
    new_id,
    robot_of,
    runtime_directory,
    state_directory,
    unit_of,
)

MACHINE = "0123456789abcdef"
LEVEL = re.compile("[a-z0-9_-]+")


def config(text: str = "") -> Config:
    return parse(text, {})[0]


# The robot


@pytest.mark.parametrize(
    ("host", "robot"),
    [
        ("r7", "r7"),
        ("R7.example.org", "r7"),
        ("Max's robot", "max-s-robot"),
        ("-r_7-", "r_7"),
        ("raspberrypi-kitchen", "raspberrypi-kitchen"),
    ],
)
def test_a_robot_is_called_as_its_machine(host: str, robot: str) -> None:
    assert robot_of(host, MACHINE) == robot


@pytest.mark.parametrize("host", ["raspberrypi", "Ubuntu", "jetson.local", "localhost", "debian"])
def test_a_name_that_came_with_the_image_gets_six_digits_of_the_machine(host: str) -> None:
    assert robot_of(host, MACHINE) == f"{host.lower().split('.')[0]}-012345"


@pytest.mark.parametrize("host", ["", ".", "日本"])
def test_a_machine_without_a_usable_name_is_a_robot_with_six_digits(host: str) -> None:
    assert robot_of(host, MACHINE) == "robot-012345"


@given(st.text())
def test_whatever_the_host_is_called_the_robot_is_one_level_of_a_topic(host: str) -> None:
    robot = robot_of(host, MACHINE)
    assert LEVEL.fullmatch(robot)
    assert robot not in STOCK_NAMES


# The instance


@pytest.mark.parametrize(
    ("path", "instance"),
    [
        (None, "default"),
        ("/etc/scribed/scribed.toml", "default"),
        ("scribed.toml", "default"),
        ("/etc/scribed/front.toml", "front"),
        ("/etc/scribed/Front Left.toml", "front-left"),
        ("/home/me/ear.test.toml", "ear-test"),
        ("/dev/null", "null"),
        ("/etc/scribed/日本.toml", "default"),
    ],
)
def test_an_instance_is_called_as_its_configuration_file(path: str | None, instance: str) -> None:
    assert instance_of(None if path is None else Path(path)) == instance


def test_each_instance_has_its_own_state() -> None:
    home = {"HOME": "/home/me"}
    assert state_directory("front", home) == Path("/home/me/.local/state/scribed/front")
    xdg = {"XDG_STATE_HOME": "/var/me", **home}
    assert state_directory("front", xdg) == Path("/var/me/scribed/front")
    systemd = {"STATE_DIRECTORY": "/var/lib/scribed/front:/var/lib/other", **xdg}
    assert state_directory("front", systemd) == Path("/var/lib/scribed/front")


def test_each_instance_has_its_own_place_for_what_does_not_outlive_the_boot() -> None:
    home = {"HOME": "/home/me"}
    assert runtime_directory("front", home) == Path("/home/me/.local/state/scribed/front/run")
    own = {"STATE_DIRECTORY": "/srv/ear", **home}
    assert runtime_directory("front", own) == Path("/srv/ear/run")
    xdg = {"XDG_RUNTIME_DIR": "/run/user/1000", **home}
    assert runtime_directory("front", xdg) == Path("/run/user/1000/scribed/front")
    systemd = {"RUNTIME_DIRECTORY": "/run/scribed/front:/run/other", **xdg}
    assert runtime_directory("front", systemd) == Path("/run/scribed/front")
    empty = {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "", **home}
    assert runtime_directory("front", empty) == runtime_directory("front", home)


def test_each_instance_is_a_unit_of_its_own() -> None:
    assert (unit_of("default"), unit_of("front")) == ("scribed", "scribed@front")


def test_without_a_home_there_is_still_a_place() -> None:
    assert state_directory("front", {}).is_absolute()


# Who it is


def test_without_a_word_of_configuration_everything_has_a_name() -> None:
    who = identity(config(), "default")
    assert who.robot == robot_of(socket.gethostname(), who.client_id[-6:])
    assert who.source == "mic"
    assert who.base == f"scribed/{who.robot}/mic"
    assert re.fullmatch(rf"scribed-{who.robot}-mic-[0-9a-f]{{6}}", who.client_id)
    assert who.boot_id


def test_another_instance_is_another_source() -> None:
    assert identity(config(), "front").source == "front"


def test_what_is_configured_counts() -> None:
    text = """
    robot = {id = "r7", source = "head"}
    mqtt = {topic = "fleet/{source}/ears/{robot}", client_id = "ear-7"}
    """
    who = identity(config(text), "front")
    assert (who.robot, who.source) == ("r7", "head")
    assert (who.base, who.client_id) == ("fleet/head/ears/r7", "ear-7")


def test_a_topic_needs_no_names_in_it() -> None:
    assert identity(config('mqtt.topic = "ear"'), "default").base == "ear"


def test_one_machine_has_one_client_id_and_each_run_its_own_id() -> None:
    one, other = (identity(config(), "default") for _ in range(2))
    assert one.client_id == other.client_id
    assert one.run_id != other.run_id
    assert one.boot_id == other.boot_id


def test_the_machines_own_id_is_not_told() -> None:
    path = Path("/etc/machine-id")
    if not path.exists() or not path.read_text().strip():
        pytest.skip("this machine has no id")
    assert path.read_text().strip()[:6] != identity(config(), "default").client_id[-6:]


def test_the_unit_may_pass_the_boots_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIBED_BOOT_ID", "b00t")
    assert identity(config(), "default").boot_id == "b00t"


def test_ids_of_utterances_are_new_each_time_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", each) for each in ids)
    assert [each[:10] for each in ids] == sorted(each[:10] for each in ids)
