"""Which other stacks are spoken to, and what becomes of it when that changes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from msgspec.structs import replace as changed

from scribed.config import Echo, Mqtt, TranscriptSection
from scribed.delivery.compat import hermes
from scribed.delivery.events import Heard
from scribed.delivery.fits import HERMES_ASKS, Fits, subscriptions
from scribed.delivery.moment import Moment
from scribed.delivery.publisher import Publisher
from scribed.model import Answer, Word
from tests.delivery.peers import IDENTITY, final, started

HASS = Mqtt(home_assistant="status")
MINE = "home_assistant/homeassistant/device/scribed-r7/mic/config"


def announced(fits: Fits) -> dict[str, bool]:
    return {said.topic: bool(said.payload) for said in fits.announced()}


def test_nothing_is_subscribed_to_unless_it_is_wanted() -> None:
    assert subscriptions(Mqtt()) == ()
    assert subscriptions(HASS) == ("home_assistant/homeassistant/status",)
    assert len(subscriptions(changed(HASS, hermes=True))) == 5


def test_who_takes_another_name_is_removed_under_the_old_one() -> None:
    fits = Fits(IDENTITY, HASS)
    fits.retune(replace(IDENTITY, robot="r8"), HASS)
    assert announced(fits) == {MINE: False, MINE.replace("r7", "r8"): True}
    assert not fits.is_gone(MINE.replace("r7", "r8"))
    assert fits.is_gone(MINE)
    assert announced(fits) == {MINE.replace("r7", "r8"): True}


def test_who_comes_back_before_it_was_removed_stays() -> None:
    fits = Fits(IDENTITY, HASS)
    fits.retune(IDENTITY, Mqtt())
    assert announced(fits) == {MINE: False}
    fits.retune(IDENTITY, HASS)
    assert announced(fits) == {MINE: True}
    assert not fits.is_gone(MINE)


def test_only_its_own_birth_wakes_home_assistants_announcement() -> None:
    fits = Fits(IDENTITY, HASS)
    assert fits.is_birth(Heard("homeassistant/status", b"online"))
    assert not fits.is_birth(Heard("homeassistant/status", b"offline"))
    assert not fits.is_birth(Heard("hermes/status", b"online"))
    assert not Fits(IDENTITY, Mqtt()).is_birth(Heard("homeassistant/status", b"online"))


def test_a_reload_that_leaves_hermes_alone_keeps_its_session() -> None:
    fits = Fits(IDENTITY, Mqtt(hermes=True))
    start = b'{"siteId": "r7-mic", "sessionId": "s-1"}'
    fits.asked(Heard("hermes/asr/startListening", start))
    fits.retune(IDENTITY, Mqtt(hermes=True, ros=True))
    said = fits.speech(started(1, 0.0), active=True)
    assert said is not None
    assert b'"s-1"' in said.payload
    fits.retune(IDENTITY, Mqtt())
    assert fits.speech(started(1, 0.0), active=True) is None


def told(limit: int | None) -> tuple[Any, Publisher]:
    words = tuple(Word("a", n, n + 1) for n in range(300))
    said = Publisher(
        IDENTITY, TranscriptSection(), commands=(), echo=Echo(), mqtt=Mqtt(hermes=True)
    )
    said.take(started(1, 98.5), Moment(98.5, 0.0))
    said.take(final(1, 100.0, answer=Answer("a " * 300, words)), Moment(100.0, 1.8e9))
    said.connected(20, limit)
    said.outbox.sent(1, said.offer(Moment(100.0, 1.8e9)).parcel, 100.0)  # type: ignore[union-attr]
    return said.offer(Moment(100.0, 1.8e9)), said


def test_other_words_that_are_too_many_for_the_broker_are_left_out_and_counted() -> None:
    offer, said = told(None)
    assert len(offer.text.beside) == 1
    limit = offer.message.size
    assert offer.text.beside[0].size > limit
    offer, said = told(limit)
    assert (offer.message.topic, offer.text.beside) == ("transcript", ())
    assert said.dropped["too_large"] == 1


def test_each_of_hermes_topics_is_known_by_both_of_its_names() -> None:
    assert set(HERMES_ASKS) == {hermes.TOGGLE_ON, hermes.TOGGLE_OFF, hermes.START, hermes.STOP}
