"""OpenMind's session: where it asks, what it packs, what it makes of errors, and that the key is
told nobody. The course of its dialogues is in tests/uplink/dialogues/openmind."""

from __future__ import annotations

import base64
import json
import traceback
import tracemalloc
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import msgspec
import pytest

from scribed.config import ProviderSection
from scribed.errors import Remedy
from scribed.interfaces import Committed, Failed, PartialText, Ready, SessionEvent, Warned
from scribed.model import UtteranceId, pcm_bytes
from scribed.uplink.providers.openmind import OpenMindSession
from tests.parts.promptly import promptly

KEY = "om1_live_/s3cret+1"


class Dialogue:
    """A session with a clock of its own, and what it did."""

    def __init__(self, *, key: str = KEY, **settings: Any) -> None:
        self.session = OpenMindSession(msgspec.convert(settings, ProviderSection), key)
        self.now = 1000.0
        self.sent: list[str | bytes] = []
        self.events: list[SessionEvent] = []
        self.session.handle_timer(self.now)

    def ready(self) -> Dialogue:
        return self.hear(type="connection", message="Connected", clientId="1-a")

    def hear(self, **fields: Any) -> Dialogue:
        return self.hear_raw(json.dumps(fields))

    def hear_raw(self, message: str | bytes) -> Dialogue:
        with promptly():
            self.session.receive(message, self.now)
        return self.collect()

    def say(self, id: str, duration_ms: int = 500, attempt: int = 1) -> Dialogue:
        self.session.start(UtteranceId(id), self.now, attempt=attempt)
        self.session.audio(b"\1\0" * (pcm_bytes(duration_ms) // 2), self.now)
        self.wait(duration_ms / 1000)
        self.session.end(self.now)
        self.session.departed(UtteranceId(id), self.now)
        return self.collect()

    def wait(self, duration_s: float) -> Dialogue:
        end = self.now + duration_s
        while (due := self.session.timer()) is not None and due <= end:
            self.now = max(due, self.now)
            self.session.handle_timer(self.now)
        self.now = end
        return self.collect()

    def collect(self) -> Dialogue:
        self.sent += self.session.messages_to_send()
        self.events += self.session.events()
        return self

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(e.utterance_id, e.answer.text) for e in self.events if isinstance(e, Committed)]

    @property
    def failed(self) -> Failed:
        """The end of the session, of which there must be one."""
        (failed,) = (e for e in self.events if isinstance(e, Failed))
        return failed


# The request


def url(**settings: Any) -> str:
    return Dialogue(**settings).session.request().url


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("elevenlabs", "wss://api.openmind.com/api/core/elevenlabs/asr"),
        ("google", "wss://api.openmind.com/api/core/google/asr"),
        ("riva", "wss://api-asr.openmind.org/"),
    ],
)
def test_each_route_has_its_endpoint_and_takes_the_key_in_the_query(
    route: str, expected: str
) -> None:
    asked = url(openmind={"route": route})
    assert asked == f"{expected}?api_key=om1_live_%2Fs3cret%2B1"
    assert parse_qsl(urlsplit(asked).query) == [("api_key", KEY)]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/api/core/elevenlabs/asr?api_key=k"),
        ("wss://proxy.example/", "wss://proxy.example/api/core/elevenlabs/asr?api_key=k"),
        ("wss://proxy.example/my/ear", "wss://proxy.example/my/ear?api_key=k"),
        ("wss://p.example/asr?model=chirp_3", "wss://p.example/asr?model=chirp_3&api_key=k"),
        ("wss://p.example/asr?api_key=other", "wss://p.example/asr?api_key=k"),
    ],
)
def test_another_endpoint_takes_the_usual_path_unless_it_has_its_own(
    configured: str, expected: str
) -> None:
    assert url(url=configured, key="k") == expected


def test_without_a_key_none_is_sent_as_to_riva_on_the_robot() -> None:
    options = {"route": "riva"}
    assert url(key="", url="ws://localhost:6790", openmind=options) == "ws://localhost:6790/"


@pytest.mark.parametrize(
    ("route", "configured", "sent"),
    [
        ("elevenlabs", "auto", None),
        ("elevenlabs", "en", "en"),
        ("elevenlabs", "en-US", "en"),
        ("elevenlabs", "DE_at", "de"),
        ("elevenlabs", "deu", "deu"),
        ("google", "auto", None),
        ("google", "en", "en-US"),
        ("google", "en-GB", "en-GB"),
        ("google", "de_at", "de-AT"),
        ("google", "zh", "cmn-Hans-CN"),
        ("google", "zh-hant-tw", "zh-Hant-TW"),
        ("google", "fi", "fi"),
        ("riva", "es", "es-ES"),
        ("riva", "es-US", "es-US"),
    ],
)
@pytest.mark.parametrize("framing", ["json", "binary"])
def test_each_route_gets_the_language_in_its_own_form(
    route: str, configured: str, sent: str | None, framing: str
) -> None:
    options = {"route": route, "framing": framing, "trailing_silence_ms": 0}
    dialogue = Dialogue(language=configured, openmind=options).say("a", 100)
    (message,) = dialogue.sent
    header = message[4 : 4 + message[3]] if isinstance(message, bytes) else message
    assert json.loads(header).get("language_code") == sent
    answer = dialogue.hear(asr_reply="Hello.").wait(2).events[-1]
    assert isinstance(answer, Committed)
    assert answer.answer.language == sent


def test_the_model_tells_the_route_and_old_speech_is_to_be_sent_slowly() -> None:
    sessions = [Dialogue(openmind={"route": r}).session for r in ("elevenlabs", "google", "riva")]
    assert [session.model for session in sessions] == ["scribe_v2_realtime", "chirp_3", "riva"]
    assert [session.max_rate for session in sessions] == [2.0, 2.0, 2.0]


# Audio


def sizes(dialogue: Dialogue) -> list[int]:
    """Bytes of audio in each message."""
    messages = (json.loads(message) for message in dialogue.sent)
    return [len(base64.b64decode(message["audio"], validate=True)) for message in messages]


def test_only_the_first_message_of_a_connection_has_rate_and_language() -> None:
    dialogue = Dialogue(language="en").ready().say("a").say("b")
    first, *others = (json.loads(message) for message in dialogue.sent)
    assert (first["rate"], first["language_code"]) == (16000, "en")
    assert all(message.keys() == {"audio"} for message in others)


@pytest.mark.parametrize(
    ("chunk_ms", "expected"),
    [
        (100, [4000, 4000]),
        (20, [4000, 4000]),
        (1000, [4000, 4000]),
    ],
)
def test_audio_is_sent_in_chunks_of_4096_bytes_at_most(chunk_ms: int, expected: list[int]) -> None:
    options = {"trailing_silence_ms": 0}
    assert sizes(Dialogue(chunk_ms=chunk_ms, openmind=options).ready().say("a", 250)) == expected


@pytest.mark.parametrize("framing", ["json", "binary"])
@pytest.mark.parametrize("duration_ms", [0, 20, 100, 1010])
def test_all_audio_and_then_the_silence_is_sent_and_counted_and_no_message_is_empty(
    duration_ms: int, framing: str
) -> None:
    options = {"framing": framing, "trailing_silence_ms": 700}
    dialogue = Dialogue(openmind=options).ready().say("a", duration_ms)
    audio = [
        message[4 + int.from_bytes(message[:4], "big") :]
        if isinstance(message, bytes)
        else base64.b64decode(json.loads(message)["audio"])
        for message in dialogue.sent
    ]
    assert all(audio)
    assert b"".join(audio) == b"\1\0" * (pcm_bytes(duration_ms) // 2) + bytes(pcm_bytes(700))
    assert dialogue.session.sent_s() == pytest.approx((duration_ms + 700) / 1000)


def test_an_utterance_without_audio_and_silence_sends_nothing() -> None:
    dialogue = Dialogue(openmind={"trailing_silence_ms": 0}).ready().say("a", 0)
    assert (dialogue.sent, dialogue.session.sent_s()) == ([], 0.0)


def test_a_failed_session_sends_nothing_more() -> None:
    dialogue = Dialogue().ready().hear(error="over").say("a")
    assert (dialogue.sent, dialogue.session.sent_s()) == ([], 0.0)


def test_an_idle_session_says_nothing() -> None:
    dialogue = Dialogue().ready().wait(3600)
    assert (dialogue.sent, dialogue.session.timer()) == ([], None)


# Waiting


def test_partials_that_never_settle_do_not_keep_an_utterance_for_ever() -> None:
    dialogue = Dialogue().ready().say("a")
    for n in range(100):
        dialogue.hear(type="partial", asr_reply=f"word {n}").wait(0.5)
    assert dialogue.texts == [("a", "word 59")]


def test_finals_that_never_settle_do_not_either() -> None:
    dialogue = Dialogue().ready().say("a")
    for n in range(200):
        dialogue.hear(asr_reply=f"{n}").wait(0.2)
    assert dialogue.failed.blamed == "a"
    assert dialogue.texts == []


def test_the_end_that_has_not_left_the_machine_is_not_waited_for() -> None:
    dialogue = Dialogue().ready()
    dialogue.session.start(UtteranceId("a"), dialogue.now)
    dialogue.session.end(dialogue.now)
    dialogue.collect().wait(100)
    assert (dialogue.session.timer(), dialogue.texts) == (None, [])
    dialogue.session.departed(UtteranceId("a"), dialogue.now)
    assert dialogue.session.timer() == dialogue.now + 6


def test_a_final_just_before_the_end_is_known_to_have_left_is_the_last() -> None:
    dialogue = Dialogue().ready()
    dialogue.session.start(UtteranceId("a"), dialogue.now)
    dialogue.session.end(dialogue.now)
    dialogue.hear(asr_reply="Stop.").wait(0.04)
    dialogue.session.departed(UtteranceId("a"), dialogue.now)
    assert dialogue.wait(0.24).texts == []
    assert dialogue.wait(0.01).texts == [("a", "Stop.")]


def test_what_belongs_to_nobody_is_counted() -> None:
    dialogue = Dialogue().ready().hear(asr_reply="one").hear(type="final", asr_reply="two")
    dialogue.hear(type="no such type").hear(nothing=1)
    assert (dialogue.session.ignored_finals, dialogue.session.unknown_messages) == (2, 2)
    assert len([event for event in dialogue.events if isinstance(event, Warned)]) == 1


@pytest.mark.parametrize(
    ("route", "expected"), [("elevenlabs", 0.25), ("google", 1.5), ("riva", 1.5)]
)
def test_what_follows_a_final_is_waited_for_longer_where_no_partial_announces_it(
    route: str, expected: float
) -> None:
    dialogue = Dialogue(openmind={"route": route, "settle_s": 1.5}).ready().say("a").wait(0.3)
    dialogue.hear(asr_reply="Stop.").wait(expected - 0.01)
    assert dialogue.texts == []
    assert dialogue.wait(0.02).texts == [("a", "Stop.")]


def test_old_speech_sent_at_once_is_given_the_time_it_took_to_speak() -> None:
    dialogue = Dialogue().ready()
    dialogue.session.start(UtteranceId("a"), dialogue.now)
    dialogue.session.audio(bytes(pcm_bytes(10_000)), dialogue.now)
    dialogue.session.end(dialogue.now)
    dialogue.session.departed(UtteranceId("a"), dialogue.now)
    dialogue.wait(1).hear(asr_reply="Turn left.").wait(9.24)
    assert dialogue.texts == []
    assert dialogue.wait(0.01).texts == [("a", "Turn left.")]


def test_what_waited_for_its_turn_is_old_speech_too() -> None:
    dialogue = Dialogue().ready().say("a")
    dialogue.session.start(UtteranceId("b"), dialogue.now)
    dialogue.session.audio(bytes(pcm_bytes(4000)), dialogue.now)
    dialogue.wait(4).hear(asr_reply="One.").wait(0.25)
    sent_at = dialogue.now
    dialogue.session.end(dialogue.now)
    dialogue.session.departed(UtteranceId("b"), dialogue.now)
    dialogue.wait(0.5).hear(asr_reply="Two.").wait(sent_at + 4.24 - dialogue.now)
    assert dialogue.texts == [("a", "One.")]
    assert dialogue.wait(0.02).texts == [("a", "One."), ("b", "Two.")]


@pytest.mark.parametrize("attempt", [1, 2, 7])
def test_a_service_that_never_said_a_word_is_at_fault_for_its_silence(attempt: int) -> None:
    dialogue = Dialogue().ready().say("a", attempt=attempt).wait(100)
    assert dialogue.texts == []
    assert dialogue.failed.remedy is (Remedy.RECONNECT if attempt == 1 else Remedy.BACK_OFF)


@pytest.mark.parametrize("kind", ["partial", "final"])
def test_one_that_did_may_have_had_nothing_to_hear_and_is_told_nothing_more(kind: str) -> None:
    dialogue = Dialogue().ready().hear(type=kind, asr_reply="murmur").say("a", attempt=2).wait(100)
    (answer,) = (event for event in dialogue.events if isinstance(event, Committed))
    assert (answer.answer.text, answer.answer.guessed) == ("", True)
    assert answer.final_reason == "no_commit"
    assert dialogue.failed.remedy is Remedy.RECONNECT
    dialogue.sent.clear()
    assert dialogue.say("b").hear(asr_reply="late").wait(100).sent == []
    assert dialogue.texts == [("a", "")]


# Errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rate limit exceeded", (Remedy.COOL_DOWN, None)),
        ("Quota exceeded for requests per minute", (Remedy.COOL_DOWN, None)),
        ("Speech recognition error: too many concurrent sessions", (Remedy.COOL_DOWN, None)),
        ("Invalid API key: it was revoked", (Remedy.REFUSED, "auth_failed")),
        ("rpc error: code = Unauthenticated", (Remedy.REFUSED, "auth_failed")),
        ("Permission denied", (Remedy.REFUSED, "auth_failed")),
        ("Insufficient balance", (Remedy.REFUSED, "quota")),
        ("402 Payment Required", (Remedy.REFUSED, "quota")),
        ("Your OMCU are used up", (Remedy.REFUSED, "quota")),
        ("Audio stream buffer full", (Remedy.BACK_OFF, None)),
        ("400 Audio Timeout Error: Long duration elapsed", (Remedy.RECONNECT, None)),
        ("No speech detected for 60 s", (Remedy.RECONNECT, None)),
        ("Exceeded maximum allowed stream duration of 305 seconds.", (Remedy.RECONNECT, None)),
        ("Session time limit reached", (Remedy.RECONNECT, None)),
        ("Invalid message format: 'audio' field missing", (Remedy.BACK_OFF, None)),
        ("Invalid language code", (Remedy.REFUSED, "backend_down")),
        ("The model is not supported in this region", (Remedy.REFUSED, "backend_down")),
    ],
)
def test_the_words_of_an_error_choose_the_remedy(
    text: str, expected: tuple[Remedy, str | None]
) -> None:
    failed = Dialogue().ready().hear(type="error", message=f"Speech error: {text}").failed
    assert (failed.remedy, failed.alert) == expected
    assert text in failed.reason


@pytest.mark.parametrize("text", ["", "internal", "realtime connection lost", "x" * 100_000])
def test_an_error_in_other_words_ends_nothing_but_a_session_that_is_not_ready(text: str) -> None:
    warned = Dialogue().ready().hear(type="error", message=text).events[-1]
    assert isinstance(warned, Warned)
    assert len(warned.reason) <= 200
    assert Dialogue().hear(type="error", message=text).failed.remedy is Remedy.BACK_OFF


@pytest.mark.parametrize(
    ("status", "body", "retry_after_s", "expected"),
    [
        (401, '{"error":"Invalid API key: x"}', None, (Remedy.REFUSED, "auth_failed")),
        (403, "", None, (Remedy.REFUSED, "auth_failed")),
        (402, '{"error":"Insufficient balance"}', None, (Remedy.REFUSED, "quota")),
        (429, "", None, (Remedy.COOL_DOWN, None)),
        (500, "[" * 100_000, None, (Remedy.BACK_OFF, None)),
        (502, '"text"', None, (Remedy.BACK_OFF, None)),
        (503, "{}", 30.0, (Remedy.COOL_DOWN, None)),
        (404, "no such route", None, (Remedy.REFUSED, "backend_down")),
        (400, '{"error":"Invalid API key: y"}', None, (Remedy.REFUSED, "auth_failed")),
        (400, '{"error":"Rate limit exceeded"}', None, (Remedy.COOL_DOWN, None)),
        (400, '{"error":"Invalid message"}', None, (Remedy.REFUSED, "backend_down")),
    ],
)
def test_a_refused_upgrade_is_understood_by_status_and_by_its_words(
    status: int, body: str, retry_after_s: float | None, expected: tuple[Remedy, str | None]
) -> None:
    dialogue = Dialogue()
    dialogue.session.refused(status, body, retry_after_s)
    failed = dialogue.collect().failed
    assert (failed.remedy, failed.alert) == expected
    assert failed.retry_after_s == retry_after_s
    assert failed.reason.startswith(f"HTTP {status}")


@pytest.mark.parametrize("owed", [True, False], ids=["owed", "idle"])
@pytest.mark.parametrize(
    ("code", "reason", "when_idle", "when_owed"),
    [
        (1000, "", Remedy.RECONNECT, Remedy.RECONNECT),
        (1001, "", Remedy.RECONNECT, Remedy.RECONNECT),
        (None, "", Remedy.RECONNECT, Remedy.BACK_OFF),
        (1006, "", Remedy.RECONNECT, Remedy.BACK_OFF),
        (1011, "", Remedy.RECONNECT, Remedy.BACK_OFF),
        (1011, "silence timeout", Remedy.RECONNECT, Remedy.RECONNECT),
        (1013, "", Remedy.COOL_DOWN, Remedy.COOL_DOWN),
        (4001, "Invalid API key", Remedy.REFUSED, Remedy.REFUSED),
        (1008, "idle", Remedy.REFUSED, Remedy.REFUSED),
    ],
)
def test_a_close_is_an_ordinary_end_where_nothing_is_owed(
    code: int | None, reason: str, when_idle: Remedy, when_owed: Remedy, *, owed: bool
) -> None:
    dialogue = Dialogue().ready()
    if owed:
        dialogue.say("a")
    dialogue.session.receive_close(code, reason)
    assert dialogue.collect().failed.remedy is (when_owed if owed else when_idle)


def test_a_close_before_the_session_is_ready_is_a_fault() -> None:
    dialogue = Dialogue()
    dialogue.session.receive_close(1000, "")
    assert dialogue.collect().failed.remedy is Remedy.BACK_OFF


# The key

SPELLINGS = {
    "plain": KEY,
    "quoted": quote(KEY, safe=""),
    "quoted as a form": quote_plus(KEY),
    "quoted in lower case": quote(KEY, safe="").replace("%2F", "%2f"),
    "quoted twice": quote(quote(KEY, safe=""), safe=""),
    "every character quoted": "".join(f"%{byte:02x}" for byte in KEY.encode()),
    "escaped in JSON": KEY.replace("/", "\\/"),
    "escaped in JSON by number": KEY.replace("/", "\\u002f").replace("+", "\\u002B"),
    "in its URL": f"wss://x/asr?api_key={quote(KEY, safe='')}&model=chirp_3",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_key_is_told_nobody_however_a_peer_spells_it(spelling: str) -> None:
    hello = Dialogue().hear(type="connection", clientId=f"1-{spelling}")
    errors = Dialogue().ready().hear(type="error", message=f"{'long ' * 30}{spelling} is odd")
    info = Dialogue().ready().say("a").hear(type="info", message=f"restarted for {spelling}")
    bad = Dialogue().hear_raw(f'{{"type": {json.dumps(spelling)}')
    revoked = Dialogue().hear(error=f"Invalid API key: {spelling}")
    refused, closed = Dialogue(), Dialogue().ready()
    refused.session.refused(401, f"no: {spelling}", None)
    closed.session.receive_close(1011, spelling)
    for dialogue in (hello, errors, info, bad, revoked, refused.collect(), closed.collect()):
        assert "s3cret" not in f"{dialogue.events}{dialogue.session!r}"
        assert "%73" not in repr(dialogue.events)
    assert "***" in repr(hello.events)


def test_the_key_of_somebody_else_is_not_told_either() -> None:
    text = "om1_live_abcdef, api_key=uvwxyz&a=b, x-api-key: qrstuv, Bearer ghijkl"
    warned = Dialogue(key="").ready().hear(type="error", message=f"no: {text}").events[-1]
    assert isinstance(warned, (Warned, Failed))
    assert warned.reason == "error: no: ***, api_key=***&a=b, x-api-key: ***, Bearer ***"


def test_the_request_has_the_key_but_does_not_show_it() -> None:
    request = Dialogue().session.request()
    assert "s3cret" in request.url
    assert "s3cret" not in repr(request)
    assert request.headers == {}


def test_no_exception_of_a_wrong_use_shows_the_key() -> None:
    session = Dialogue().session
    with pytest.raises(IndexError) as raised:
        session.end(1.0)
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


# Messages from nobody's reference

SHAPES = [
    "",
    "null",
    "[]",
    '"text"',
    "17",
    "{}",
    "{" * 500_000,
    "[" * 1_000_000,
    '{"type":"partial","asr_reply":"' + "a" * 300_000 + '"}',
    '{"asr_reply":' + "[" * 100_000,
    '{"type":17,"asr_reply":"x"}',
    '{"type":"partial","asr_reply":{}}',
    '{"asr_reply":"\\ud800"}',
    '{"asr_reply":"x","asr_reply":"y"}',
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    '{"type":"connection","clientId":"' + "\\u0000" * 20_000 + '"}',
    '{"type":"error","message":"' + "e\\u0301" * 30_000 + '"}',
    '{"type":"error","message":"' + "session " * 30_000 + '"}',
    '{"asr_reply":"' + "\\u0301" * 30_000 + '"}',
    '{"x":1e999,"type":"partial","asr_reply":"hello","y":-1e-999}',
]


@pytest.mark.parametrize("as_bytes", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("message", SHAPES, ids=range(len(SHAPES)))
def test_no_message_raises_costs_much_or_fills_memory(message: str, *, as_bytes: bool) -> None:
    dialogue = Dialogue().ready().say("a")
    tracemalloc.start()
    try:
        dialogue.session.receive(message.encode() if as_bytes else message, dialogue.now)
        dialogue.collect().events.clear()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 1 << 20
    assert peak < 16 << 20
    dialogue = Dialogue().ready().say("a").hear_raw(message).hear(asr_reply="Hello.").wait(0.25)
    over = any(isinstance(event, Failed) for event in dialogue.events)
    assert dialogue.texts or over


def test_a_huge_message_that_is_no_text_is_passed_over() -> None:
    dialogue = Dialogue().ready().say("a").hear(type="debug", blob="x" * 900_000)
    assert dialogue.hear(asr_reply="Hello.").wait(0.25).texts == [("a", "Hello.")]


def test_a_huge_message_that_may_be_a_text_is_not_read() -> None:
    dialogue = Dialogue().ready().say("a").hear(asr_reply="Hello.", blob="x" * (1 << 18))
    assert dialogue.failed.reason.startswith("a message of 262")
    assert dialogue.failed.blamed == "a"


@pytest.mark.parametrize("spoken", [True, False], ids=["asked", "unasked"])
@pytest.mark.parametrize("kind", ["partial", "final", "error", "info", "unknown"])
def test_a_service_that_never_stops_talking_fills_no_memory(kind: str, *, spoken: bool) -> None:
    dialogue = Dialogue().ready()
    if spoken:
        dialogue.say("a")
    tracemalloc.start()
    try:
        for n in range(500):
            text = f"{n:04} " * 3500
            fields = {"asr_reply": text} if kind in ("partial", "final") else {"message": text}
            dialogue.hear(type=kind, **fields).wait(0.001)
            dialogue.events.clear()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 1 << 20


def test_partials_of_one_utterance_are_told_once_each_and_in_order() -> None:
    dialogue = Dialogue().ready().say("a")
    for text in ("turn", "turn", " turn\n", "turn left", "turn left", "turn"):
        dialogue.hear(type="partial", asr_reply=text)
    partials = [event.text for event in dialogue.events if isinstance(event, PartialText)]
    assert partials == ["turn", "turn left", "turn"]


def test_a_final_in_mid_utterance_is_a_partial_where_it_says_something_new() -> None:
    dialogue = Dialogue().ready()
    dialogue.session.start(UtteranceId("a"), dialogue.now)
    dialogue.hear(type="partial", asr_reply="Turn left.").hear(asr_reply="Turn left.")
    dialogue.hear(asr_reply="").hear(asr_reply="Stop.")
    partials = [event.text for event in dialogue.events if isinstance(event, PartialText)]
    assert partials == ["Turn left.", "Turn left. Stop."]


def test_what_nobody_knows_does_not_make_a_session_ready() -> None:
    dialogue = Dialogue().hear(message_type="session_started").hear(type="welcome")
    assert dialogue.events == []
    assert dialogue.wait(5).events == [Ready("")]


def test_the_session_is_ready_once() -> None:
    dialogue = Dialogue().ready().ready().wait(10)
    assert dialogue.events == [Ready("1-a")]
