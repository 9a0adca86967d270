"""Whatever OpenMind says, and whenever: the session never raises, answers no utterance twice and
loses none."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scribed.config import ProviderSection
from scribed.interfaces import Committed, Failed, PartialText, Ready
from scribed.model import UtteranceId, pcm_bytes
from scribed.uplink.providers.openmind import OpenMindSession
from scribed.uplink.providers.openmind_scrub import MAX_LINE, Scrub

KEY = "om1_live_/s3cret+1"
FOREVER_S = 100.0

CONNECTION = json.dumps({"type": "connection", "clientId": "1-a"})
words = st.sampled_from(["", "go", "stop", "turn left", " turn\nleft", "你好", "e\u0301", "\ud800"])
types = st.sampled_from(
    ["partial", "committed", "final", "", None, "info", "error", "speech_end", "connection", "new"]
)
said = st.one_of(
    words, st.sampled_from(["Recognition session restarted", "buffer full", "Invalid API key"])
)
fields = st.fixed_dictionaries(
    {"type": types},
    optional={
        "asr_reply": st.one_of(words, st.none(), st.integers()),
        "message": said,
        "error": said,
        "clientId": st.sampled_from(["1-a", KEY, "", None]),
        "time": st.one_of(st.integers(), st.text()),
    },
)
texts = st.builds(
    lambda type_, text: {"type": type_, "asr_reply": text},
    st.sampled_from(["partial", "partial", "committed", "", None]),
    words,
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
messages = st.one_of(
    texts.map(json.dumps),
    texts.map(json.dumps),
    fields.map(json.dumps),
    fields.map(lambda m: json.dumps(m).encode()),
    json_values.map(json.dumps),
    st.text(max_size=40),
    st.binary(max_size=40),
)
steps = st.lists(
    st.one_of(
        messages,
        messages,
        st.sampled_from([0.0, 0.01, 0.2, 0.25, 1.0, 5.0, 7.0]),
        st.just("say"),  # the next thing that an utterance needs: its start, its audio, its end
        st.just("say"),
        st.tuples(st.sampled_from([1000, 1008, 1011, None]), said),
    ),
    max_size=40,
)


class Performance:
    """A session as the uplink uses it: the next end only when the last one is answered."""

    def __init__(self, **options: object) -> None:
        provider = msgspec.convert({"openmind": options}, ProviderSection)
        self.session = OpenMindSession(provider, KEY)
        self.now = 1000.0
        self.begun: list[str] = []
        self.unanswered: list[str] = []
        self.answered: dict[str, str] = {}
        self.supposed: list[str] = []  # of whom nothing was heard
        self.partials: list[str] = []
        self.over: Failed | None = None
        self._open: str | None = None
        self._has_audio = self._may_depart = False
        self._ready = False
        self.session.handle_timer(self.now)
        self._collect()

    def say(self) -> None:
        """Do what comes next for the utterance that is spoken, where it may be done."""
        if self.over is not None or not self._ready:
            return
        if self._may_depart:
            self.session.departed(UtteranceId(self.unanswered[-1]), self.now)
            self._may_depart = False
        elif self._open is None:
            self._open = f"u{len(self.begun)}"
            self.begun.append(self._open)
            self.session.start(UtteranceId(self._open), self.now, attempt=1 + len(self.begun) % 2)
            self._has_audio = False
        elif not self._has_audio:
            self.session.audio(bytes(pcm_bytes(60)), self.now)
            assert not self.session.pause(self.now)
            self._has_audio = True
        elif not self.unanswered:
            self.session.end(self.now)
            self.unanswered.append(self._open)
            self._open, self._may_depart = None, True
        self._collect()

    def hear(self, message: str | bytes) -> None:
        self.session.receive(message, self.now)
        self._collect()

    def close(self, code: int | None, reason: str) -> None:
        if self.over is None:
            self.session.receive_close(code, reason)
            self._collect()
            assert self.over is not None

    def wait(self, duration_s: float) -> None:
        end = self.now + duration_s
        while (due := self.session.timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.handle_timer(self.now)
            due = self.session.timer()
            assert due is None or due > self.now, "it is due again at once: a busy loop"
            self._collect()
        self.now = end

    def finish(self) -> None:
        """All that was begun is spoken to its end, and the service says nothing more."""
        for _ in range(8):
            self.say()
            if self._may_depart:
                self.say()
            self.wait(FOREVER_S)

    def _collect(self) -> None:
        for message in self.session.messages_to_send():
            assert len(message) < 10_000
        for event in self.session.events():
            assert self.over is None, "it goes on after its end"
            assert "s3cret" not in repr(event)
            if isinstance(event, Ready):
                assert not self._ready
                self._ready = True
            elif isinstance(event, Failed):
                self.over = event
                assert event.blamed in (None, *self.begun)
                assert event.blamed not in self.answered
            elif isinstance(event, PartialText):
                assert event.utterance_id in self.begun
                assert event.utterance_id not in self.answered
                self.partials.append(event.text)
            elif isinstance(event, Committed):
                assert [event.utterance_id] == self.unanswered, "not the one that is next"
                assert event.utterance_id not in self.answered
                self.answered[event.utterance_id] = event.answer.text
                assert event.answer.guessed == (event.final_reason == "no_commit")
                if event.answer.guessed and not event.answer.text:
                    self.supposed.append(event.utterance_id)
                self.unanswered.clear()


def perform(performance: Performance, script: list[object]) -> None:
    for step in script:
        if step == "say":
            performance.say()
        elif isinstance(step, float):
            performance.wait(step)
        elif isinstance(step, tuple):
            performance.close(*step)
        else:
            assert isinstance(step, (str, bytes))
            performance.hear(step)


@settings(max_examples=400, deadline=None)
@given(
    script=steps,
    greeted=st.booleans(),
    route=st.sampled_from(["elevenlabs", "google", "riva"]),
    framing=st.sampled_from(["json", "binary"]),
)
@example(script=["say"] * 3 + [b"\xff"], greeted=True, route="google", framing="json")
def test_every_utterance_is_answered_once_or_the_session_fails(
    script: list[object], greeted: bool, route: str, framing: str
) -> None:
    performance = Performance(route=route, framing=framing)
    if greeted:
        performance.hear(CONNECTION)
    perform(performance, script)
    performance.finish()
    assert performance.over is not None or [*performance.answered] == performance.begun
    assert performance.session.sent_s() <= len(performance.begun) * 1.6
    if performance.supposed:
        assert performance.supposed == [[*performance.answered][-1]], "it goes on after a guess"
        assert performance.over is not None
        assert performance.begun.index(performance.supposed[0]) % 2 == 0, "the first attempt"


@settings(max_examples=200, deadline=None)
@given(
    script=st.lists(
        st.one_of(
            st.sampled_from(["say", "say", 0.1, 5.0]),
            st.just(json.dumps({"asr_reply": ""})),
            st.just(json.dumps({"type": "partial", "asr_reply": " "})),
            st.just(json.dumps({"type": "speech_start"})),
        ),
        max_size=40,
    ),
    greeted=st.booleans(),
    route=st.sampled_from(["elevenlabs", "google", "riva"]),
)
def test_of_a_service_without_a_word_it_is_never_supposed_that_nobody_spoke(
    script: list[object], greeted: bool, route: str
) -> None:
    performance = Performance(route=route)
    if greeted:
        performance.hear(CONNECTION)
    perform(performance, script)
    performance.finish()
    assert performance.supposed == []
    assert performance.over is None or performance.over.remedy.value in ("reconnect", "back_off")


def overheard(
    route: str, sentences: list[tuple[float, float]], rate: float, speed: float, delay_s: float
) -> tuple[list[tuple[str, bool]], float, float]:
    """What becomes of one utterance, sent at `rate` seconds in a second, that the service hears at
    `speed` and tells `delay_s` later: a final 0.4 s behind each sentence (its length, the pause
    before it), and partials where the route has them. The answers with whether they are guessed,
    when the first was given and when the last final came."""
    provider = msgspec.convert({"language": "en", "openmind": {"route": route}}, ProviderSection)
    session, at = OpenMindSession(provider, KEY), 0.0
    said: list[tuple[float, dict[str, str]]] = [(0.0, {"type": "connection"})]
    for number, (length_s, pause_s) in enumerate(sentences):
        at += pause_s
        if route == "elevenlabs":
            said += [
                (at + step * 0.3, {"type": "partial", "asr_reply": f"part {number} {step}"})
                for step in range(1, int(length_s / 0.3) + 1)
            ]
        at += length_s
        said.append((at + 0.4, {"asr_reply": f"s{number}"}))
    due = [(1.0 + heard / speed + delay_s, json.dumps(message)) for heard, message in said]
    session.handle_timer(0.0)
    session.receive(due.pop(0)[1], 0.0)
    chunks, now, left_at = round(at * 50), 1.0, 0.0
    session.start(UtteranceId("a"), now)
    answers: list[tuple[str, bool]] = []
    answered_at, last_at, sent = 0.0, due[-1][0], 0
    while now < 60.0:
        while sent < chunks and 1.0 + sent * 0.02 / rate <= now:
            session.audio(bytes(pcm_bytes(20)), now)
            sent += 1
        if sent == chunks and not left_at:
            session.end(now)
            session.departed(UtteranceId("a"), now)
            left_at = now
        session.messages_to_send()
        while due and due[0][0] <= now:
            session.receive(due.pop(0)[1], now)
        if (timer := session.timer()) is not None and timer <= now:
            session.handle_timer(now)
        for event in session.events():
            if isinstance(event, Committed):
                answers.append((event.answer.text, event.answer.guessed))
                answered_at = answered_at or now
        now = round(now + 0.02, 2)
    return answers, answered_at, last_at


@settings(max_examples=60, deadline=None)
@given(
    route=st.sampled_from(["elevenlabs", "google", "riva"]),
    sentences=st.lists(st.tuples(st.floats(0.7, 3.0), st.floats(0.4, 1.0)), min_size=1, max_size=4),
    rate=st.sampled_from([1.0, 1.5, 2.0]),
    share=st.floats(0.0, 1.0),
    delay=st.floats(0.0, 1.0),
)
@example(route="riva", sentences=[(1.0, 0.4)] * 3, rate=2.0, share=0.0, delay=0.3)
@example(route="elevenlabs", sentences=[(1.0, 0.4)] * 3, rate=2.0, share=0.0, delay=1.0)
@example(route="google", sentences=[(0.7, 0.4), (0.7, 0.45)], rate=1.0, share=0.0, delay=1.0)
def test_no_pause_cuts_an_utterance_short_however_slow_the_ear(
    route: str, sentences: list[tuple[float, float]], rate: float, share: float, delay: float
) -> None:
    delay_s = delay * 0.3 if route == "elevenlabs" else delay
    speed = 1.0 + share * (rate - 1.0)
    answers, answered_at, last_at = overheard(route, sentences, rate, speed, delay_s)
    assert answers == [(" ".join(f"s{n}" for n in range(len(sentences))), False)]
    if route == "elevenlabs" and rate == 1.0:
        assert answered_at - last_at <= 0.3


@settings(max_examples=300, deadline=None)
@given(
    script=st.lists(
        st.one_of(st.just("final"), st.just("partial"), st.just("say"), st.just(0.1)), max_size=60
    )
)
def test_every_word_of_a_final_is_told_once_or_counted(script: list[object]) -> None:
    performance = Performance()
    performance.hear(CONNECTION)
    heard: list[str] = []
    ignored = 0
    for number, step in enumerate(script):
        if step == "final" and performance.over is None:
            before = performance.session.ignored_finals
            performance.hear(json.dumps({"asr_reply": f"word{number}"}))
            if performance.session.ignored_finals == before:
                heard.append(f"word{number}")
            else:
                ignored += 1
        elif step == "partial":
            performance.hear(json.dumps({"type": "partial", "asr_reply": f"part{number}"}))
        elif step in ("say", 0.1):
            perform(performance, [step])
    performance.finish()
    told = " ".join(performance.answered.values()).split()
    told = [word for word in told if word.startswith("word")]
    assert told == heard[: len(told)]
    assert performance.over is not None or told == heard
    assert ignored == performance.session.ignored_finals


secrets = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*"),
    min_size=6,
    max_size=30,
)


@settings(deadline=None)
@given(
    key=secrets,
    around=st.lists(st.text(max_size=300), min_size=2, max_size=4),
    spell=st.sampled_from(
        [
            lambda key: key,
            lambda key: quote(key, safe=""),
            quote_plus,
            lambda key: quote(quote(key, safe="")),
            lambda key: json.dumps(key)[1:-1],
        ]
    ),
)
def test_no_spelling_of_a_key_survives(key: str, around: list[str], spell: object) -> None:
    assert callable(spell)
    line = Scrub(key)(spell(key).join(around))
    for secret in (key, spell(key), quote(key, safe="")):
        assert secret not in line
    assert len(line) <= MAX_LINE
    assert line.isprintable()
