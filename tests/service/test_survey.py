"""The devices are listed by a process of its own, which may fail and hang."""

from __future__ import annotations

import os
import sys

import pytest

from scribed.model import CommandError
from scribed.service import survey as surveying
from scribed.service.survey import survey


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_it_prints_is_the_answer() -> None:
    said = survey([sys.executable, "-m", "scribed", "devices", "--json"])
    assert isinstance(said, dict)
    assert said.keys() == {"devices", "pcms"}


def test_it_gets_no_secret_and_no_socket_of_systemd_s() -> None:
    os.environ["ELEVENLABS_API_KEY"] = os.environ["NOTIFY_SOCKET"] = "not-for-you"
    try:
        said = survey(python("import json, os; print(json.dumps(dict(os.environ)))"))
    finally:
        del os.environ["ELEVENLABS_API_KEY"], os.environ["NOTIFY_SOCKET"]
    assert isinstance(said, dict)
    assert "not-for-you" not in said.values()
    assert said["PATH"] == os.environ["PATH"]


def test_one_that_hangs_is_ended() -> None:
    said = survey(python("import time; print(1, flush=True); time.sleep(60)"), within_s=0.3)
    assert said == CommandError("failed", "the sound system did not answer within 0.3 s")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit('no libasound')", "no libasound"),
        ("print('[1]')", "it said nothing"),
        (
            "import sys; sys.exit('audio.device: it hangs\\nFatal Python error')",
            "audio.device: it hangs",
        ),
    ],
)
def test_one_that_fails_says_why(code: str, why: str) -> None:
    said = survey(python(code))
    assert said == CommandError("failed", f"the devices cannot be listed: {why}")


def test_one_that_cannot_be_started_is_an_answer() -> None:
    said = survey(["/nowhere/python"])
    assert isinstance(said, CommandError)
    assert "No such file" in said.message
    assert surveying.SURVEY_S < 30, "delivery waits no longer for an answer"
