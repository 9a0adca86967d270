"""Where the time of an utterance went."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed import latency
from scribed.model import EarlierBoot, Moments
from tests.delivery.peers import final

END = 100.0
SPOKEN = replace(final(1, at=END), moments=Moments(98.0, 98.12, 98.1705, END + 0.55, END + 0.8604))


def test_the_parts_are_what_lies_between_the_steps() -> None:
    parts = latency.parts(SPOKEN, END + 0.9)
    assert parts == latency.Parts(
        end_to_publish_ms=900,
        end_to_commit_ms=550,
        commit_to_text_ms=310,
        text_to_publish_ms=40,
        onset_to_gate_ms=120,
        gate_to_first_byte_ms=50,
    )


moments = st.none() | st.floats(END - 30, END + 30)


@given(st.builds(Moments, moments, moments, moments, moments, moments), st.floats(-1, 60))
def test_the_parts_sum_to_the_whole_and_none_is_negative(steps: Moments, after_s: float) -> None:
    parts = latency.parts(replace(SPOKEN, moments=steps), END + after_s)
    assert all(ms is None or ms >= 0 for ms in parts)
    ends = (parts.end_to_commit_ms, parts.commit_to_text_ms, parts.text_to_publish_ms)
    known = [ms for ms in ends if ms is not None]
    if len(known) == 3:
        assert sum(known) == parts.end_to_publish_ms
    assert len(known) == 3 or steps.commit is None or steps.text is None


def test_of_an_utterance_that_an_earlier_run_heard_only_the_last_steps_are_known() -> None:
    found = replace(SPOKEN, moments=Moments(commit=END + 60.0, text=END + 60.3))
    parts = latency.parts(found, END + 60.31)
    assert (parts.onset_to_gate_ms, parts.gate_to_first_byte_ms) == (None, None)
    assert parts[:4] == (60_310, 60_000, 300, 10)


def test_over_a_reboot_only_what_one_clock_measured_is_told() -> None:
    started = replace(SPOKEN.started, boot=EarlierBoot("before", 0.0, True))
    rebooted = replace(SPOKEN, started=started, moments=Moments(commit=5.0, text=5.25))
    parts = latency.parts(rebooted, END + 7200.0)
    assert parts == latency.Parts(7_200_000, commit_to_text_ms=250)
