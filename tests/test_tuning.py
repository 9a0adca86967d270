"""Proposals for a room: fewer false openings, as much speech, and nothing where all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from scribed.config import Audio, Config, Vad
from scribed.recording import Decisions
from scribed.tuning import Advice, Score, Sound, advise, pauses, score

QUIET, SPEECH, NOISE = -60.0, -25.0, -58.0
MS = 20


def room(plan: str, quiet_s: float = 0.0, **more: Any) -> Sound:
    """A tenth of a second for each letter: `s` speech, `n` a noise, `.` neither."""
    level = {"s": SPEECH, "n": NOISE, ".": QUIET}
    levels = [level[letter] for letter in plan for _ in range(5)]
    return Sound(MS, levels, more.get("peak", 9000), more.get("clipped", 0.0),
                 more.get("still_s", 0.0), quiet_s)  # fmt: skip


def opened(plan: str, by: str) -> Decisions:
    """A gate that is open while one of these letters is heard."""
    voices = "".join(("#" if letter in by else ".") * 5 for letter in plan)
    notes, is_open = [], False
    for frame, voice in enumerate(voices):
        if (voice == "#") != is_open:
            is_open = not is_open
            notes.append((frame, "open 1" if is_open else "end commit 100 0"))
    return Decisions(
        voices, "".join("=" if voice == "#" else "." for voice in voices), tuple(notes)
    )


def test_an_opening_without_speech_in_it_is_false_and_speech_outside_is_not_heard() -> None:
    plan = "..nn..ss..ss.."
    loud = room(plan).loud
    assert score(opened(plan, "sn"), loud, MS) == Score(3, 1, 1.0)
    half = opened("..nn..ss......", "s")
    assert score(half, loud, MS) == Score(1, 0, 0.5)


PLAN = "." * 20 + "nn..nn" + "." * 10 + "s" * 30 + "......"


def gate(values: Mapping[str, Any]) -> Decisions:
    """From aggressiveness 3 on no noise passes."""
    return opened(PLAN, "s" if values.get("vad.aggressiveness", 2) == 3 else "sn")


def advice(sound: Sound | None = None, config: Config | None = None) -> Advice:
    return advise(sound or room(PLAN), config or Config(), gate)


def test_a_gate_that_opens_for_noise_is_made_stricter_and_no_more_than_needed() -> None:
    found = advice()
    assert found.now == Score(3, 2, 1.0)
    (proposal,) = found.proposals
    assert (proposal.key, proposal.old, proposal.new) == ("vad.aggressiveness", 2, 3)
    assert "0 false openings instead of 2" in proposal.why


def test_a_second_stage_is_proposed_where_only_that_helps() -> None:
    def two(values: Mapping[str, Any]) -> Decisions:
        return opened(PLAN, "s" if values.get("vad.engine") == "two_stage" else "sn")

    found = advise(room(PLAN), Config(vad=Vad(engine="webrtc")), two)
    assert [(each.key, each.new) for each in found.proposals] == [("vad.engine", "two_stage")]


def test_where_all_is_well_nothing_is_proposed() -> None:
    assert advice(config=Config(vad=Vad(aggressiveness=3))).now.false == 2
    found = advise(room(PLAN), Config(), lambda _values: opened(PLAN, "s"))
    assert found.proposals == ()
    assert found.snr_db == pytest.approx(35, abs=1)


def test_without_speech_nothing_is_proposed_for_the_gate() -> None:
    found = advise(room("." * 50), Config(), lambda _values: opened("." * 50, "s"))
    assert found.proposals == ()
    assert "too little" in found.notes[0]


def test_what_is_loud_while_nobody_speaks_is_noise() -> None:
    plan = "....ss....ss........" + "s" * 30
    found = advise(room(plan, quiet_s=2.0), Config(), lambda _values: opened(plan, "s"))
    assert found.now == Score(3, 2, 1.0)
    assert found.speech_ms == 3000


def test_the_hangover_covers_the_pauses_of_who_speaks() -> None:
    plan = ("s" * 5 + "." * 7) * 8
    decisions = opened(plan, "s")
    loud = room(plan).loud
    assert pauses(decisions, loud, MS) == [700] * 7
    found = advise(room(plan), Config(), lambda _values: decisions)
    (proposal,) = found.proposals
    assert (proposal.key, proposal.old, proposal.new) == ("vad.hangover_ms", 500, 750)


def test_the_hangover_is_made_shorter_only_after_many_pauses() -> None:
    for count, proposed in ((20, []), (40, [400])):
        plan = ("s" * 5 + "..") * count
        found = advise(room(plan), Config(), lambda _values: opened(plan, "s"))  # noqa: B023
        assert [each.new for each in found.proposals] == proposed


def test_a_faint_voice_gets_gain_and_a_clipped_one_loses_it() -> None:
    faint = replace(room(PLAN, peak=600), levels=[level - 25 for level in room(PLAN).levels])
    well = Config(vad=Vad(aggressiveness=3))
    (gain,) = [each for each in advice(faint, well).proposals if each.key == "audio.gain_db"]
    assert (gain.old, gain.new) == (0.0, 20.0)
    loud = Config(audio=Audio(gain_db=20.0))
    (gain,) = [
        each for each in advice(room(PLAN, peak=20_000), loud).proposals if each.key.endswith("_db")
    ]
    assert (gain.old, gain.new) == (20.0, 1.0)


def test_a_microphone_that_gates_by_itself_is_not_taken_for_dead() -> None:
    found = advice(room(PLAN, still_s=4.0))
    (silent,) = [each for each in found.proposals if each.key == "audio.silent_s"]
    assert (silent.old, silent.new) == (5.0, 16.0)


def test_what_no_key_can_mend_is_said() -> None:
    assert "clipped" in advice(room(PLAN, clipped=0.01)).notes[0]
    assert "muted" in advise(
        Sound(MS, [-90.3] * 100, 0, 0.0, 2.0, 0.0), Config(), lambda _values: opened("." * 20, "s")
    ).notes[0]  # fmt: skip
