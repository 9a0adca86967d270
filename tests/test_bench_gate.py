"""The benchmark of the gate: its truth, its figures and its words are counted right."""

from __future__ import annotations

import numpy as np
import pytest

from bench.gate.figures import figures, through
from bench.gate.rooms import FRAME, RATE, Frames, Room, closed, servo, spoken
from bench.gate.words import distance


def frames(pattern: str) -> Frames:
    return np.array([each == "#" for each in pattern])


def test_short_gaps_between_speech_are_speech() -> None:
    assert closed(frames(".#..#...#."), 2).tolist() == frames(".####...#.").tolist()


def test_speech_is_where_the_clean_voice_is_not_too_far_below_its_mean() -> None:
    tone = np.sin(np.arange(RATE) * 0.3) * 10_000
    clean = np.concatenate([np.zeros(RATE), tone, tone / 100, np.zeros(RATE)])
    speech = spoken(clean)
    assert np.flatnonzero(speech).tolist() == list(range(RATE // FRAME, 2 * RATE // FRAME))


def test_a_servo_is_as_loud_as_its_moves() -> None:
    sound = servo(10 * RATE, np.random.default_rng(1), rests_s=(2.0, 3.0), holds=0.0)
    loud = np.abs(sound) > 0
    assert 0.2 < loud.mean() < 0.8
    assert np.sqrt(np.mean(sound[loud] ** 2)) == pytest.approx(1.0, abs=0.15)


def test_the_figures_are_those_of_what_was_found_missed_and_let_through() -> None:
    truth = frames("." * 50 + "#" * 50 + "." * 400)
    says = "0" * 60 + "1" * 40 + "0" * 200 + "1" * 40 + "0" * 160
    room = Room("fan", 5, bytes(500 * FRAME * 2), truth, truth, [(50, 100)])
    found = figures("webrtc", room, says, cpu_s=0.01)
    assert found.tpr == pytest.approx(0.8)
    assert found.fpr == pytest.approx(40 / 450)
    assert found.delivered == 1.0, "the pre-roll of 300 ms gives back the 200 ms"
    assert (found.onset_ms, found.end_ms) == (0, 0)
    assert found.false_per_h == pytest.approx(360), "one in 10 s"
    assert found.cpu_s_per_h == pytest.approx(3.6)
    late = figures("rhasspy-silence", room, "0" * 90 + "1" * 5 + "0" * 405, cpu_s=0.0)
    assert late.onset_ms == pytest.approx((90 - 25 - 50) * 20)
    assert late.end_ms == pytest.approx(5 * 20)


def test_two_stages_have_more_pre_roll() -> None:
    voiced = frames("." * 50 + "#" * 50 + "." * 50)
    (plain,), (two,) = through("webrtc", voiced), through("two_stage, floor", voiced)
    assert plain == (35, 125)
    assert two == (27, 125)


@pytest.mark.parametrize(
    ("recognised", "errors"),
    [("go forward", 0), ("go", 1), ("no forward", 1), ("oh go for word", 3), ("", 2)],
)
def test_word_errors_are_replaced_inserted_and_left_out(recognised: str, errors: int) -> None:
    assert distance(["go", "forward"], recognised.split()) == errors
