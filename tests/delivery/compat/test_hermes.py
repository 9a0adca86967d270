"""Hermes: what Rhasspy hears of us, and what it may ask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from scribed.delivery import commands
from scribed.delivery.commands import Request
from scribed.delivery.compat.hermes import START, STOP, TOGGLE_OFF, TOGGLE_ON, Hermes
from scribed.delivery.events import Asked, Heard
from scribed.model import Answer, Word
from tests.delivery.compat.golden import ANSWER, frozen, goldens, partial, transcript
from tests.delivery.peers import IDENTITY, uid


def says(topic: str, *, site: str | None = "r7-mic", retained: bool = False, **said: Any) -> Heard:
    payload = said if site is None else {"siteId": site, **said}
    return Heard(topic, json.dumps(payload).encode(), retained)


def means(site: Hermes, heard: Heard) -> list[tuple[str, dict[str, Any]]]:
    """The commands that it asks for, as they are read."""
    requests = [commands.parse(asked, commands.COMMANDS, 0.0) for asked in site.asked(heard)]
    assert all(isinstance(request, Request) for request in requests), requests
    return [(each.cmd, each.args) for each in requests if isinstance(each, Request)]


def speaking(reason: str, *, on: bool) -> tuple[str, dict[str, Any]]:
    arguments = {"on": on, "id": f"hermes-{reason}", "ttl_ms": None, "text": ""}
    return "robot_speaking", arguments


@pytest.mark.parametrize("name", ["hermes_text", "hermes_partial", "hermes_up", "hermes_down"])
def test_it_says_what_was_tried_on_rhasspy(name: str) -> None:
    assert goldens()[name] == frozen(name)


def captured(answer: Answer, site: Hermes | None = None) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((site or Hermes(IDENTITY)).text(transcript(answer))[1])
    return said


def test_what_the_service_does_not_know_counts_as_trusted() -> None:
    said = captured(Answer("Stop."))
    assert (said["text"], said["likelihood"]) == ("stop", 1.0)
    assert (said["asrTokens"], said["lang"]) == (None, None)


def test_words_that_do_not_make_up_the_text_are_no_tokens() -> None:
    lean = replace(ANSWER, words=ANSWER.words[:2] if ANSWER.words else None)
    assert captured(lean)["asrTokens"] is None


def test_what_is_no_word_is_no_token_and_moves_none() -> None:
    words = (
        Word("[laughter]", 0, 10),
        Word("Don't", 10, 20),
        Word("–", 20, 30),
        Word("go", 30, 40),
    )
    (tokens,) = captured(Answer("[laughter] Don't – go", words))["asrTokens"]
    assert [(t["value"], t["rangeStart"], t["rangeEnd"]) for t in tokens] == [
        ("don't", 0, 5),
        ("go", 6, 8),
    ]


def test_a_session_that_listening_began_is_named_until_it_stops() -> None:
    site = Hermes(IDENTITY)
    assert means(site, says(START, sessionId="s-1", wakewordId="porcupine")) == [
        ("listen", {"ttl_ms": None})
    ]
    said = captured(ANSWER, site)
    assert (said["sessionId"], said["wakewordId"]) == ("s-1", "porcupine")
    for payload in (site.partial(partial())[1], site.speech(uid(7), active=True)[1]):
        assert json.loads(payload)["sessionId"] == "s-1"
    assert means(site, says(STOP, sessionId="s-1")) == [("listen", {"ttl_ms": 0})]
    assert captured(ANSWER, site)["sessionId"] == uid(7)


def test_an_ear_that_is_turned_off_for_a_reason_is_on_when_that_is_over() -> None:
    site = Hermes(IDENTITY)
    for reason in ("ttsSay", "playAudio", "dialogueSession"):
        assert means(site, says(TOGGLE_OFF, reason=reason)) == [speaking(reason, on=True)]
        assert means(site, says(TOGGLE_ON, reason=reason)) == [speaking(reason, on=False)]


def test_turned_off_without_a_reason_it_is_muted() -> None:
    site = Hermes(IDENTITY)
    assert means(site, says(TOGGLE_OFF)) == [("mute", {"on": True, "purge": False})]
    assert means(site, says(TOGGLE_OFF, reason="")) == [("mute", {"on": True, "purge": False})]


def test_turned_on_without_a_reason_every_reason_is_over() -> None:
    site = Hermes(IDENTITY)
    means(site, says(TOGGLE_OFF, reason="ttsSay"))
    means(site, says(TOGGLE_OFF, reason="playAudio"))
    means(site, says(TOGGLE_ON, reason="playAudio"))
    unmuted = ("mute", {"on": False, "purge": False})
    assert means(site, says(TOGGLE_ON)) == [unmuted, speaking("ttsSay", on=False)]
    assert means(site, says(TOGGLE_ON)) == [unmuted]


def test_a_flood_of_reasons_is_bounded() -> None:
    site = Hermes(IDENTITY)
    for number in range(1000):
        site.asked(says(TOGGLE_OFF, reason=f"r{number}" * 100))
    assert len(site.asked(says(TOGGLE_ON))) == 17


def test_another_site_is_none_of_our_business() -> None:
    site = Hermes(IDENTITY)
    assert site.asked(says(TOGGLE_OFF, site="kitchen")) == []
    assert site.asked(says(TOGGLE_OFF, site=None)) == []
    assert means(Hermes(IDENTITY, "default"), says(TOGGLE_OFF, site=None))


def test_the_reply_says_what_was_asked() -> None:
    (asked,) = Hermes(IDENTITY).asked(says(TOGGLE_OFF, reason="ttsSay"))
    request = commands.parse(asked, commands.COMMANDS, 0.0)
    assert isinstance(request, Request)
    assert request.req == "hermes/asr/toggleOff"


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b'{"siteId":', b"[" * 70_000, b'"' + b"x" * 70_000]
)
def test_what_cannot_be_read_is_refused_in_words(payload: bytes) -> None:
    (asked,) = Hermes(IDENTITY).asked(Heard(TOGGLE_OFF, payload))
    assert not isinstance(commands.parse(asked, commands.COMMANDS, 0.0), Request)


def test_odd_types_are_taken_for_nothing() -> None:
    site = Hermes(IDENTITY)
    assert means(site, says(START, sessionId=7, wakewordId=["x"])) == [("listen", {"ttl_ms": None})]
    assert captured(ANSWER, site)["sessionId"] == uid(7)
    assert means(site, says(TOGGLE_OFF, reason={"a": 1}))[0][0] == "mute"


@pytest.mark.parametrize("topic", [START, STOP, TOGGLE_OFF, TOGGLE_ON])
def test_what_the_broker_kept_is_marked_and_begins_no_session(topic: str) -> None:
    site = Hermes(IDENTITY)
    (asked,) = site.asked(says(topic, sessionId="old", reason="ttsSay", retained=True))
    assert isinstance(asked, Asked)
    assert asked.retained
    assert captured(ANSWER, site)["sessionId"] == uid(7)
