"""Who may do what at the brokers of docs/examples/fleet: real ones decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.delivery.topics import RULES
from tests.cli.shell import Shell
from tests.fleet.brokers import EXAMPLES, WORDS, Client, Fleet

MAY, MAY_NOT = "Success", "Not authorized"
TAKEN = (MAY, "No matching subscribers")
"""What a broker says to what it lets pass."""
DEVICE = "homeassistant/device/scribed-r7"


def may(client: Client, topic: str) -> bool:
    said = client.says(topic, "x")
    assert said in (*TAKEN, MAY_NOT)
    return said in TAKEN


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("r7", "scribed/r7/mic/transcript", True),
        ("r7", "scribed/r7/front/alert/quota", True),
        ("r7", "fleet/r7/bridge", True),
        ("r7", "scribed/r8/mic/transcript", False),
        ("r7", "scribed/r8/mic/cmd/mute", False),
        ("r7", "fleet/r8/bridge", False),
        ("r7", "scribed/control/mic/transcript", False),
        ("r7", "elsewhere", False),
        ("r7", "homeassistant/device/scribed-r7/mic/config", True),
        ("r7", "homeassistant/device/scribed-r8/mic/config", False),
        ("r7", "homeassistant/status", False),
        ("r7", "hermes/asr/textCaptured", False),
        ("control", "homeassistant/device/scribed-control/mic/config", False),
        ("home", "scribed/r7/mic/cmd/mute", True),
        ("home", "scribed/r7/mic/cmd/listen", False),
        ("home", "scribed/home/mic/transcript", False),
        ("home", "homeassistant/status", True),
        ("operator", "homeassistant/device/scribed-r7/mic/config", True),
        ("control", "scribed/r7/mic/cmd/mute", True),
        ("control", "scribed/r7/mic/transcript", False),
        ("control", "scribed/control/mic/transcript", False),
        ("recorder", "scribed/r7/mic/cmd/mute", False),
        ("recorder", "scribed/r7/mic/transcript", False),
        ("recorder", "scribed/recorder/mic/cmd/mute", False),
        ("dashboard", "scribed/r7/mic/cmd/mute", False),
        ("dashboard", "scribed/r7/mic/status", False),
        ("dashboard", "scribed/dashboard/mic/status", False),
    ],
)
def test_at_the_site_each_says_only_what_is_theirs_to_say(
    sites: Fleet, user: str, topic: str, allowed: bool
) -> None:
    with sites.at_site(user, "nothing") as client:
        assert may(client, topic) is allowed


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("r7", "scribed/r7/mic/transcript", True),
        ("r7", "scribed/r8/mic/transcript", False),
        ("r7", "homeassistant/device/scribed-r7/mic/config", True),
        ("r7", "homeassistant/device/scribed-r8/mic/config", False),
        ("r7", "hermes/asr/textCaptured", True),
        ("r7", "hermes/voiceActivity/r7-mic/vadUp", True),
        ("r7", "hermes/asr/toggleOff", False),
        ("stack", "hermes/asr/toggleOff", True),
        ("stack", "hermes/asr/textCaptured", False),
        ("stack", "scribed/r7/mic/cmd/mute", True),
        ("stack", "scribed/r7/mic/transcript", False),
        ("stack", "fleet/r7/bridge", False),
    ],
)
def test_on_the_robot_each_says_only_what_is_theirs_to_say(
    sites: Fleet, user: str, topic: str, allowed: bool
) -> None:
    with sites.at_edge(user, "nothing") as client:
        assert may(client, topic) is allowed


PRIVATE = ("transcript", "late", "ended", "event", "reply")


@pytest.mark.parametrize(
    ("user", "hears"),
    [
        ("control", {"status", "cmd/mute", *PRIVATE}),
        ("recorder", {"status", "cmd/mute", *PRIVATE}),
        ("dashboard", {"status"}),
        ("r8", set()),
    ],
)
def test_at_the_site_each_hears_only_what_is_theirs_to_hear(
    sites: Fleet, user: str, hears: set[str]
) -> None:
    with (
        sites.at_site(user, "#") as client,
        sites.at_site("r7", "nothing") as robot,
        sites.at_site("control", "nothing") as control,
    ):
        for name in PRIVATE:
            assert may(robot, f"scribed/r7/mic/{name}")
        assert may(control, "scribed/r7/mic/cmd/mute")
        assert may(control, "scribed/r8/mic/cmd/mute")
        assert may(robot, "scribed/r7/mic/status")
        # A message on a topic that everybody may hear comes after what came before it.
        own = "scribed/r8/mic/cmd/mute" if user == "r8" else "scribed/r7/mic/status"
        client.waits_for(lambda: client.last(own) is not None, "what is theirs")
        heard = {m.topic for m in client.received if m.topic.startswith("scribed/r7/mic/")}
        assert {topic.removeprefix("scribed/r7/mic/") for topic in heard} == hears


def test_the_operator_retires_a_robot_over_tls(fleet: Fleet, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    with fleet.at_site("r7", "nothing") as robot:
        for name in ("status", "state"):
            robot.says(f"scribed/r7/mic/{name}", "offline", retain=True)
        robot.says(f"{DEVICE}/mic/config", "{}", retain=True)
    word = shell.write("word", WORDS["operator"])
    at_site = ["--host", "127.0.0.1", "--port", str(fleet.site.port), "--ca-file", str(fleet.ca)]
    said = shell.scribed("retire", "r7", *at_site, "--user", "operator", "--password-file", word)
    assert (said.status, said.err) == (0, "")
    topics = [f"{DEVICE}/mic/config", "scribed/r7/mic/state", "scribed/r7/mic/status"]
    assert said.out == "".join(f"emptied {topic}\n" for topic in topics)
    refused = shell.scribed("retire", "r7", *at_site, "--user", "operator")
    assert refused.status == 1
    assert 'refuses the user "operator"' in refused.err


def test_what_the_bridge_carries_is_known_to_be_published() -> None:
    ours = [line for line in _bridged() if line.startswith("topic scribed/")]
    carried = {line.split("/")[3].split()[0] for line in ours if " out " in line}
    assert carried <= set(RULES)
    assert not carried & {"text", "word"}


def _bridged() -> list[str]:
    text = (EXAMPLES / "edge.conf").read_text("utf-8")
    return [line for line in text.splitlines() if line.startswith("topic ")]
