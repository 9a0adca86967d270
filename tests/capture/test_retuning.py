"""When another configuration takes effect: as soon as nobody is engaged, or late, but it does."""

from __future__ import annotations

from msgspec.structs import replace

from scribed.capture.orders import Retune
from scribed.capture.retuning import RETUNE_S, Retuning
from scribed.config import Echo, Listen, Motion
from tests.capture.rig import GATE, AnySound

FIRST = Retune(
    1,
    gate=GATE,
    echo=Echo(),
    motion=Motion(),
    listen=Listen(),
    chunk_bytes=3200,
    stall_s=60.0,
    silent_s=None,
    gate_settings={},
)
SECOND = replace(FIRST, number=2)


def test_it_takes_effect_once_and_at_once_where_nobody_is_engaged() -> None:
    retuning = Retuning()
    assert retuning.due(0.0, engaged=False) is None
    retuning.take(FIRST, 0.0)
    assert retuning.due(0.0, engaged=False) is FIRST
    assert retuning.due(0.0, engaged=False) is None


def test_it_waits_for_whoever_speaks_but_not_for_a_noise_that_does_not_end() -> None:
    retuning = Retuning()
    retuning.take(FIRST, 0.0)
    assert retuning.due(RETUNE_S - 0.1, engaged=True) is None
    assert retuning.waiting is FIRST
    assert retuning.due(RETUNE_S, engaged=True) is FIRST
    assert retuning.waiting is None


def test_the_newest_waits_anew_and_brings_what_the_one_before_it_wanted_anew() -> None:
    retuning = Retuning()
    retuning.take(replace(FIRST, new_vad=AnySound), 0.0)
    retuning.take(SECOND, 10.0)
    assert retuning.due(RETUNE_S, engaged=True) is None
    assert retuning.due(RETUNE_S + 10.0, engaged=True) == replace(SECOND, new_vad=AnySound)
