"""Another configuration while the uplink sends: a new connection between two utterances."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scribed.config import Config, TranscriptSection
from scribed.errors import ScribedError
from scribed.interfaces import Session
from scribed.model import Final, LinkState, Retuned
from scribed.uplink.connection import Connection, tls_context
from scribed.uplink.link import Retune
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.parts.cloud import Cloud
from tests.uplink.rig import Rig, utterance


@pytest.fixture
def cloud() -> Any:
    server = Cloud()
    yield server
    server.close()


def retune(rig: Rig, number: int = 1, *, renew: bool = True, **provider: Any) -> None:
    settings = msgspec.structs.replace(rig.config.provider, **provider)
    config = Config(provider=settings, retry=rig.config.retry, transcript=TranscriptSection())
    tls = tls_context("")

    def new_session(context: str) -> Session:
        return ElevenLabsSession(settings, "0ther", previous_text=context)

    rig.uplink.inbox.put(
        Retune(
            number,
            config,
            new_session,
            lambda request: Connection(request, timeout_s=2.0, tls=tls),
            lambda: None,
            renew,
        )
    )


def is_taken(rig: Rig, number: int = 1) -> None:
    """Wait until it goes by what it was told."""
    while (item := rig.supervisor.get(10.0)) != Retuned("uplink", number):
        assert item is not None, "it did not come about"


def test_what_waits_for_its_end_goes_on_and_the_next_goes_out_on_a_new_connection(
    cloud: Cloud,
) -> None:
    with Rig(cloud.url) as rig:
        first = list(utterance(1))
        for event in first[:-1]:
            rig.post(event)
        cloud.wait_for(lambda: cloud.messages > 0)
        retune(rig, language="fr")
        rig.say(2)
        rig.post(first[-1])
        is_taken(rig)
        assert len(rig.texts(2)) == 2
        assert ["language_code=fr" in request.path for request in cloud.requests] == [False, True]
        assert len(cloud.commits) == 2
        assert rig.uplink.report.tally.repeated == 0


def test_what_needs_no_new_connection_closes_none(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        rig.say(1)
        rig.texts(1)
        retune(rig, renew=False, idle_s=30.0, rotate_s=0.0, max_attempts=9)
        is_taken(rig)
        rig.say(2)
        rig.texts(1)
        assert cloud.connections == 1


def test_a_link_that_was_refused_is_tried_at_once_with_what_is_new(cloud: Cloud) -> None:
    def no_key(_context: str) -> Session:
        raise ScribedError("no key")

    with Rig(cloud.url, new_session=no_key) as rig:
        rig.say(1)
        while rig.uplink.report.link.state is not LinkState.REFUSED:
            assert rig.supervisor.get(10.0) is not None
        retune(rig)
        (final,) = rig.answers(1)
        assert isinstance(final, Final)
        assert cloud.requests[0].headers["xi-api-key"] == "0ther"


def test_two_in_a_row_end_in_one_new_connection_by_the_last(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        first = list(utterance(1))
        for event in first[:-1]:
            rig.post(event)
        cloud.wait_for(lambda: cloud.messages > 0)  # half of it is sent: its end is waited for
        retune(rig, 1, language="fr")
        retune(rig, 2, renew=False, language="de")
        rig.post(first[-1])
        is_taken(rig, 2)
        rig.say(2)
        rig.texts(2)
        assert cloud.connections == 2
        assert "language_code=de" in cloud.requests[1].path
