"""Which of several microphones is spoken into."""

from __future__ import annotations

import random
from array import array

from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources.finding import ENOUGH_MS, Finding

FRAME = 320


def noise(amplitude: int, dice: random.Random) -> bytes:
    return array("h", [dice.randint(-amplitude, amplitude) for _ in range(FRAME)]).tobytes()


def hear(finding: Finding, name: str, *, quiet: int, speech: int, seconds: float = 4.0) -> None:
    """Syllables of 200 ms with pauses of 200 ms."""
    dice = random.Random(1)
    for frame in range(round(seconds * 50)):
        talks = bool(speech) and frame // 10 % 2 == 1
        finding.hear(name, noise(speech if talks else quiet, dice), voiced=talks)


def test_the_one_that_speech_stands_out_from_is_the_nearest() -> None:
    finding = Finding(["far", "near"], 20)
    hear(finding, "far", quiet=40, speech=400)
    hear(finding, "near", quiet=40, speech=4000)
    assert finding.decided()
    assert finding.nearest() == "near"


def test_a_microphone_that_is_only_more_sensitive_is_not_nearer() -> None:
    finding = Finding(["sensitive", "near"], 20)
    hear(finding, "sensitive", quiet=1000, speech=8000)
    hear(finding, "near", quiet=30, speech=3000)
    assert finding.nearest() == "near"


def test_a_fan_is_nobody_though_the_vad_takes_it_for_a_voice() -> None:
    finding, dice = Finding(["fan"], 20), random.Random(1)
    for _ in range(500):
        finding.hear("fan", noise(3000, dice), voiced=True)
    assert not finding.decided()
    assert finding.nearest() is None


def test_a_cough_is_not_enough() -> None:
    finding = Finding(["mic"], 20)
    hear(finding, "mic", quiet=40, speech=0)
    hear(finding, "mic", quiet=40, speech=4000, seconds=ENOUGH_MS / 1000)
    assert finding.nearest() is None


def test_a_dead_microphone_is_told_from_a_quiet_one() -> None:
    finding = Finding(["dead", "quiet", "absent"], 20)
    hear(finding, "dead", quiet=0, speech=0)
    hear(finding, "quiet", quiet=3, speech=0)
    assert [finding.heard(name).is_dead for name in ("dead", "quiet", "absent")] == [
        True,
        False,
        True,
    ]
    assert finding.heard("quiet").speech_dbfs is None


def test_a_microphone_that_is_silent_between_words_is_heard_too() -> None:
    finding = Finding(["gated"], 20)
    hear(finding, "gated", quiet=0, speech=2000)
    assert finding.nearest() == "gated"
    assert finding.heard("gated").rise_db > 40


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.tuples(st.integers(0, 2000), st.integers(0, 32_000), st.floats(0, 3)),
        min_size=1,
    )
)
def test_who_is_named_has_heard_enough(of: dict[str, tuple[int, int, float]]) -> None:
    finding = Finding(list(of), 20)
    for name, (quiet, speech, seconds) in of.items():
        hear(finding, name, quiet=quiet, speech=speech, seconds=seconds)
    nearest = finding.nearest()
    assert (nearest is not None) == finding.decided()
    if nearest is not None:
        assert finding.heard(nearest).speech_ms >= ENOUGH_MS / 2
        assert not finding.heard(nearest).is_dead
