"""A trouble that lasts or flaps is few lines, each with how often it had come."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from scribed import kinds
from scribed.complaints import FLAP_S, FLAPS, REPEAT_S
from scribed.service.repeats import Repeats
from tests.parts.told import Told


class Log:
    """A logger behind `Repeats`, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._told = Told()
        self.repeats = Repeats(self._told, lambda: self.now)
        self.logger = logging.Logger("test")  # noqa: LOG001 -- nobody else is to have it
        self.logger.addHandler(self.repeats)

    @property
    def records(self) -> list[logging.LogRecord]:
        return self._told.records

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def down(self, why: str = "refused") -> None:
        extra = kinds.LINK_DOWN(link="backoff", error=why, wait_s=1, utterances=2)
        self.logger.warning("link down: %s", why, extra=extra)

    def up(self) -> None:
        self.logger.info("link up", extra=kinds.LINK_UP(link="connected", provider="elevenlabs"))

    def lost(self) -> None:
        self.logger.warning("device lost: gone", extra=kinds.DEVICE_LOST(device="x", error="gone"))
        self.logger.error("no device", extra=kinds.NO_DEVICE(error="none"))

    def hears(self) -> None:
        extra = kinds.DEVICE_HEARS(device="front", rate=16_000, channels=1)
        self.logger.info("hears front", extra=extra)

    def alert(self, code: str) -> None:
        extra = kinds.ALERT(alert=code, severity="error", error="bad", remedy="mend it")
        self.logger.error("alert %s", code, extra=extra)

    def over(self, code: str) -> None:
        self.logger.info("alert %s is over", code, extra=kinds.ALERT_OVER(alert=code))


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.repeats.close()


def test_an_outage_of_an_hour_is_a_dozen_lines_and_its_end(log: Log) -> None:
    log.up()
    for _ in range(3600):
        log.now += 1
        log.down()
    log.up()
    assert log.lines[:3] == ["link up", "link down: refused", "link down: refused (300 times)"]
    assert len(log.lines) == 2 + 3600 / REPEAT_S
    assert log.lines[-1] == "link up (the fault had come 299 more time(s))"
    assert vars(log.records[2])["SCRIBED_REPEATED"] == 300
    assert not hasattr(log.records[1], "SCRIBED_REPEATED")


def test_a_link_that_flaps_is_two_lines_a_minute_and_the_last_one_is_true(log: Log) -> None:
    for _ in range(600):
        log.now += 1
        log.down()
        log.up()
        log.repeats.settle()
    assert len(log.lines) <= 2 * (600 / FLAP_S + 1 + FLAPS)
    assert log.lines[-1].startswith("link up")
    log.down()
    log.now += FLAP_S
    log.repeats.settle()
    assert log.lines[-1].startswith("link down: refused")
    log.up()
    assert log.lines[-1].startswith("link up")


def test_a_loose_plug_whose_two_troubles_have_one_end_is_told_to_the_last(log: Log) -> None:
    for _ in range(100):
        log.now += 3
        log.lost()
        log.hears()
        log.now += 2.9
        log.repeats.settle()
    assert len(log.lines) <= 3 * (600 / FLAP_S + 1 + FLAPS)
    assert log.lines[-1] == "hears front"
    assert log.lines.count("hears front") == log.lines.count("device lost: gone") + sum(
        line.startswith("device lost: gone (") for line in log.lines
    )


def test_an_end_is_told_where_its_beginning_was(log: Log) -> None:
    log.up()
    log.down()
    log.up()
    log.up()
    assert log.lines == ["link up", "link down: refused", "link up"]


def test_each_alert_is_a_story_of_its_own(log: Log) -> None:
    log.alert("quota")
    log.alert("no_device")
    log.over("quota")
    log.over("no_device")
    assert log.lines == [
        "alert quota",
        "alert no_device",
        "alert quota is over",
        "alert no_device is over",
    ]


def test_what_concerns_one_utterance_is_always_told(log: Log) -> None:
    for seq in (1, 2):
        extra = kinds.GIVEN_UP(utterance_id=f"id{seq}", seq=seq, attempt=5)
        log.logger.error("given up", extra=extra)
    assert log.lines == ["given up", "given up"]


def test_what_is_no_trouble_is_always_told(log: Log) -> None:
    for _ in range(2):
        log.logger.info("it yields", extra=kinds.OLD_SPEECH_YIELDS())
        log.logger.warning("a line of somebody else")
    assert len(log.lines) == 4


def test_at_the_end_nothing_is_held_back(log: Log) -> None:
    for _ in range(5):
        log.down()
    log.repeats.settle(everything=True)
    assert log.lines == ["link down: refused", "link down: refused (4 times)"]
