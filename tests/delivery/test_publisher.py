"""What is said to the broker, when, and in which words."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.config import Echo, TranscriptSection
from scribed.delivery.commands import COMMANDS
from scribed.delivery.events import Asked
from scribed.delivery.finals import LIMIT
from scribed.delivery.moment import Moment
from scribed.delivery.offers import Offer
from scribed.delivery.outbox import LEAN_AFTER
from scribed.delivery.publisher import Publisher
from scribed.delivery.report import Report, report
from scribed.delivery.schemas import Metrics, Muted
from scribed.delivery.topics import ALERT_CODES, Message
from scribed.model import (
    Alert,
    AlertCleared,
    Closed,
    EarlierBoot,
    EndReason,
    Final,
    Outcome,
    Partial,
    Recovered,
    Restated,
    RobotDid,
    RobotDoes,
)
from tests.delivery.peers import IDENTITY, PROVIDER, ended, final, started

WALL = 1_780_306_202.0


def moment(now: float) -> Moment:
    return Moment(now, WALL + now)


class Broker:
    """Writes what the publisher offers and acknowledges it."""

    def __init__(self, publisher: Publisher, *, max_payload: int | None = None) -> None:
        self.publisher, self.mid = publisher, 0
        publisher.connected(20, max_payload)

    def write(self, now: float) -> list[Offer]:
        offers = []
        while (offer := self.publisher.offer(moment(now))) is not None:
            if offer.too_large:
                self.publisher.set_aside(offer, now + 10)
                continue
            self.mid += 1
            self.publisher.written(offer, self.mid, moment(now))
            offers.append(offer)
            if len(offers) > 30:
                break
        return offers

    def take(self, now: float) -> list[Offer]:
        """Everything, acknowledged."""
        taken: list[Offer] = []
        while offers := self.write(now):
            for mid in range(self.mid - len(offers) + 1, self.mid + 1):
                self.publisher.acknowledged(mid)
            taken += offers
        return taken

    def finals(self, now: float) -> list[str]:
        topics = [offer.message.topic for offer in self.take(now)]
        return [topic for topic in topics if topic in ("transcript", "late", "ended")]


def publisher(
    *, late: Literal["publish", "drop"] = "publish", echo: Echo | None = None
) -> Publisher:
    config = TranscriptSection(late=late)
    return Publisher(IDENTITY, config, commands=COMMANDS, echo=echo or Echo())


def law(said: Publisher) -> Report:
    """The report, which must balance at any time."""
    now = report(said, connected=True, since=0.0, last_error=None, last_final_at=None)
    assert now.balance == 0
    return now


def test_a_connection_begins_with_online_and_ends_with_what_is_not_wrong() -> None:
    offers = Broker(publisher()).take(0.0)
    first, *rest = [(offer.message.topic, offer.message.payload) for offer in offers]
    assert first == ("status", b"online")
    assert ("muted", b"OFF") in rest
    assert {(f"alert/{code}", b"") for code in ALERT_CODES} <= set(rest)


def test_the_topic_is_chosen_each_time_a_final_is_written() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    said.take(final(1, at=100.0), moment(100.2))
    assert [offer.message.topic for offer in broker.write(100.2)] == ["transcript"]
    said.lost()
    said.connected(20, None)
    assert broker.finals(104.0) == ["transcript"]
    said.take(final(2, at=104.0), moment(104.5))
    assert broker.write(104.5)[0].message.topic == "transcript"
    said.lost()
    said.connected(20, None)
    assert broker.finals(110.0) == ["late"]


def decoded(offer: Offer) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(offer.message.payload)
    return said


def test_a_command_that_comes_after_an_utterance_reaches_it_by_its_lead() -> None:
    said = publisher(echo=Echo(lead_ms=1000))
    broker = Broker(said)
    broker.take(0.0)
    said.take(started(1, 98.0), moment(98.0))
    said.take(final(1, at=100.0), moment(100.6))
    said.robot_does(RobotDoes("speaking", True, 100.7, text="Turn left, please."))
    offer, *_ = broker.write(100.8)
    message = decoded(offer)
    assert message["caution"] == ["robot_speaking", "echo_text"]
    assert (message["while_robot_speaking"], message["while_robot_moving"]) == (True, None)
    assert offer.text is None, "nobody is to act on it"


def test_what_was_known_when_it_ended_is_not_forgotten_by_a_restart() -> None:
    spoken = final(1, at=100.0)
    did = RobotDid(True, False, ("Turn left, please.",))
    spoken = replace(spoken, ended=replace(spoken.ended, robot=did))
    for boot in (None, EarlierBoot("boot-0", WALL, True)):
        said = publisher()
        said.robot_does(RobotDoes("speaking", True, 200.0))
        said.robot_does(RobotDoes("moving", True, 99.0))
        begun = replace(spoken.started, boot=boot)
        said.take(replace(spoken, started=begun), moment(201.0))
        (message,) = (decoded(o) for o in Broker(said).take(201.0) if o.message.topic == "late")
        assert message["caution"][0] == "robot_speaking"
        assert "echo_text" in message["caution"]
        assert message["while_robot_moving"] is (boot is None), "by the clock of another boot: no"


def test_a_partial_says_what_the_robot_does_now() -> None:
    said = publisher()
    said.take(started(1, 98.0), moment(98.0))
    partial = Partial(started(1, 98.0), 1, "Turn", PROVIDER)
    message = said.partial(partial, moment(98.5))
    assert message is not None
    assert json.loads(message.payload)["while_robot_speaking"] is None
    said.robot_does(RobotDoes("speaking", True, 98.6))
    message = said.partial(partial, moment(98.7))
    assert message is not None
    assert json.loads(message.payload)["while_robot_speaking"] is True


def test_an_overtaken_final_is_late() -> None:
    said = publisher()
    broker = Broker(said)
    said.take(final(2, at=100.0), moment(100.2))
    said.take(final(1, at=99.0), moment(100.3))
    said.take(final(3, at=101.0), moment(101.3))
    assert broker.finals(101.3) == ["transcript", "late", "transcript"]


def test_the_plain_text_follows_its_transcript_once_and_only_without_a_caution() -> None:
    said = publisher()
    broker = Broker(said)
    said.take(started(1, 98.5), moment(98.5))
    said.take(started(2, 98.5), moment(98.5))
    broker.take(99.0)
    said.take(final(2, at=100.0), moment(100.2))
    (offer,) = broker.write(100.2)
    assert offer.text is not None
    assert offer.text.payload == b"Turn left, please."
    assert offer.text.expiry_s == offer.message.expiry_s == 4
    said.lost()
    said.connected(20, None)
    again = next(offer for offer in broker.take(101.0) if offer.message.topic == "transcript")
    assert again.text is None
    said.take(started(3, 101.0), moment(101.0))
    said.take(final(3, at=101.0, end=EndReason.LENGTH), moment(101.2))
    cut = next(o for o in broker.take(101.2) if o.message.topic == "transcript")
    assert cut.text is None


def test_a_language_that_is_not_spoken_here_is_a_caution_wherever_it_is_said() -> None:
    said = Publisher(IDENTITY, TranscriptSection(), commands=COMMANDS, languages=("de",))
    broker = Broker(said)
    broker.take(0.0)
    said.take(started(1, 98.5), moment(98.5))
    said.take(final(1, at=100.0), moment(100.2))  # English, as was detected
    (offer,) = [offer for offer in broker.take(100.2) if offer.message.topic == "transcript"]
    assert b'"caution":["language"]' in offer.message.payload
    assert offer.text is None
    asked_again(said, final(1, at=99.9), on=None)
    (again,) = broker.take(100.3)
    assert b'"caution":["language"]' in again.message.payload


def test_a_speaker_who_has_gone_on_is_a_caution_at_the_time_of_writing() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    said.take(started(1, 98.0), moment(98.0))
    said.take(final(1, at=100.0), moment(100.2))
    said.take(started(2, 100.1), moment(100.2))
    offers = [offer for offer in broker.take(100.2) if offer.message.topic == "transcript"]
    assert b'"caution":["more_speech"]' in offers[0].message.payload
    assert offers[0].text is None


def test_a_partial_is_for_an_open_utterance_only_and_never_empty() -> None:
    said = publisher()
    said.take(started(1, 98.0), moment(98.0))
    partial = Partial(started(1, 98.0), 1, "turn", PROVIDER)
    message = said.partial(partial, moment(99.0))
    assert message is not None
    assert (message.topic, message.expiry_s) == ("partial", 3)
    assert said.partial(Partial(started(1, 98.0), 2, "  ", PROVIDER), moment(99.0)) is None
    said.take(final(1, at=100.0), moment(100.2))
    assert said.partial(partial, moment(100.3)) is None


def test_a_second_end_of_an_utterance_is_not_published() -> None:
    said = publisher()
    said.take(final(1, at=100.0), moment(100.2))
    loss = said.take(Closed(started(1, 98.5), ended(1, 100.0), Outcome.FAILED), moment(100.3))
    assert loss is not None
    assert "utterance 1" in loss
    assert Broker(said).finals(100.4) == ["transcript"]
    assert said.dropped["repeated"] == 1


def test_an_alert_keeps_the_time_it_was_first_raised_until_it_is_cleared() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    said.take(Alert("quota", "used up", "buy more"), moment(10.0))
    said.take(Alert("quota", "still used up", "buy more"), moment(70.0))
    (offer,) = broker.take(70.0)
    assert offer.message.topic == "alert/quota"
    assert b'"since":"2026-06-01T09:30:12.000Z","message":"still used up"' in offer.message.payload
    said.take(AlertCleared("quota"), moment(80.0))
    (offer,) = broker.take(80.0)
    assert offer.message == Message("alert/quota", b"")


def test_a_final_that_is_too_large_for_the_broker_goes_without_its_words() -> None:
    said = publisher()
    said.take(final(1, at=100.0), moment(100.2))
    whole = next(o for o in Broker(said).write(100.2) if o.message.topic == "transcript")
    said.lost()
    small = Broker(said, max_payload=len(whole.message.payload) - 1)
    lean = next(o for o in small.write(100.3) if o.message.topic == "transcript")
    assert b'"words":null' in lean.message.payload


def test_a_final_that_no_trick_makes_small_enough_is_kept_for_later() -> None:
    said = publisher()
    broker = Broker(said, max_payload=200)
    said.take(final(1, at=100.0), moment(100.2))
    assert broker.finals(100.2) == []
    assert said.outbox.finals == 1
    assert said.outbox.held_until(100.3) == 110.2


def test_a_final_that_seems_to_break_every_connection_goes_without_its_words() -> None:
    said = publisher()
    said.take(final(1, at=100.0), moment(100.2))
    for _ in range(LEAN_AFTER):
        assert b'"words":[' in Broker(said).write(100.2)[1].message.payload
        said.lost()
    assert b'"words":null' in Broker(said).write(100.2)[1].message.payload


def test_the_account_is_even_at_any_time() -> None:
    said = publisher()
    broker = Broker(said)
    for seq in range(1, 4):
        spoken = final(seq, at=float(seq))
        said.take(Recovered(spoken.started, spoken.ended, 32_000), moment(10.0))
    for seq in range(4, 10):
        said.take(started(seq, seq), moment(10.0))
        assert law(said).open_accounts == seq
    for seq in range(1, 7):
        said.take(final(seq, at=seq + 0.5), moment(10.0))
        assert law(said).queued == seq
    broker.take(10.0)
    assert (law(said).texts, law(said).pending) == (6, 3)
    said.close(keep=True)
    assert (law(said).open_accounts, law(said).queued) == (3, 0)
    said.close(keep=False)
    assert (law(said).open_accounts, law(said).queued) == (0, 3)
    assert broker.finals(11.0) == ["ended"] * 3
    assert (law(said).detected, law(said).recovered, law(said).pending) == (6, 3, 0)


def test_the_account_is_even_where_the_outbox_overflows() -> None:
    said = publisher()
    for seq in range(1, LIMIT + 4):
        loss = said.take(Closed(started(seq, 1.0), None, Outcome.NO_SPEECH), moment(1.0))
        assert (loss is not None) == (seq > LIMIT)
    assert law(said).queued == LIMIT + 3
    assert law(said).dropped["evicted"] == 3


def test_a_recovered_utterance_is_no_speech_of_now() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    spoken = final(1, at=98.0)
    said.take(Recovered(spoken.started, spoken.ended, 32_000), moment(100.0))
    assert broker.take(100.0) == []
    assert said.partial(Partial(spoken.started, 1, "turn", PROVIDER), moment(100.0)) is None
    said.take(spoken, moment(100.5))
    assert broker.finals(100.5) == ["transcript"]
    assert (law(said).recovered, law(said).detected) == (1, 0)


def test_a_partial_of_an_utterance_that_ended_long_ago_is_not_live() -> None:
    said = publisher()
    said.take(started(1, 98.0), moment(98.0))
    said.take(ended(1, 100.0), moment(100.0))
    partial = Partial(started(1, 98.0), 1, "turn", PROVIDER)
    assert said.partial(partial, moment(104.9)) is not None
    assert said.partial(partial, moment(105.1)) is None


def test_what_an_earlier_run_may_have_said_is_repeated_on_transcript_but_not_on_text() -> None:
    said = publisher()
    recovered = final(5, at=99.0)
    said.take(Recovered(recovered.started, recovered.ended, 32_000), moment(99.5))
    said.take(final(4, at=98.0), moment(99.5))  # whose start was in an earlier run, too
    said.take(recovered, moment(100.0))
    said.take(started(6, 99.0), moment(100.0))
    said.take(final(6, at=100.0), moment(100.1))
    offers = [offer for offer in Broker(said).take(100.2) if offer.message.topic == "transcript"]
    assert [offer.text is not None for offer in offers] == [False, False, True]
    assert (law(said).recovered, law(said).detected, law(said).texts) == (2, 1, 3)


def test_what_an_earlier_run_said_last_is_not_undercut() -> None:
    said = Publisher(IDENTITY, TranscriptSection(), highest_seq=6)
    said.take(final(5, at=99.0), moment(99.5))
    said.take(final(6, at=99.2), moment(99.5))
    offers = [o for o in Broker(said).take(100.2) if o.message.topic in ("late", "transcript")]
    assert [offer.message.topic for offer in offers] == ["late", "transcript"]
    assert b'"late_reason":"overtaken"' in offers[0].message.payload


def test_where_late_speech_is_not_wanted_it_ends_as_expired() -> None:
    said = publisher(late="drop")
    broker = Broker(said)
    broker.take(0.0)
    boot = EarlierBoot("boot-0", WALL - 1000.0, clock_synced=True)
    said.take(final(1, at=90.0), moment(100.0))
    said.take(final(3, at=100.0), moment(100.0))
    said.take(final(2, at=100.0), moment(100.0))
    said.take(final(4, at=100.0, boot=boot), moment(100.0))
    offers = broker.take(100.5)
    topics = [offer.message.topic for offer in offers]
    assert sorted(topics) == ["ended", "ended", "ended", "transcript"]
    for offer in offers:
        if offer.message.topic == "ended":
            assert b'"outcome":"expired"' in offer.message.payload
    assert (law(said).texts, law(said).published["ended"]) == (1, 3)


def test_whether_late_speech_ends_is_decided_anew_each_time_it_is_written() -> None:
    said = publisher(late="drop")
    broker = Broker(said)
    broker.take(0.0)
    said.take(final(1, at=100.0), moment(100.1))
    assert [offer.message.topic for offer in broker.write(100.1)] == ["transcript"]
    said.lost()
    said.connected(20, None)
    assert broker.finals(106.0) == ["ended"]


def test_the_robot_is_told_when_the_microphone_is_muted() -> None:
    said = publisher()
    broker = Broker(said)
    said.take(Muted(on=True, reasons=("mqtt",)), moment(1.0))
    assert Message("muted", b"ON") in [offer.message for offer in broker.take(1.0)]
    said.take(Muted(on=False), moment(2.0))
    assert [offer.message for offer in broker.take(2.0)] == [Message("muted", b"OFF")]


def test_an_alert_from_before_the_clock_was_set_gets_the_right_time_afterwards() -> None:
    said = publisher()
    said.take(Alert("quota", "used up", "buy more"), Moment(10.0, 15.0))
    offers = Broker(said).take(20.0)  # by now the clock is set
    (alert,) = [o.message for o in offers if o.message.topic == "alert/quota" and o.message.payload]
    assert b'"since":"2026-06-01T09:30:12.000Z"' in alert.payload
    assert b'"t":"2026-06-01T09:30:22.000Z"' in alert.payload


def asked_again(said: Publisher, *items: Final | Closed, on: str | None) -> None:
    """Somebody asks for `items` once more, on the response topic `on`."""
    request = Asked("restate", b'{"since_seq": 0}', response_topic=on, correlation=b"7")
    ticket = said.replies.ask(request, moment(100.0))
    assert ticket is not None
    said.replies.restate(Restated(ticket.token, items), moment(100.0))


@pytest.mark.parametrize("on", [None, "answers/1"])
def test_what_is_said_again_is_marked_and_never_to_be_obeyed(on: str | None) -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    asked_again(said, final(1, at=99.9), on=on)
    (again,) = broker.take(100.0)
    assert (again.message.topic, again.message.address) == ("late", on)
    assert again.message.correlation == b"7"
    assert again.text is None
    assert b'"late_reason":"restated","restated":true' in again.message.payload
    assert said.published["restated"] == 1
    assert (law(said).texts, law(said).recovered) == (0, 0)


def test_an_end_is_said_again_only_to_who_asked() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    closed = Closed(started(2, 90.0), None, Outcome.FAILED)
    asked_again(said, closed, on="answers/1")
    (again,) = broker.take(100.0)
    assert again.message.address == "answers/1"
    assert b'"outcome":"failed"' in again.message.payload
    assert "ended" not in law(said).published


def test_what_is_said_again_goes_without_its_words_where_it_is_too_large() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    asked_again(said, final(1, at=99.9), on="answers/1")
    (whole,) = broker.write(100.0)
    said.lost()
    offers = Broker(said, max_payload=whole.message.size - 1).take(100.0)
    (lean,) = [offer for offer in offers if offer.message.topic == "late"]
    assert b'"words":null' in lean.message.payload


def test_a_topic_that_an_asker_named_is_no_trouble_of_ours() -> None:
    said = publisher()
    broker = Broker(said)
    broker.take(0.0)
    for on, trouble in (("answers/1", False), (None, True)):
        request = Asked("dance", b"", response_topic=on)
        said.replies.ask(request, moment(100.0))
        broker.write(100.0)
        assert (said.refused(broker.mid, 0.0) is not None) == trouble


def test_the_figures_hold_the_daemons_and_ours_which_know_better() -> None:
    said = publisher()
    said.take(started(1, 0.0), moment(1.0))
    message = said.metrics(
        Metrics({"scribed_frames_total": 7, "scribed_utterances_pending": 99}),
        law(said).metrics(),
        moment(1.0),
    )
    assert message is not None
    assert (message.topic, message.expiry_s) == ("metrics", 60)
    values = msgspec.json.decode(message.payload)["metrics"]
    assert values["scribed_frames_total"] == 7
    assert values["scribed_utterances_pending"] == 1
    assert values["scribed_utterances_balance"] == 0
    assert values["scribed_mqtt_transcript_total"] == 0
    assert all(re.fullmatch("scribed_[a-z_]+", name) for name in values)


@given(st.lists(st.tuples(st.sampled_from("srfcaxlk"), st.integers(1, 6)), max_size=60))
def test_the_law_holds_whatever_happens(steps: list[tuple[str, int]]) -> None:
    said = publisher(late="drop")
    broker, now = Broker(said), 100.0
    for step, seq in steps:
        now += 1.0
        spoken = final(seq, at=now - 0.5)
        match step:
            case "s":
                said.take(spoken.started, moment(now))
            case "r":
                said.take(Recovered(spoken.started, spoken.ended, 9), moment(now))
            case "f":
                said.take(spoken, moment(now))
            case "c":
                said.take(Closed(spoken.started, None, Outcome.FAILED), moment(now))
            case "a":
                broker.take(now)
            case "x":
                for offer in broker.write(now):
                    said.refused(broker.mid, now + len(offer.message.topic))
            case "l":
                broker.write(now)
                said.lost()
                said.connected(20, None)
            case _:
                said.close(keep=bool(seq % 2))
        law(said)
