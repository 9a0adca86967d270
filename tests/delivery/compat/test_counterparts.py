"""The real Rhasspy and the real Home Assistant take what we say, and we what they ask.

Each in an environment of its own (their dependencies are not ours), made once below the cache
directory; with no network, or no Python new enough, that is a skip that says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scribed.delivery import commands, payloads
from scribed.delivery.commands import Request
from scribed.delivery.compat.hermes import Hermes
from scribed.delivery.events import Heard
from scribed.delivery.payloads import encode
from scribed.delivery.schemas import State
from scribed.delivery.topics import ALERT_CODES
from scribed.model import Alert, Answer, Device
from tests.delivery.compat.golden import FOLDER, NOW, frozen, transcript
from tests.delivery.peers import BASE, IDENTITY, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scribed" / "fits"
INSTALL_S = 800
HOME_ASSISTANT = "homeassistant==2025.4.4"
"""The newest for the Python that Debian 13 has."""


def environment(name: str, pythons: list[str], *requirements: str) -> Path:
    """The Python of an environment that has `requirements`; made where it is not there."""
    ready, python = CACHE / name / "ready", CACHE / name / "bin" / "python"
    if ready.is_file() and ready.read_text() == " ".join(requirements):
        return python
    usable = [each for each in pythons if _runs(each)]
    if not usable:
        pytest.skip(f"{name} needs one of {', '.join(pythons)}")
    subprocess.run([usable[0], "-m", "venv", "--clear", CACHE / name], check=True, timeout=120)
    made = subprocess.run(
        [python, "-m", "pip", "install", "-q", *requirements],
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"{name} cannot be installed: {made.stderr[-300:]}")
    ready.write_text(" ".join(requirements))
    return python


def _runs(python: str) -> bool:
    found = shutil.which(python)
    if found is None:
        return False
    return not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode


def told_by(python: Path, script: str, *arguments: Path) -> Any:
    """What the counterpart says."""
    told = subprocess.run(
        [python, HERE / "counterparts" / script, FOLDER, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not told.returncode, told.stderr
    return json.loads(told.stdout)


def test_rhasspy_reads_our_text_and_we_read_what_it_asks() -> None:
    python = environment("rhasspy", ["python3"], "rhasspy-hermes==0.6.2")
    told = told_by(python, "rhasspy.py")
    assert told["read"]["payload"] == frozen("hermes_text")["payload"]
    site = Hermes(IDENTITY)
    requests = [
        commands.parse(asked, commands.COMMANDS, 0.0)
        for topic, payload in told["asks"]
        for asked in site.asked(Heard(topic, payload.encode()))
    ]
    assert all(isinstance(each, Request) for each in requests), requests
    names = [each.cmd for each in requests]
    speaking = ["robot_speaking"] * 3
    assert names == ["mute", *speaking, "mute", *speaking, *speaking, "listen", "listen"]


def test_home_assistant_takes_every_entity_and_shows_what_it_should(tmp_path: Path) -> None:
    built = sorted(str(p) for p in Path.home().glob(".pyenv/versions/3.13*/bin/python3"))
    python = environment(
        "hass", ["python3.13", *built], HOME_ASSISTANT, "paho-mqtt==2.1.0", "numpy", "av"
    )
    alert = Alert("no_device", "there is none", "plug one in")
    state = State(hearing=None, hearing_reason="ok", level_dbfs=-41.2, device=Device("plughw:1"))
    messages = {
        "transcript": encode(transcript(Answer("Turn <left>. " * 60))),
        "state": encode(payloads.state(state, IDENTITY, NOW)),
        "speech": encode(payloads.speech(started(7, 1.0), True, IDENTITY, NOW)),
        "muted": b"ON",
        "alert/+": encode(payloads.alert(alert, NOW.now, IDENTITY, NOW)),
    }
    assert alert.code in ALERT_CODES
    by_topic = tmp_path / "messages.json"
    by_topic.write_text(json.dumps({f"{BASE}/{t}": said.decode() for t, said in messages.items()}))
    shown = told_by(python, "hass.py", by_topic)
    assert shown["text.last_speech"].startswith("Turn <left>. ")
    assert len(shown["text.last_speech"]) == 255
    assert shown["text.heard"].items() >= {"event_type": "said", "seq": 7, "caution": []}.items()
    assert shown["text.heard"]["text"].endswith("<left>.")
    assert "text" not in shown["status.heard"]
    assert shown["status.hearing"] == shown["status.noise_floor"] == "None"
    assert shown["status.level"] == "-41.2"
    assert shown["status.alert"]["remedy"] == "plug one in"
    assert (shown["status.speech"], shown["status.mute"]) == ("ON", "ON")
