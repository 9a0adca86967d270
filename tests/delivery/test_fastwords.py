"""Words of command: which are told, when, and which are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.config import Echo, Mqtt, TranscriptSection
from scribed.delivery.moment import Moment
from scribed.delivery.offers import Offer
from scribed.delivery.publisher import Publisher
from scribed.delivery.topics import MUTED_OFF
from scribed.demo.broker import Broker
from scribed.model import EarlierBoot, EndReason, Partial, Recovered, RobotDoes
from scribed.text import slug, words
from tests.delivery.peers import IDENTITY, PROVIDER, Rig, Robot, ended, final, started, wait_for

WALL = 1_780_306_202.0
LISTED = ("stop", "Turn left!", "don't", "停止")


def moment(now: float, wall: float = WALL) -> Moment:
    return Moment(now, wall + now)


class Ear:
    """A publisher, what it is told at which time, and the fast words that it tells."""

    def __init__(self, *fast_words: str, **config: Any) -> None:
        section = TranscriptSection(fast_words=fast_words or LISTED, **config)
        self.said = Publisher(IDENTITY, section, echo=Echo(mode="barge_in"))
        self.said.connected(20, None)
        self.now, self.mid = 100.0, 0
        self.told()

    def starts(self, seq: int = 1) -> None:
        self.said.take(started(seq, self.now), moment(self.now))

    def hears(self, text: str, seq: int = 1, *, rev: int = 1, wall: float = WALL) -> list[str]:
        """A partial; the topics of the words that it makes."""
        at = self.now - 0.5
        self.said.hear(Partial(started(seq, at), rev, text, PROVIDER), moment(self.now, wall))
        return [offer.message.topic for offer in self.told()]

    def ends(self, text: str, seq: int = 1, **how: Any) -> list[str]:
        """A final; the same."""
        self.said.take(final(seq, self.now - 0.3, text, **how), moment(self.now))
        return [offer.message.topic for offer in self.told()]

    def told(self) -> list[Offer]:
        """Everything is written and acknowledged; the fast words of it."""
        offers = []
        while (offer := self.said.offer(moment(self.now))) is not None:
            self.mid += 1
            self.said.written(offer, self.mid, moment(self.now))
            self.said.acknowledged(self.mid)
            offers.append(offer)
        return [offer for offer in offers if offer.message.topic.startswith("word/")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stop", ["word/stop"]),
        ("Stop, please.", ["word/stop"]),
        ("please STOP", ["word/stop"]),
        ("stopping", []),
        ("non-stop", ["word/stop"]),
        ("turn  left", ["word/turn-left"]),
        ("Turn. Left.", ["word/turn-left"]),
        ("turn right, not left", []),
        ("left turn", []),
        ("stop and turn left", ["word/stop", "word/turn-left"]),
        ("Don\u2019t!", ["word/dont"]),
        ("请停止吧", ["word/停止"]),
        ("[stop] (stop)", []),
        ("", []),
    ],
)
def test_a_word_is_whole_and_its_case_and_punctuation_do_not_matter(
    text: str, told: list[str]
) -> None:
    ear = Ear()
    ear.starts()
    assert ear.hears(text) == told


def test_a_word_is_told_once_in_an_utterance_and_again_in_the_next() -> None:
    ear = Ear()
    ear.starts()
    assert ear.hears("sto") == []
    assert ear.hears("stop") == ["word/stop"]
    assert ear.hears("stop turn left") == ["word/turn-left"]
    assert ear.ends("Stop. Turn left.") == []
    ear.starts(2)
    assert ear.ends("Stop.", 2) == ["word/stop"]


def test_what_it_says_and_until_when() -> None:
    ear = Ear()
    ear.starts()
    ear.said.hear(Partial(started(1, 99.0), 4, " please  stop", PROVIDER), moment(ear.now))
    (offer,) = ear.told()
    said = json.loads(offer.message.payload)
    assert offer.message.expiry_s == 2
    assert said["schema"] == "stt.word/1"
    assert (said["seq"], said["rev"], said["word"], said["is_final"]) == (1, 4, "stop", False)
    assert (said["text"], said["caution"]) == ("please stop", [])
    assert said["expires_at"] > said["t"]


def test_a_word_that_only_the_final_has_is_told_with_it() -> None:
    ear = Ear()
    ear.starts()
    assert ear.hears("step") == []
    ear.said.take(final(1, ear.now - 0.3, "Stop."), moment(ear.now))
    (offer,) = ear.told()
    assert json.loads(offer.message.payload)["is_final"] is True


def test_a_word_expires_with_the_text_that_it_is_in() -> None:
    ear = Ear(stale_after_s=1.0)
    ear.starts()
    ear.said.take(final(1, ear.now - 0.3, "Stop."), moment(ear.now))
    (offer,) = ear.told()
    assert offer.message.expiry_s == 1


def test_late_speech_has_no_fast_words() -> None:
    ear = Ear()
    ear.starts()
    ear.said.take(ended(1, ear.now), moment(ear.now))
    ear.now += 6.0
    assert ear.hears("stop") == []
    ear.said.take(final(1, ear.now - 6.0, "stop"), moment(ear.now))
    assert ear.told() == []


def test_overtaken_speech_has_none() -> None:
    ear = Ear()
    ear.starts(1)
    ear.starts(2)
    assert ear.ends("Stop.", 2) == ["word/stop"]
    assert ear.hears("stop", 1) == []
    assert ear.ends("stop", 1) == []


def test_speech_of_an_earlier_run_or_boot_has_none() -> None:
    ear = Ear()
    spoken = final(1, ear.now - 0.3, "stop")
    ear.said.take(Recovered(spoken.started, spoken.ended, 9), moment(ear.now))
    assert ear.hears("stop") == []
    assert ear.ends("stop") == []
    assert ear.ends("stop", 2, boot=EarlierBoot("b0", 0.0, True)) == []


def test_a_word_that_waits_for_the_broker_for_too_long_is_not_told_any_more() -> None:
    ear = Ear()
    ear.starts()
    ear.said.hear(Partial(started(1, 99.0), 1, "stop", PROVIDER), moment(ear.now))
    ear.now += 2.1
    assert ear.told() == []
    assert ear.hears("stop") == [], "it was told, as far as it could be"


@pytest.mark.parametrize("doubt", [{"end": EndReason.LENGTH}, {"lost_ms": 20}])
def test_a_text_in_doubt_has_no_fast_words(doubt: dict[str, Any]) -> None:
    ear = Ear()
    ear.starts()
    assert ear.ends("stop", **doubt) == []


@pytest.mark.parametrize("how", ["partial", "final"])
def test_who_calls_it_again_at_once_is_heard_each_time_and_told_so(how: str) -> None:
    ear = Ear()
    ear.starts(1)
    ear.starts(2)
    if how == "partial":
        ear.said.hear(Partial(started(1, ear.now), 1, "stop", PROVIDER), moment(ear.now))
    else:
        ear.said.take(final(1, ear.now - 0.3, "stop"), moment(ear.now))
    words = [o for o in ear.told() if o.message.topic == "word/stop"]
    assert [json.loads(word.message.payload)["caution"] for word in words] == [["more_speech"]]
    assert ear.ends("stop", 2) == ["word/stop"]


def test_a_robot_that_moves_is_stopped_and_told_that_it_moved() -> None:
    ear = Ear()
    ear.said.robot_does(RobotDoes("moving", True, ear.now - 1))
    ear.starts()
    ear.said.hear(Partial(started(1, ear.now), 1, "stop", PROVIDER), moment(ear.now))
    (offer,) = ear.told()
    assert json.loads(offer.message.payload)["caution"] == ["robot_moving"]


def test_a_robot_that_was_interrupted_is_told_so_and_not_its_own_words() -> None:
    ear = Ear()
    says = RobotDoes("speaking", True, ear.now - 1, "tts", text="I turn left now at the next door.")
    ear.said.robot_does(says)
    ear.starts()
    assert ear.hears("turn left") == []
    assert ear.hears("I turn left now, stop") == [], "that is mostly what the robot said"
    assert ear.hears("will you stop, and turn left") == ["word/stop"]


def test_a_clock_that_was_never_set_takes_no_words() -> None:
    ear = Ear()
    ear.starts()
    assert ear.hears("stop", wall=0.0) == ["word/stop"]


def test_other_words_count_from_a_reload_on() -> None:
    ear = Ear("stop")
    ear.starts()
    section = TranscriptSection(fast_words=("go",))
    ear.said.retune(IDENTITY, section, commands=(), languages=(), echo=Echo(), mqtt=Mqtt())
    assert ear.hears("stop go") == ["word/go"]


@given(st.lists(st.text("stop nw-'", max_size=12), max_size=8))
def test_whatever_is_heard_each_word_is_told_once_and_is_there(texts: list[str]) -> None:
    ear = Ear("stop", "stop now")
    ear.starts()
    told = [topic for text in texts for topic in ear.hears(text)]
    assert len(told) == len(set(told))
    assert ("word/stop" in told) == any("stop" in words(text) for text in texts)


@pytest.mark.parametrize(
    ("phrase", "level"),
    [("Turn left!", "turn-left"), ("DON'T", "dont"), ("a/b+c#", "a-b-c"), ("?!", "")],
)
def test_a_phrase_is_one_level_of_a_topic(phrase: str, level: str) -> None:
    assert slug(phrase) == level


def test_a_word_is_on_the_broker_before_the_sentence_ends_and_without_partials(
    broker: Broker,
) -> None:
    with (
        Robot(broker.port) as robot,
        Rig(broker.port, fast_words=("stop",), partials=False) as rig,
    ):
        rig.online()
        robot.hears("muted")
        now = rig.now()
        rig.post(started(1, now - 0.5), Partial(started(1, now - 0.5), 1, "stop", PROVIDER))
        (message,) = robot.hears("word/stop")
        assert (message.qos, message.retain, message.expiry_s) == (1, False, 2)
        assert message.content_type == "application/json"
        rig.post(ended(1, now), final(1, now, "Stop. Now."))
        robot.hears("transcript")
        rig.finish()
        robot.hears("status", 2)
        assert len(robot.on("word/stop")) == 1
        assert not robot.on("partial")
        assert robot.on("muted")[0].payload == MUTED_OFF
        wait_for(lambda: rig.delivery.report.published["word"] == 1)


def test_an_early_text_is_looked_through_and_not_shown(broker: Broker) -> None:
    with Robot(broker.port) as robot, Rig(broker.port, fast_words=("stop",)) as rig:
        rig.online()
        now = rig.now()
        held = Partial(started(1, now - 0.5), 1, "stop", PROVIDER, shown=False)
        rig.post(started(1, now - 0.5), held)
        robot.hears("word/stop")
        rig.post(replace(held, rev=2, text="stop now", shown=True))
        (message,) = robot.hears("partial")
        assert message.json["rev"] == 2
