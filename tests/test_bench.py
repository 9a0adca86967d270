"""The benchmarks say what they measured: tables, ratios, and the page that holds them."""

from __future__ import annotations

import os
import time

import pytest

from bench import fleet
from bench.commands import faint_noise, speech_without_pauses
from bench.cost import Cost, cost, pace, spread
from bench.tables import Table
from bench.whole import BEGIN, END, PAGE, between
from scribed.capture.levels import dbfs, power


def test_a_spread_is_the_median_and_the_range_around_it() -> None:
    assert str(spread([3.0, 1.0, 2.26])) == "2.3 (1.0–3.0)"
    assert str(spread([1.001, 1.002], 2)) == "1.00"
    assert str(spread([10.5, 10.5])) == "10.5"


def test_a_pace_is_what_was_used_between_two_looks() -> None:
    used = pace(Cost(1.0, 100, 30.0, 40.0), Cost(1.5, 700, 31.0, 41.0), seconds=60.0)
    assert (used.cpu_s_per_h, used.switches_per_s, used.peak_mb) == (30.0, 10.0, 41.0)


def test_the_cpu_of_a_process_is_that_of_the_kernel() -> None:
    before, mine = cost(os.getpid()), time.process_time()
    sum(range(2_000_000))
    used = cost(os.getpid()).cpu_s - before.cpu_s
    assert used == pytest.approx(time.process_time() - mine, abs=0.02)
    assert 5 < before.rss_mb <= before.peak_mb + 0.1


def test_a_table_is_told_to_people_and_to_programs() -> None:
    table = Table("Silence", "What it costs.", ("CPU", "MB"), {"scribed": (spread([1, 2]), 40.1)})
    assert "| scribed | 1.5 (1.0–2.0) | 40.1 |" in table.markdown()
    figures = {"median": 1.5, "least": 1, "most": 2, "digits": 1}
    assert table.as_json()["rows"] == {"scribed": {"CPU": figures, "MB": 40.1}}


def test_a_run_is_written_between_its_marks_and_nowhere_else() -> None:
    text = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    assert between(text, "new") == f"above\n{BEGIN}\nnew\n{END}\nbelow\n"
    assert between(PAGE.read_text("utf-8"), "new").count("new\n" + END) == 1
    with pytest.raises(ValueError, match="has not the two lines"):
        between("a page without them", "new")


def test_what_is_played_is_as_loud_and_as_long_as_it_says() -> None:
    speech, noise = speech_without_pauses(4.0), faint_noise(2.0)
    assert (len(speech), len(noise)) == (4 * 32_000, 2 * 32_000)
    assert dbfs(power(speech)) == pytest.approx(-26, abs=2)
    assert dbfs(power(noise)) == pytest.approx(-70, abs=1)


@pytest.mark.slow
def test_the_fleet_of_both_columns_says_the_same() -> None:
    plain, tls = fleet.measure(3, 20.0, 5.0, 1).values()
    assert plain["connections"] == 8
    for name in ("published in all", "transcripts heard"):
        assert plain[name] == tls[name] > 0
