"""The uplink on real sockets: whatever the peer does, each utterance is answered once, in order."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scribed import clock
from scribed.config import Retry, Spool, TranscriptSection
from scribed.demo.broker import stable_port
from scribed.errors import ScribedError
from scribed.interfaces import Ready, Session, SessionEvent, Warned
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    Event,
    Final,
    Link,
    LinkState,
    Outcome,
    UtteranceAudio,
    UtteranceEnded,
    UtterancePaused,
    UtteranceResumed,
    pcm_bytes,
)
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from tests.parts.cloud import Behaviour, Cloud, raw_server
from tests.parts.told import telling
from tests.uplink.rig import Rig, utterance


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    server = Cloud()
    yield server
    server.close()


def whole(*numbers: int, seconds: float = 1.0) -> list[str]:
    """The texts that whole utterances have."""
    return [f"utterance {n} {int(16000 * seconds)}" for n in numbers]


def test_utterances_are_answered_in_order_over_one_connection(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        for n in (1, 2, 3):
            rig.say(n)
        assert rig.texts(3) == whole(1, 2, 3)
    assert cloud.connections == 1


def test_the_key_is_in_a_header_and_the_parameters_in_the_query(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        rig.say(1)
        rig.texts(1)
    (request,) = cloud.requests
    assert request.headers["xi-api-key"] == "k3y"
    assert "k3y" not in request.path
    assert request.path.startswith("/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&")
    assert "commit_strategy=manual" in request.path


def test_a_short_utterance_is_padded_to_what_the_service_takes(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        rig.say(1, 0.1)
        assert rig.texts(1) == whole(1, seconds=0.1)
    assert len(cloud.commits[0]) >= 0.3 * 32000


FAULTS = {
    "reset in mid-utterance": Behaviour(drop_after_bytes=20_000),
    "reset instead of the answer": Behaviour(drop_at_commit=True),
    "closed instead of the answer, 1000": Behaviour(close_at_commit=1000),
    "closed instead of the answer, 1011": Behaviour(close_at_commit=1011),
    "no answer": Behaviour(ignore_commit=True),
    "no session_started": Behaviour(mute_greeting=True),
    "HTTP 503": Behaviour(http_status=503),
    "engine error": Behaviour(
        error_at_commit={"message_type": "transcriber_error", "error": "oops"}
    ),
    "overload": Behaviour(error_at_commit={"message_type": "queue_overflow", "error": "oops"}),
    "not JSON": Behaviour(say_at_commit=["this is not JSON"]),
}


@pytest.mark.parametrize("behaviour", FAULTS.values(), ids=FAULTS)
def test_after_a_lost_connection_the_whole_utterance_is_sent_again(
    cloud: Cloud, behaviour: Behaviour
) -> None:
    cloud.behaviours.append(behaviour)
    with Rig(cloud.url) as rig:
        for n in (1, 2, 3):
            rig.say(n)
        finals = rig.answers(3)
    assert [f.answer.text for f in finals if isinstance(f, Final)] == whole(1, 2, 3)
    assert [f.started.seq for f in finals] == [1, 2, 3]
    assert cloud.connections == 2


def test_a_link_that_fails_in_turns_while_somebody_talks_is_a_line_for_each_reason(
    cloud: Cloud,
) -> None:
    cloud.behaviours += [Behaviour(http_status=503), Behaviour(http_status=502)] * 3
    with telling("scribed.uplink") as told, Rig(cloud.url) as rig:
        for n in (1, 2, 3):
            rig.say(n)
        rig.answers(3)
    lines = [record.getMessage() for record in told]
    assert [line[: len("link down: HTTP 503")] for line in lines[:2]] == [
        "link down: HTTP 503",
        "link down: HTTP 502",
    ]
    assert lines[2:] == ["link up: elevenlabs answers (the fault had come 4 more time(s))"]
    assert cloud.connections >= 7


def test_the_log_tells_the_story_of_one_utterance_in_steps(cloud: Cloud) -> None:
    cloud.behaviours += [Behaviour(drop_at_commit=True)]
    with telling("scribed.uplink", logging.DEBUG) as told, Rig(cloud.url) as rig:
        rig.say(1)
        (final,) = rig.answers(1)
    about = [vars(r) for r in told if getattr(r, "SCRIBED_UTTERANCE_ID", "") == final.started.id]
    assert [(one["SCRIBED_EVENT"], one["SCRIBED_ATTEMPT"]) for one in about] == [
        ("utterance_sent", 1),
        ("utterance_refused", 1),
        ("utterance_sent", 2),
        ("utterance_answered", 2),
    ]


def test_a_server_that_is_away_is_tried_until_it_is_there() -> None:
    port = stable_port()
    with Rig(f"ws://127.0.0.1:{port}") as rig:
        rig.say(1)
        rig.wait_for_news(lambda item: isinstance(item, Alert) and item.code == "backend_down")
        cloud = Cloud(port=port)
        try:
            assert rig.texts(1) == whole(1)
            rig.wait_for_news(lambda item: item == AlertCleared("backend_down", "uplink"))
        finally:
            rig.drain(0)
            cloud.close()


def refusals() -> list[Any]:
    auth = {"message_type": "auth_error", "error": "You must be authenticated. k3y"}
    quota = {"message_type": "quota_exceeded", "error": "You have exceeded your quota."}
    terms = {"message_type": "unaccepted_terms", "error": "Accept the terms."}
    invalid = {"message_type": "invalid_request", "error": "no such model"}
    return [
        pytest.param(Behaviour(greeting=[auth]), "auth_failed", id="auth_error"),
        pytest.param(Behaviour(greeting=[terms]), "auth_failed", id="terms"),
        pytest.param(Behaviour(greeting=[quota]), "quota", id="quota"),
        pytest.param(
            Behaviour(greeting=[invalid], close_code=1008), "backend_down", id="invalid_request"
        ),
        pytest.param(Behaviour(http_status=401), "auth_failed", id="401"),
        pytest.param(Behaviour(http_status=403), "auth_failed", id="403"),
        pytest.param(Behaviour(http_status=402), "quota", id="402"),
        pytest.param(Behaviour(http_status=404), "backend_down", id="404"),
    ]


@pytest.mark.parametrize(("behaviour", "code"), refusals())
def test_a_refusal_is_a_state_with_an_alert_and_a_slow_retry(
    cloud: Cloud, behaviour: Behaviour, code: str
) -> None:
    cloud.behaviours.append(behaviour)
    with Rig(cloud.url, retry=Retry(initial_s=0.05, max_s=1.0, refused_s=1.5)) as rig:
        begun = time.monotonic()
        rig.say(1)
        alert = rig.wait_for_news(lambda item: isinstance(item, Alert))
        assert alert.code == code
        assert "k3y" not in repr(rig.news())
        rig.wait_for_news(lambda i: isinstance(i, Link) and i.state is LinkState.REFUSED)
        rig.say(2)  # speaking does not hurry it
        assert rig.texts(2) == whole(1, 2)
        assert time.monotonic() - begun > 1.2
        rig.wait_for_news(lambda item: item == AlertCleared(code, "uplink"))
    assert cloud.connections == 2


def test_what_the_service_asks_to_wait_is_waited(cloud: Cloud) -> None:
    cloud.behaviours.append(Behaviour(http_status=429, headers={"Retry-After": "2"}))
    with Rig(cloud.url) as rig:
        begun = time.monotonic()
        rig.say(1)
        assert rig.texts(1) == whole(1)
        assert time.monotonic() - begun >= 2.0


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(cloud: Cloud) -> None:
    seen: list[bytes] = []

    def redirect(peer: socket.socket) -> None:
        seen.append(peer.recv(65536))
        peer.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: " + cloud.url.encode() + b"/\r\n"
            b"Content-Length: 0\r\n\r\n"
        )

    with raw_server(redirect) as port, Rig(f"ws://127.0.0.1:{port}") as rig:
        rig.say(1)
        link = rig.wait_for_news(lambda i: isinstance(i, Link) and i.last_error is not None)
        assert "redirect" in link.last_error
    assert cloud.connections == 0


def test_a_peer_that_stalls_in_the_handshake_costs_one_connect_timeout() -> None:
    released = threading.Event()

    def say_nothing(_peer: socket.socket) -> None:
        released.wait(10)

    with raw_server(say_nothing) as port:
        with Rig(f"ws://127.0.0.1:{port}", connect_timeout_s=1.0) as rig:
            rig.say(1)
            link = rig.wait_for_news(lambda i: isinstance(i, Link) and i.last_error is not None)
            assert "timed out" in link.last_error
        released.set()


def test_a_peer_that_answers_the_upgrade_a_byte_at_a_time_is_given_up_in_time() -> None:
    def trickle(peer: socket.socket) -> None:
        while True:
            peer.sendall(b"H")
            if peer.recv(1) == b"":
                return
            threading.Event().wait(0.05)

    with raw_server(trickle) as port, Rig(f"ws://127.0.0.1:{port}", connect_timeout_s=1.0) as rig:
        begun = time.monotonic()
        rig.say(1)
        rig.wait_for_news(lambda i: isinstance(i, Link) and i.last_error is not None)
        assert time.monotonic() - begun < 5.0


def test_a_message_of_16_mib_is_refused_before_it_is_read(cloud: Cloud) -> None:
    cloud.behaviours.append(Behaviour(say_at_commit=["x" * (16 << 20)]))
    with Rig(cloud.url) as rig:
        rig.say(1)
        assert rig.texts(1) == whole(1)
        assert any("16777216 bytes" in str(item) for item in rig.news())


def test_a_peer_that_stops_reading_is_found_by_lack_of_progress(cloud: Cloud) -> None:
    wake = threading.Event()
    cloud.behaviours.append(Behaviour(deaf=wake))
    young = TranscriptSection(stale_after_s=600.0)  # what grows old is sent at its own pace
    with Rig(cloud.url, transcript=young) as rig:
        for n in range(1, 31):  # more than the sockets' buffers take
            rig.say(n, 10.0)
        try:
            assert rig.texts(30, timeout=60) == whole(*range(1, 31), seconds=10.0)
        finally:
            wake.set()
    assert cloud.connections == 2


def test_unknown_messages_change_nothing(cloud: Cloud) -> None:
    odd = [
        {"message_type": "brand_new", "text": ["not", "a", "string"]},
        {"message_type": "warning", "warning": "ZRM was not applied"},
        {"no_type": 1},
    ]
    cloud.behaviours.append(Behaviour(say_at_commit=[json.dumps(m) for m in odd[:2]]))
    with Rig(cloud.url) as rig:
        rig.say(1)
        assert rig.texts(1) == whole(1)
    assert cloud.connections == 1


def test_an_idle_connection_is_closed_and_opened_again_by_speech(cloud: Cloud) -> None:
    with Rig(cloud.url, idle_s=1.0) as rig:
        rig.say(1)
        rig.texts(1)
        rig.wait_for_news(lambda i: isinstance(i, Link) and i.state is LinkState.IDLE)
        rig.say(2)
        assert rig.texts(1) == whole(2)
    assert cloud.connections == 2


def test_connect_always_connects_before_anybody_speaks(cloud: Cloud) -> None:
    with Rig(cloud.url, connect="always"):
        cloud.wait_for(lambda: cloud.connections == 1)


def test_audio_goes_out_while_the_utterance_is_still_spoken(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        events = list(utterance(1))
        for event in events[:-1]:
            rig.post(event)
        cloud.wait_for(lambda: cloud.messages >= 1)
        assert cloud.commits == []
        rig.post(events[-1])
        assert rig.texts(1) == whole(1)


def test_partials_replace_each_other_and_rise_to_the_final(cloud: Cloud) -> None:
    partials = [
        json.dumps({"message_type": "partial_transcript", "text": text})
        for text in ("turn", "turn", "turn left")
    ]
    cloud.behaviours.append(Behaviour(say_at_commit=partials))
    with Rig(cloud.url) as rig:
        rig.say(1)
        (final,) = rig.answers(1)
        assert [(p.rev, p.text) for p in rig.partials] == [(0, "turn"), (1, "turn left")]
        assert isinstance(final, Final)
        assert final.rev == 2


def test_an_answer_without_a_word_ends_as_no_speech(cloud: Cloud) -> None:
    cloud.always = Behaviour(answer=lambda audio: " (wind) ... ")
    with Rig(cloud.url) as rig:
        rig.say(1)
        (closed,) = rig.answers(1)
        assert isinstance(closed, Closed)
        assert closed.outcome is Outcome.NO_SPEECH


def test_when_too_much_waits_the_oldest_is_given_up_first() -> None:
    with Rig(f"ws://127.0.0.1:{stable_port()}", budget=100_000) as rig:
        for n in range(1, 6):  # 32 kB each
            rig.say(n)
        closed = rig.answers(2)
        assert [(c.started.seq, c.outcome) for c in closed if isinstance(c, Closed)] == [
            (1, Outcome.EVICTED),
            (2, Outcome.EVICTED),
        ]
        rig.wait_for_news(lambda i: isinstance(i, Alert) and i.code == "spool_full")
        assert rig.budget.used <= rig.budget.limit


def test_an_utterance_older_than_the_limit_expires() -> None:
    with Rig(f"ws://127.0.0.1:{stable_port()}", spool=Spool(max_age_h=0.01)) as rig:
        rig.say(1, at=clock.now() - 100)
        (closed,) = rig.answers(1)
        assert isinstance(closed, Closed)
        assert closed.outcome is Outcome.EXPIRED


def test_a_poisoned_utterance_fails_and_does_not_block_its_neighbours(cloud: Cloud) -> None:
    refusal = {"message_type": "input_error", "error": "cannot"}
    cloud.always = Behaviour(poison=1, error_at_commit=refusal)
    with Rig(cloud.url, max_attempts=3) as rig:
        rig.say(1)
        ends: list[Final | Closed] = []
        for n in (2, 3, 4):  # each answer to another says that it is not the service
            rig.say(n)
            ends += rig.answers(1)
        ends += rig.answers(1)
        closed = [end for end in ends if isinstance(end, Closed)]
        assert [(c.started.seq, c.outcome) for c in closed] == [(1, Outcome.FAILED)]
        finals = [end for end in ends if isinstance(end, Final)]
        assert [final.answer.text for final in finals] == whole(2, 3, 4)


SILENCE = bytes(pcm_bytes(200))


def pause(rig: Rig, n: int) -> UtteranceEnded:
    """Somebody says a second and pauses; the end that would follow."""
    *spoken, end = utterance(n)
    for event in spoken:
        rig.post(event)
    assert isinstance(end, UtteranceEnded)
    rig.post(UtterancePaused(end.id))
    rig.post(UtteranceAudio(end.id, SILENCE))
    return end


def test_a_pause_is_committed_early_and_its_text_is_there_when_it_has_become_the_end(
    cloud: Cloud,
) -> None:
    with Rig(cloud.url) as rig:
        end = pause(rig, 1)
        cloud.wait_for(lambda: len(cloud.commits) == 1)
        assert rig.delivered.get(0.2) is None, "it is held back"
        rig.post(end)
        assert rig.texts(1) == whole(1)
        rig.say(2)
        assert rig.texts(1) == whole(2)
        assert rig.uplink.report.early_commits == 1
    assert len(cloud.commits) == 2, "the silence was not sent"
    assert cloud.connections == 1


def test_where_speech_goes_on_the_next_commit_extends_what_was_committed_early(
    cloud: Cloud,
) -> None:
    with Rig(cloud.url) as rig:
        end = pause(rig, 1)
        cloud.wait_for(lambda: len(cloud.commits) == 1)
        rig.post(UtteranceResumed(end.id))
        for event in list(utterance(7))[1:-1]:
            assert isinstance(event, UtteranceAudio)
            rig.post(UtteranceAudio(end.id, event.pcm))
        rig.post(end)
        assert rig.texts(1) == ["utterance 1 16000 utterance 7 16000"]
    assert [partial.text for partial in rig.partials] == ["utterance 1 16000"]
    assert len(cloud.commits[1]) == len(SILENCE) + 32000, "all that was held back was sent"


@pytest.mark.parametrize("behaviour", FAULTS.values(), ids=FAULTS)
def test_where_an_early_commit_fails_the_whole_utterance_is_sent_again(
    cloud: Cloud, behaviour: Behaviour
) -> None:
    cloud.behaviours.append(behaviour)
    with Rig(cloud.url) as rig:
        end = pause(rig, 1)
        cloud.wait_for(lambda: cloud.connections == 2)
        rig.post(end)
        assert rig.texts(1) == whole(1)


def test_a_connection_that_takes_all_and_serves_none_is_left_alone_for_a_while(
    cloud: Cloud,
) -> None:
    cloud.always = Behaviour(close_at_commit=1011)
    with Rig(cloud.url, retry=Retry(initial_s=0.05, max_s=600.0)) as rig:
        rig.say(1)
        alert = rig.wait_for_news(lambda i: isinstance(i, Alert) and "in a row" in i.message)
        assert alert.code == "backend_down"
        assert "600 s" in alert.message
        assert rig.uplink.report.link.state is LinkState.BACKOFF
    assert cloud.connections == 5


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_token_may_have_expired_on_its_way_but_not_twice(cloud: Cloud, refusals: int) -> None:
    refused = Behaviour(greeting=[{"message_type": "auth_error", "error": "expired"}])
    cloud.behaviours += [refused] * refusals
    tokens: list[str] = []

    def new_session(_context: str) -> Session:
        tokens.append(f"s3cret-{len(tokens)}")
        return ElevenLabsSession(rig.config.provider, "", token=tokens[-1])

    rig = Rig(cloud.url, new_session=new_session, elevenlabs={"auth": "token"})
    with rig:
        rig.say(1)
        assert rig.texts(1) == whole(1)
        alerts = [item.code for item in rig.news() if isinstance(item, Alert)]
        assert alerts == (["auth_failed"] if refusals == 2 else [])
    assert len(tokens) == refusals + 1, "each connection has its own"
    assert "s3cret" not in repr(rig.told)


def test_the_last_text_is_context_for_the_next_connection(cloud: Cloud) -> None:
    contexts: list[str] = []

    def new_session(context: str) -> Session:
        contexts.append(context)
        return ElevenLabsSession(rig.config.provider, "k3y")

    rig = Rig(cloud.url, new_session=new_session, idle_s=1.0)
    with rig:
        rig.say(1)
        rig.texts(1)
        rig.wait_for_news(lambda i: isinstance(i, Link) and i.state is LinkState.IDLE)
        rig.say(2)
        rig.texts(1)
    assert contexts == ["", "utterance 1 16000"]
    assert "utterance 1" not in repr(rig.told)


class Doubtful(ElevenLabsSession):
    """A session whose service does not quite do what was asked."""

    def events(self) -> list[SessionEvent]:
        told = super().events()
        doubts = [Warned("it keeps what is said", "provider_keeps_data"), Warned("it is slow")]
        return [*told, *(doubt for event in told if isinstance(event, Ready) for doubt in doubts)]


def test_what_the_service_does_not_do_is_said_once_and_alerted_as_long_as_it_lasts(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    kinds: list[type[ElevenLabsSession]] = [Doubtful, Doubtful, ElevenLabsSession]
    cloud.behaviours += [Behaviour(), Behaviour(), Behaviour()]
    rig = Rig(cloud.url, new_session=lambda _: kinds.pop(0)(rig.config.provider, "k3y"), idle_s=1.0)
    with rig:
        for n in (1, 2, 3):
            rig.say(n)
            rig.texts(1)
            if n < 3:
                rig.wait_for_news(lambda i: isinstance(i, Link) and i.state is LinkState.IDLE)
                rig.told.clear()
        rig.wait_for_news(lambda i: i == AlertCleared("provider_keeps_data", "uplink"))
    assert [r.message for r in caplog.records].count("it keeps what is said") == 1
    assert [r.message for r in caplog.records].count("it is slow") == 1


def test_draining_waits_for_the_answers_that_are_owed(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        rig.say(1)
        rig.say(2)
        rig.drain(5.0)
        assert rig.texts(2, timeout=0.1) == whole(1, 2)


@pytest.mark.parametrize("behaviour", [Behaviour(ignore_commit=True), Behaviour(http_status=401)])
def test_draining_ends_at_its_deadline_whatever_the_peer_does(
    cloud: Cloud, behaviour: Behaviour
) -> None:
    cloud.always = behaviour
    with Rig(cloud.url) as rig:
        rig.say(1)
        cloud.wait_for(lambda: cloud.connections > 0)
        begun = time.monotonic()
        rig.drain(0.5)
        assert time.monotonic() - begun < 2.5


def test_a_missing_key_is_said_at_the_start_and_not_an_end(cloud: Cloud) -> None:
    def no_key() -> None:
        raise ScribedError("no API key: put it somewhere")

    with Rig(cloud.url, check=no_key) as rig:
        alert = rig.wait_for_news(lambda i: isinstance(i, Alert))
        assert (alert.code, alert.message) == ("auth_failed", "no API key: put it somewhere")
    assert cloud.connections == 0


def test_the_wait_for_a_dead_link_is_cut_short_by_speech_after_five_seconds(cloud: Cloud) -> None:
    cloud.behaviours.append(Behaviour(http_status=503))
    slow = Retry(initial_s=1e6, max_s=1e6)  # nobody would see the second attempt
    with Rig(cloud.url, retry=slow) as rig:
        rig.say(1)
        rig.wait_for_news(lambda i: isinstance(i, Event) and i.event == "link_down")
        tried_at = time.monotonic()
        while cloud.connections < 2:
            assert time.monotonic() - tried_at < 10
            rig.say(2 + cloud.connections)
            threading.Event().wait(0.5)
        assert 4.0 < time.monotonic() - tried_at < 7.0


def test_an_end_without_a_beginning_is_ignored(cloud: Cloud) -> None:
    with Rig(cloud.url) as rig:
        for event in utterance(9):
            if not isinstance(event, UtteranceEnded):
                continue
            rig.post(event)
        rig.say(1)
        assert rig.texts(1) == whole(1)
