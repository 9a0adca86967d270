"""What is said to the broker, when, and in which words."""

from __future__ import annotations

from scribed.delivery.payloads import Moment
from scribed.delivery.publisher import LEAN_AFTER, Offer, Publisher
from scribed.delivery.topics import ALERT_CODES
from scribed.model import Alert, AlertCleared, Closed, Outcome, Partial
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


def publisher() -> Publisher:
    return Publisher(IDENTITY, stale_after_s=5.0)


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
    broker.take(0.0)
    said.take(final(1, at=100.0), moment(100.2))
    (offer,) = broker.write(100.2)
    assert offer.text is not None
    assert offer.text.payload == b"Turn left, please."
    assert offer.text.expiry_s == offer.message.expiry_s == 4
    said.lost()
    said.connected(20, None)
    again = next(offer for offer in broker.take(101.0) if offer.message.topic == "transcript")
    assert again.text is None
    said.take(final(2, at=101.0, reason="length"), moment(101.2))
    (cut,) = broker.take(101.2)
    assert cut.text is None


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
    assert offer.message == ("alert/quota", b"", None)


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
    assert said.outbox.held_until() == 110.2


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

    def even() -> bool:
        told = sum(said.published[topic] for topic in ("transcript", "late", "ended"))
        return said.accounts.detected == len(said.accounts) + said.outbox.finals + told

    for seq in range(1, 10):
        said.take(started(seq, seq), moment(seq))
        assert even()
    for seq in range(1, 6):
        said.take(final(seq, at=seq + 0.5), moment(10.0))
        assert even()
    broker.take(10.0)
    assert even()
    said.abandon()
    assert even()
    assert broker.finals(11.0) == ["ended"] * 4
    assert even()
