"""`scribed retire`: what a robot has left at a real broker, and what is not its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.cli.retire import Remains, remains
from scribed.config import Mqtt
from scribed.delivery.bases import Bases
from scribed.delivery.events import Heard
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Subscriber
from tests.cli.shell import COMMAND, Said, Shell
from tests.delivery.peers import Robot
from tests.parts.choosy import choosy

BASES = Bases(Mqtt().topic)
LEFT = {
    "scribed/r7/mic/status": "offline",
    "scribed/r7/mic/state": "{}",
    "scribed/r7/mic/muted": "OFF",
    "scribed/r7/mic/alert/quota": "{}",
    "scribed/r7/front/status": "offline",
    "scribed/r7/front/cmd/mute": "ON",
    "homeassistant/device/scribed-r7/mic/config": "{}",
}
OTHERS = {
    "scribed/r70/mic/status": "online",
    "scribed/r7/mic/map": "png",
    "scribed/r7/status": "online",
    "homeassistant/device/scribed-r70/mic/config": "{}",
}


class Site:
    """A broker with what robots left there."""

    def __init__(self, broker: Broker, robot: Robot, shell: Shell) -> None:
        self.broker, self._robot, self._shell = broker, robot, shell

    def keeps(self, topics: dict[str, str]) -> None:
        """Retain these."""
        for topic, payload in topics.items():
            self._robot.publish(topic, payload, retain=True)

    def kept(self) -> set[str]:
        """What is retained now, by whole topics."""
        return self._kept("scribed") | self._kept("homeassistant")

    def _kept(self, root: str) -> set[str]:
        with Subscriber(self.broker.port, root) as subscriber:
            self._robot.publish(f"{root}/last", b"")
            assert subscriber.wait_for(lambda: subscriber.on("last"), 10)
            return {f"{root}/{each.topic}" for each in subscriber.received if each.retained}

    def retire(self, *words: str) -> Said:
        """Run the command."""
        port = str(self.broker.port)
        return self._shell.scribed("retire", *words, "--host", "127.0.0.1", "--port", port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (home := tmp_path / "broker").mkdir()
    with Broker(home) as broker, Robot(broker.port) as robot:
        site = Site(broker, robot, Shell(tmp_path))
        site.keeps(LEFT | OTHERS)
        yield site


# What is whose


def test_only_what_is_retained_and_the_robots_and_scribeds_is_taken_away() -> None:
    heard = [Heard(topic, text.encode(), retained=True) for topic, text in (LEFT | OTHERS).items()]
    heard.append(Heard("scribed/r7/mic/speech", b"{}"))
    device = "homeassistant/device/scribed-r7/+/config"
    assert remains(heard, BASES, "r7", None, device) == Remains(
        tuple(sorted(LEFT)), ("scribed/r7/mic/map",), ()
    )
    assert remains(heard, BASES, "r7", "front", device.replace("+", "front")).ours == (
        "scribed/r7/front/cmd/mute",
        "scribed/r7/front/status",
    )
    assert remains(heard, BASES, "r70", None, device).online == ("scribed/r70/mic",)


# At a broker


def test_a_robot_is_taken_away_with_all_its_microphones_and_nothing_else(site: Site) -> None:
    said = site.retire("r7")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "left alone, as it is not scribed's: scribed/r7/mic/map",
        *(f"emptied {topic}" for topic in sorted(LEFT)),
    ]
    assert site.kept() == set(OTHERS)
    again = site.retire("r7")
    assert (again.status, again.out.splitlines()[-1]) == (
        0,
        "nothing of r7 is retained on scribed/r7/+/# and homeassistant/device/scribed-r7/+/config",
    )


def test_one_microphone_goes_alone(site: Site) -> None:
    assert site.retire("r7", "--source", "front").status == 0
    assert site.kept() == {t for t in LEFT | OTHERS if "/front/" not in t}


def test_a_dry_run_says_what_it_would_do(site: Site) -> None:
    said = site.retire("r7", "--dry-run")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[1:] == [f"would empty {topic}" for topic in sorted(LEFT)]
    assert site.kept() == set(LEFT | OTHERS)


def test_one_that_is_online_is_left_unless_it_is_forced(site: Site) -> None:
    site.keeps({"scribed/r7/mic/status": "online"})
    for words in (["r7"], ["r7", "--dry-run"]):
        said = site.retire(*words)
        assert said.status == 1
        assert "scribed/r7/mic is online: stop its daemon" in said.err
    assert site.kept() == set(LEFT | OTHERS)
    assert site.retire("r7", "--force").status == 0
    assert site.kept() == set(OTHERS)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_does_not_let_go_is_said(tmp_path: Path, protocol: str) -> None:
    shell = Shell(tmp_path)
    (home := tmp_path / "broker").mkdir()
    acl = "topic read #\nuser robot\ntopic readwrite #\nuser eye\ntopic read #\n"
    acl += "topic write scribed/r7/mic/state\n"
    words = {"robot": "a", "eye": "b"}
    with Broker(home, passwords=words, acl=acl) as broker:
        with Robot(broker.port, user="robot", password="a") as robot:
            for name in ("state", "status"):
                robot.says(name, b"offline", retain=True)
        configured = f"[mqtt]\nhost = '127.0.0.1'\nport = {broker.port}\nusername = 'eye'\n"
        configured += f"protocol = '{protocol}'\n"
        configured += f"password_file = '{shell.write('word', 'b')}'\n"
        file = shell.write("scribed.toml", configured)
        said = shell.scribed("retire", "r7", "-c", file)
    assert said.status == 1
    assert "emptied scribed/r7/mic/state\n" in said.out
    why = "not authorized" if protocol == "5" else "it is still there"
    assert f"NOT emptied: scribed/r7/mic/status ({why}" in said.out


def test_a_broker_that_does_not_let_us_look_for_a_device_lets_go_of_the_rest(
    tmp_path: Path,
) -> None:
    (home := tmp_path / "broker").mkdir()
    with choosy(home, "scribed/#") as broker, Robot(broker.port) as robot:
        site = Site(broker, robot, Shell(tmp_path))
        site.keeps({"scribed/r7/mic/status": "offline"})
        said = site.retire("r7")
        assert (said.status, said.out) == (0, "emptied scribed/r7/mic/status\n")
        assert said.err == (
            "scribed: a device in Home Assistant was not looked for: the broker does not let this "
            "user read homeassistant/device/scribed-r7/+/config (not authorized); see its ACL\n"
        )
        assert "nothing of r7 is retained on scribed/r7/+/#\n" in site.retire("r7").out
    with choosy(home, "homeassistant/#") as closed:
        words = ["--host", "127.0.0.1", "--port", str(closed.port)]
        said = Shell(tmp_path).scribed("retire", "r7", *words)
        assert said.status == 1
        assert "does not let this user read scribed/r7/+/#" in said.err


def test_what_stands_in_a_topic_does_not_reach_the_terminal_raw(site: Site) -> None:
    site.keeps({"scribed/r7/mic/alert/\u202etxet": "{}"})
    assert "emptied scribed/r7/mic/alert/\ufffdtxet\n" in site.retire("r7").out


# What cannot be meant


@pytest.mark.parametrize("words", [[], ["R7"], ["r7/mic"], ["+"], ["r7", "--source", "#"]])
def test_what_is_no_robot_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    assert Shell(tmp_path).scribed("retire", *words).status == 2


@pytest.mark.parametrize(
    ("topic", "said"),
    [("site/{source}", "there is no {robot}"), ("site/{robot}", "there is no {source}")],
)
def test_topics_that_do_not_say_whose_they_are_are_no_ground(
    tmp_path: Path, topic: str, said: str
) -> None:
    done = Shell(tmp_path).scribed("retire", "r7", "--source", "mic", "--topic", topic)
    assert (done.status, said in done.err) == (1, True)


def test_a_broker_that_is_not_there_is_said_in_terms_of_the_options(tmp_path: Path) -> None:
    said = Shell(tmp_path).scribed("retire", "r7", "--host", "127.0.0.1", "--port", "1")
    assert said.status == 1
    assert said.err == (
        "scribed: nothing listens on 127.0.0.1 port 1; start the broker, or correct --host, "
        "--port\n"
    )


def test_a_password_may_come_from_standard_input(tmp_path: Path) -> None:
    (home := tmp_path / "broker").mkdir()
    with Broker(home, passwords={"eye": "s3cret"}) as broker:
        words = ["--host", "127.0.0.1", "--port", str(broker.port), "--user", "eye"]
        done = subprocess.run(
            [*COMMAND, "retire", "r7", *words, "--password-file", "-"],
            env=Shell(tmp_path).environ,
            input="s3cret\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
