"""A connection is replaced before it is too old: no word is lost, doubled or late for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from scribed.interfaces import Session
from scribed.model import Final, UtteranceEnded
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.parts.cloud import Behaviour, Cloud, heard, raw_server
from tests.uplink.rig import Rig, utterance

SOON_S = 0.3
"""The age at which these connections are replaced."""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    server = Cloud()
    yield server
    server.close()


def finals(rig: Rig, count: int) -> list[Final]:
    ends = rig.answers(count)
    assert all(isinstance(end, Final) for end in ends), ends
    return [end for end in ends if isinstance(end, Final)]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody tells."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def held_back(release: threading.Event) -> Behaviour:
    """A service whose answers come only when `release` is set."""

    def answer(audio: bytes) -> str:
        release.wait(10)
        return heard(audio)

    return Behaviour(answer=answer)


def test_speech_goes_on_over_any_number_of_connections(cloud: Cloud) -> None:
    said: list[Final] = []
    with Rig(cloud.url, rotate_s=SOON_S / 10) as rig:
        n = 0
        while rig.uplink.report.rotations < 5:
            n += 1
            rig.say(n, 0.5)
            said += finals(rig, 1)
            assert n < 5000
        assert rig.uplink.report.connects >= 6
    assert [final.answer.text for final in said] == [f"utterance {i} 8000" for i in range(1, n + 1)]
    assert {final.attempt for final in said} == {1}, "one was sent twice"
    assert len({final.provider.session_id for final in said}) >= 4


def test_without_it_a_connection_lasts(cloud: Cloud) -> None:
    with Rig(cloud.url, rotate_s=0) as rig:
        rig.say(1)
        finals(rig, 1)
        assert not [t for t in threading.enumerate() if t.name == "uplink-rotate"]
    assert cloud.connections == 1


def test_an_utterance_that_is_being_spoken_stays_where_it_was_begun(cloud: Cloud) -> None:
    heard_from: set[int] = set()

    class Watched(ElevenLabsSession):
        def receive(self, message: str | bytes, now: float) -> None:
            super().receive(message, now)
            heard_from.add(id(self))

    settings = Rig.settings(cloud.url)
    with Rig(
        cloud.url, rotate_s=SOON_S, new_session=lambda _context: Watched(settings, "k3y")
    ) as rig:
        *spoken, end = utterance(1)
        assert isinstance(end, UtteranceEnded)
        for event in spoken[:5]:
            rig.post(event)
        wait_until(lambda: len(heard_from) == 2)
        for event in [*spoken[5:], end]:
            rig.post(event)
        rig.say(2)
        first, second = finals(rig, 2)
    assert [f.answer.text for f in (first, second)] == ["utterance 1 16000", "utterance 2 16000"]
    assert (first.provider.session_id, second.provider.session_id) == ("s1", "s2")


def test_the_old_connection_lives_until_its_last_answer_is_there(cloud: Cloud) -> None:
    release = threading.Event()
    cloud.behaviours.append(held_back(release))
    with Rig(cloud.url, rotate_s=SOON_S, answer_timeout_s=10.0) as rig:
        rig.say(1)
        wait_until(lambda: rig.uplink.report.rotations == 1)
        messages = cloud.messages
        rig.say(2)
        cloud.wait_for(lambda: cloud.messages > messages)
        assert len(cloud.commits) == 1, "one commit waits for its answer, wherever it was sent"
        release.set()
        first, second = finals(rig, 2)
    assert [f.answer.text for f in (first, second)] == ["utterance 1 16000", "utterance 2 16000"]
    assert (first.provider.session_id, second.provider.session_id) == ("s1", "s2")
    assert {first.attempt, second.attempt} == {1}


def test_an_old_connection_that_is_lost_with_its_last_answer_loses_nothing(cloud: Cloud) -> None:
    with Rig(cloud.url, rotate_s=SOON_S, answer_timeout_s=1.5) as rig:
        cloud.behaviours.append(Behaviour(ignore_commit=True))
        rig.say(1)
        wait_until(lambda: rig.uplink.report.rotations == 1)
        rig.say(2)
        assert rig.texts(2) == ["utterance 1 16000", "utterance 2 16000"]


REFUSALS = {
    "refused by HTTP": Behaviour(http_status=503),
    "accepted and refused": Behaviour(
        greeting=[{"message_type": "rate_limited", "error": "slowly"}]
    ),
    "accepted and silent": Behaviour(mute_greeting=True),
}


@pytest.mark.parametrize("behaviour", REFUSALS.values(), ids=REFUSALS)
def test_while_there_is_no_new_connection_the_old_one_goes_on(
    cloud: Cloud, behaviour: Behaviour
) -> None:
    cloud.behaviours += [Behaviour()]
    cloud.always = behaviour
    with Rig(cloud.url, rotate_s=SOON_S, connect_timeout_s=1.0) as rig:
        rig.say(1)
        finals(rig, 1)
        cloud.wait_for(lambda: cloud.connections >= 2)
        rig.say(2)
        (final,) = finals(rig, 1)
        assert (final.provider.session_id, final.attempt) == ("s1", 1)
        cloud.always = Behaviour()
        wait_until(lambda: rig.uplink.report.rotations >= 1)  # and it is tried again
        rig.say(3)
        (final,) = finals(rig, 1)
        assert final.provider.session_id != "s1"
        assert not rig.uplink.report.reconnects


def test_an_end_does_not_wait_for_a_connection_that_is_still_being_opened(cloud: Cloud) -> None:
    asked, released = threading.Event(), threading.Event()

    def stall(_peer: socket.socket) -> None:
        asked.set()
        released.wait(10)

    with raw_server(stall) as port:
        urls = [cloud.url, f"ws://127.0.0.1:{port}"]

        def new_session(_context: str) -> Session:
            url = urls.pop(0)
            provider = Rig.settings(url, connect_timeout_s=5.0)
            return ElevenLabsSession(provider, "k3y")

        with Rig(cloud.url, rotate_s=SOON_S, new_session=new_session) as rig:
            rig.say(1)
            finals(rig, 1)
            assert asked.wait(10)
            begun = time.monotonic()
            rig.drain(1.0)
            assert time.monotonic() - begun < 4.0
        released.set()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "uplink-rotate"])


def test_at_the_end_nothing_is_replaced_and_nobody_spins(cloud: Cloud) -> None:
    cloud.always = Behaviour(ignore_commit=True)
    with Rig(cloud.url, rotate_s=SOON_S, answer_timeout_s=10.0) as rig:
        rig.say(1)
        cloud.wait_for(lambda: cloud.messages > 0)
        worked = time.process_time()
        rig.drain(2 * SOON_S)
        assert time.process_time() - worked < SOON_S
    assert cloud.connections == 1


def test_a_bug_in_the_thread_that_opens_a_connection_is_one_of_the_uplink(cloud: Cloud) -> None:
    sessions = [ElevenLabsSession(Rig.settings(cloud.url), "k3y")]
    rig = Rig(cloud.url, rotate_s=SOON_S, new_session=lambda _context: sessions.pop())
    rig.__enter__()
    rig.say(1)
    finals(rig, 1)
    rig.uplink.join(10)
    with pytest.raises(IndexError):
        rig.drain(0.0)


def test_what_is_billed_is_counted_on_every_connection(cloud: Cloud) -> None:
    with Rig(cloud.url, rotate_s=SOON_S / 10) as rig:
        n = 0
        while rig.uplink.report.rotations < 2:
            n += 1
            rig.say(n, 0.5)
            finals(rig, 1)
        rig.drain(5.0)
        assert rig.uplink.report.billed_s == pytest.approx(0.5 * n)


def test_an_idle_connection_is_replaced_too_where_it_is_to_last(cloud: Cloud) -> None:
    with Rig(cloud.url, rotate_s=SOON_S, connect="always") as rig:
        wait_until(lambda: rig.uplink.report.rotations >= 2)
        rig.say(1)
        assert rig.texts(1) == ["utterance 1 16000"]
