"""Negotiating with a device whose rates, channels and formats depend on each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources.samples import WIDTHS
from scribed.capture.sources.shapes import Claim, Has, Shape, negotiate
from scribed.errors import SourceError
from scribed.model import RATE


class Card:
    """Gives what it has nearest to what is asked, as libasound does: format, channels, rate."""

    def __init__(self, *combinations: Shape, tells: bool = True) -> None:
        self.combinations, self.tells = combinations, tells
        self.asked: list[tuple[str, Shape]] = []
        self.open = 0

    def __call__(self, name: str, asked: Shape) -> Open:
        self.asked.append((name, asked))
        self.open += 1
        left = list(self.combinations)
        if name.startswith("plug"):
            return Open(self, asked)
        left = [each for each in left if each.format == asked.format] or left
        left = [each for each in left if each.channels == asked.channels] or left
        return Open(self, min(left, key=lambda each: abs(each.rate - asked.rate)))


class Open:
    """An open device."""

    def __init__(self, card: Card, shape: Shape) -> None:
        self._card, self.shape, self._open = card, shape, True

    def has(self) -> Has:
        rates = sorted({each.rate for each in self._card.combinations})
        channels = sorted({each.channels for each in self._card.combinations})
        formats = sorted({each.format for each in self._card.combinations})
        told = channels if self._card.tells else None
        return Has(rates[0] if len(rates) == 1 else rates, told, formats)

    def close(self) -> None:
        self._card.open -= self._open
        self._open = False


def got(card: Card, claim: Claim = Claim(), *, may_plug: bool = False) -> Shape:  # noqa: B008
    device = negotiate("hw:CARD=Mic", claim, card, may_plug=may_plug)
    assert card.open == 1
    device.close()
    return device.shape


def refused(card: Card, claim: Claim = Claim()) -> str:  # noqa: B008
    with pytest.raises(SourceError) as caught:
        got(card, claim)
    assert card.open == 0
    return str(caught.value)


def test_a_device_that_has_it_all_is_opened_once() -> None:
    card = Card(Shape(RATE, 1, "S16_LE"), Shape(48_000, 2, "S24_3LE"))
    assert got(card) == Shape(RATE, 1, "S16_LE")
    assert len(card.asked) == 1


def test_16_khz_counts_more_than_few_channels() -> None:
    array = Card(Shape(48_000, 2, "S16_LE"), Shape(RATE, 6, "S16_LE"))
    assert got(array) == Shape(RATE, 6, "S16_LE")


def test_the_other_combination_is_had_for_the_asking() -> None:
    array = Card(Shape(48_000, 2, "S16_LE"), Shape(RATE, 6, "S16_LE"))
    assert got(array, Claim(rate=48_000)) == Shape(48_000, 2, "S16_LE")
    assert got(array, Claim(channels=2)) == Shape(48_000, 2, "S16_LE")
    assert got(array, Claim(channel=4)) == Shape(RATE, 6, "S16_LE")


def test_no_half_of_the_band_is_lost_while_a_higher_rate_is_there() -> None:
    assert got(Card(Shape(8000, 1, "S16_LE"), Shape(48_000, 1, "S32_LE"))).rate == 48_000
    assert got(Card(Shape(8000, 1, "S16_LE"), Shape(11_025, 1, "S16_LE"))).rate == 11_025


def test_claims_that_hold_alone_but_not_together_are_told() -> None:
    array = Card(Shape(48_000, 2, "S16_LE"), Shape(RATE, 6, "S16_LE"))
    message = refused(array, Claim(rate=48_000, channels=6))
    assert "has 16000, 48000 Hz with 2, 6 channels as S16_LE, and gave " in message


def test_a_claim_that_does_not_hold_says_what_would() -> None:
    card = Card(Shape(48_000, 2, "S16_LE"))
    assert refused(card, Claim(rate=RATE)).startswith(
        'audio.rate: "hw:CARD=Mic" does not take 16000 Hz; it has 48000: write one of these, or 0'
    )
    assert "audio.channels" in refused(card, Claim(channels=6))
    assert 'has no channel 2; write a number up to 1, or "mix"' in refused(card, Claim(channel=2))


def test_what_cannot_be_heard_is_plugged_at_its_own_rate() -> None:
    card = Card(Shape(48_000, 2, "U8"))
    assert got(card, may_plug=True) == Shape(48_000, 2, "S16_LE")
    assert card.asked[-1][0] == "plughw:CARD=Mic"
    assert "gives U8" in refused(card)


SHAPES = st.builds(
    Shape,
    st.sampled_from([8000, 11_025, RATE, 44_100, 48_000, 96_000]),
    st.integers(1, 8),
    st.sampled_from([*WIDTHS, "U8"]),
)
CLAIMS = st.builds(
    Claim,
    st.sampled_from([0, 0, 8000, RATE, 48_000]),
    st.sampled_from([0, 0, 1, 2, 6]),
    st.sampled_from(["mix", "mix", 0, 1, 5]),
)


@given(st.lists(SHAPES, min_size=1, max_size=4), CLAIMS, st.booleans(), st.booleans())
def test_what_is_opened_is_what_was_claimed_and_can_be_heard_or_nothing_stays_open(
    combinations: list[Shape], claim: Claim, may_plug: bool, tells: bool
) -> None:
    card = Card(*combinations, tells=tells)
    try:
        shape = negotiate("hw:CARD=Mic", claim, card, may_plug=may_plug).shape
    except SourceError as exc:
        assert card.open == 0
        assert str(exc).startswith("audio.")  # noqa: PT017
        return
    assert card.open == 1
    assert shape.rate == claim.rate or not claim.rate
    assert shape.channels == claim.channels or not claim.channels
    assert shape.channels >= claim.least_channels
    assert shape.format in WIDTHS
    if (
        tells
        and not claim.rate
        and any(
            each.rate == RATE
            and each.channels >= claim.least_channels
            and each.channels == (claim.channels or each.channels)
            and each.format in WIDTHS
            for each in combinations
        )
    ):
        assert shape.rate == RATE
