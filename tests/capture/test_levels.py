"""Levels: what full scale, silence, the quietest frame and the noise floor are."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.levels import SILENCE_DBFS, Meter, dbfs, power, quietest

FRAME = 320


def sine(level_dbfs: float) -> bytes:
    peak = 32768 * math.sqrt(2) * 10 ** (level_dbfs / 20)
    return array(
        "h", [round(peak * math.sin(2 * math.pi * 500 * i / 16_000)) for i in range(FRAME)]
    ).tobytes()


def noise(level_dbfs: float, chance: random.Random) -> bytes:
    sigma = 32768 * 10 ** (level_dbfs / 20)
    return array("h", [round(chance.gauss(0, sigma)) for _ in range(FRAME)]).tobytes()


def test_a_square_wave_at_both_ends_is_full_scale() -> None:
    assert dbfs(power(array("h", [-32768, 32767] * 160).tobytes())) == pytest.approx(0, abs=0.001)


def test_silence_has_a_level_that_fits_into_json() -> None:
    assert dbfs(power(bytes(640))) == dbfs(power(b"")) == SILENCE_DBFS
    assert dbfs(power(array("h", [1, -1] * 160).tobytes())) == pytest.approx(SILENCE_DBFS)


@pytest.mark.parametrize("level", [-60, -31.2, -6])
def test_a_tone_has_its_level(level: float) -> None:
    assert dbfs(power(sine(level))) == pytest.approx(level, abs=0.1)


@given(st.binary(max_size=640).filter(lambda pcm: len(pcm) % 2 == 0))
def test_every_frame_has_a_level_between_silence_and_full_scale(pcm: bytes) -> None:
    assert 0 <= power(pcm) <= 1
    assert SILENCE_DBFS <= dbfs(power(pcm)) <= 0


def test_the_quietest_frame_is_found_and_of_equal_ones_the_last() -> None:
    loud, quiet = sine(-20), sine(-50)
    assert quietest([loud, quiet, loud]) == 1
    assert quietest([quiet, loud, quiet, loud]) == 2
    assert quietest([loud]) == 0


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=12))
def test_no_frame_is_quieter_than_the_quietest(frames: list[bytes]) -> None:
    assert power(frames[quietest(frames)]) == min(map(power, frames))


def test_a_meter_that_was_fed_nothing_knows_nothing() -> None:
    meter = Meter()
    assert meter.level_dbfs is meter.noise_floor_dbfs is None
    assert meter.utterance_dbfs is meter.snr_db is None


def test_the_level_of_an_utterance_is_the_mean_power_of_its_voiced_frames() -> None:
    meter = Meter()
    meter.add(sine(-60), voiced=False)
    meter.open()
    for level, voiced in ((-20, True), (-20, True), (-70, False), (-40, True)):
        meter.add(sine(level), voiced=voiced)
    mean = (2 * 10**-2 + 10**-4) / 3
    assert meter.utterance_dbfs == pytest.approx(10 * math.log10(mean), abs=0.1)
    assert meter.level_dbfs == pytest.approx(-40, abs=0.1)


def test_the_voiced_frames_just_before_the_opening_belong_to_it() -> None:
    meter = Meter()
    meter.add(sine(-10), voiced=True)
    for _ in range(3):
        meter.add(sine(-60), voiced=False)
    meter.open()
    assert meter.utterance_dbfs is None
    meter.add(sine(-30), voiced=True)
    meter.open()
    assert meter.utterance_dbfs == pytest.approx(-30, abs=0.1)


def test_the_snr_is_that_of_speech_over_noise() -> None:
    meter, chance = Meter(), random.Random(1)
    for _ in range(300):
        meter.add(noise(-60, chance), voiced=False)
    meter.open()
    for _ in range(30):
        meter.add(sine(-40), voiced=True)
    assert meter.noise_floor_dbfs == pytest.approx(-60, abs=1.5)
    assert meter.snr_db == pytest.approx(20, abs=1.5)


def test_speech_below_the_noise_has_the_lowest_snr() -> None:
    meter = Meter()
    meter.add(sine(-20), voiced=False)
    meter.open()
    meter.add(sine(-60), voiced=True)
    assert meter.snr_db == -20


def test_a_slammed_door_does_not_lift_the_noise_floor() -> None:
    meter, chance = Meter(), random.Random(2)
    for _ in range(200):
        meter.add(noise(-60, chance), voiced=False)
    before = meter.noise_floor_dbfs
    for _ in range(3):
        meter.add(sine(-5), voiced=False)
    assert before is not None
    assert meter.noise_floor_dbfs == pytest.approx(before, abs=0.5)


def test_a_slam_at_the_start_is_soon_forgotten() -> None:
    meter, chance = Meter(), random.Random(3)
    meter.add(sine(-5), voiced=False)
    for _ in range(100):
        meter.add(noise(-60, chance), voiced=False)
    assert meter.noise_floor_dbfs == pytest.approx(-60, abs=3)


def test_a_fan_that_is_switched_on_and_off_is_followed() -> None:
    meter, chance = Meter(), random.Random(4)
    for level, frames in ((-70, 200), (-50, 600), (-70, 300)):
        for _ in range(frames):
            meter.add(noise(level, chance), voiced=False)
        assert meter.noise_floor_dbfs == pytest.approx(level, abs=1.5)
