"""The faults that are OpenMind's own, as a table and on a session."""

from __future__ import annotations

from scribed.simulate.dialects.openmind_faults import OPENMIND_FAULTS, changed
from scribed.simulate.dialects.openmind_routes import DEFAULTS
from tests.simulate.openmind import Dialogue

STATES = [name for name, fault in OPENMIND_FAULTS.items() if not fault.is_event]


def test_every_state_changes_a_session_and_says_how() -> None:
    for name in STATES:
        assert changed(DEFAULTS, [name]) != DEFAULTS, name
        assert OPENMIND_FAULTS[name].says
        assert name.startswith("openmind-")


def test_states_add_up_and_none_changes_nothing() -> None:
    assert changed(DEFAULTS, []) == DEFAULTS
    options = changed(DEFAULTS, ["openmind-committed", "openmind-clock"])
    assert (options.final, options.clock_off_s) == ("committed", 25_200.0)


def test_every_event_befalls_a_session_once_and_lets_it_live() -> None:
    for name, fault in OPENMIND_FAULTS.items():
        if fault.is_event:
            dialogue = Dialogue()
            dialogue.fail(name)
            dialogue.wait(5)
            assert len(dialogue.kinds()) == 2, name
            assert dialogue.end is None


def test_speech_that_never_ends_has_no_final() -> None:
    dialogue = Dialogue(**OPENMIND_FAULTS["openmind-never-ends"].changes)
    dialogue.say(1.0, pause_s=10.0)
    assert set(dialogue.kinds()) == {"connection", "partial"}
