"""The page of figures: what is kept, what was to be reached, and what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import kept, live, soak, targets
from bench.beside import COLUMNS, FLOOR, SDK
from bench.cost import spread
from bench.kept import Part, Parts
from bench.tables import Table
from bench.whole import Step, carry_out, page, plan

IDLE = Table(
    "Silence",
    "What it costs.",
    COLUMNS,
    {
        "scribed": (spread([8.0, 9.0]), spread([0.7, 0.8], 2), spread([10.0]), 40.0),
        FLOOR: (spread([11.0]), spread([1.0], 2), spread([50.0]), 23.0),
    },
)
REPORT = {
    "commit": "commit 1234567",
    "machine": "A machine",
    "load": 1.0,
    "seconds": 7200,
    "faults_by_kind": {"reset": 90, "broker_killed": 80},
    "utterances": 500,
    "speech_ms": 1_000_000,
    "lost_ms": 0,
    "doubled_ms": 0,
    "misplaced": 0,
    "late": 20,
    "ended": 0,
    "repeats": 12,
    "connects": 300,
    "memory_mib": {"first": 31.0, "last": 31.5, "slope_per_h": 0.25},
    "descriptors": [20, 22],
    "threads": [6, 6],
    "files": 0,
    "finals": 510,
    "checks": 120,
    "uneven": 0,
    "passed": True,
}


def part(table: Table | None = None, failed: str = "") -> Part:
    return Part("scripts/bench idle", "commit 1234567", "A machine", 1.0, 60, table, failed)


def summary(parts: Parts) -> dict[str, tuple[str, ...]]:
    return {name: tuple(map(str, row)) for name, row in targets.summary(parts).rows.items()}


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    parts = {"idle": part(IDLE), "outage": part(failed="TimeoutError: scribed does not start")}
    kept.keep(parts, tmp_path / "figures.json")
    assert kept.load(tmp_path / "figures.json") == parts
    assert kept.load(tmp_path / "nothing.json") == {}


def test_each_target_says_what_was_measured_and_whether_that_reaches_it() -> None:
    rows = summary({"idle": part(IDLE)})
    assert len(rows) == len(targets.TARGETS)
    wanted, measured, reached, by = rows["CPU in silence"]
    assert (wanted, reached, by) == ("≤ 0.8 × bare loop", "yes", "scripts/bench idle")
    assert measured == "0.75 (0.70–0.80) (8.5 (8.0–9.0) and 11.0 s an hour)"
    assert rows["CPU while streaming speech"][1:3] == ("not measured: no run of stream", "?")


def test_a_target_that_is_not_reached_is_said_to_be_none() -> None:
    ours, sdk = (spread([20.0]), spread([1.3], 2), 30.0, 40.0), (spread([25.0]), 1.5, 50.0, 50.0)
    floor = (spread([15.0]), 1.0, 50.0, 23.0)
    table = Table("Speech", "", COLUMNS, {"scribed": ours, SDK: sdk, FLOOR: floor})
    rows = summary({"stream": part(table)})
    assert rows["beside the vendor's SDK"][1:3] == ("80 % of its CPU, 80 % of its memory", "**no**")
    assert rows["CPU while streaming speech"][2] == "**no**"
    assert rows["peak memory, streaming"][1:3] == ("40.0 MB", "yes")


def test_bytes_count_only_where_the_speech_arrived() -> None:
    def rows(sent: float, delivered: float) -> Parts:
        cells = {live.SENT: (60.0, sent), live.DELIVERED: (100.0, delivered)}
        return {"live": part(Table("Commands", "", (live.OFTEN, live.SELDOM), dict(cells)))}

    name = "bytes sent, a tenth of the time speech"
    assert summary(rows(15.0, 99.9))[name][1:3] == ("15.0 % at 99.9 %", "yes")
    assert summary(rows(15.0, 99.0))[name][2] == "**no**"
    assert summary(rows(21.0, 99.9))[name][2] == "**no**"


def test_what_the_gate_s_bench_came_to_is_read_from_its_page() -> None:
    rows = summary({})
    assert rows["servo at 5 dB: false / found"][2] in {"yes", "**no**"}
    assert rows["words lost by gating"][2] in {"yes", "**no**"}


def test_a_benchmark_that_fails_has_its_place_and_loses_nobody_else_s() -> None:
    def fails() -> Table:
        raise TimeoutError("scribed does not start")

    failed = carry_out("outage", Step("outage --seconds 5", 5, fails), "commit 1234567")
    assert failed.table is None
    words = page({"idle": part(IDLE), "outage": failed})
    assert "| scribed " in words
    assert "## outage\n\n`scripts/bench outage --seconds 5`, commit 1234567" in words
    assert "TimeoutError: scribed does not start" in words
    assert "not measured: outage failed: TimeoutError: scribed does not start" in words


def test_all_of_it_takes_about_35_minutes_and_a_share_of_it_less() -> None:
    whole, tenth = (sum(step.seconds for step in plan(share).values()) for share in (1.0, 0.1))
    assert 25 * 60 < whole < 39 * 60
    assert tenth < whole / 4


def test_a_soak_s_report_becomes_a_table() -> None:
    table = soak.table(json.loads(json.dumps(REPORT)))
    assert table.rows["faults: connections reset"] == (90, "")
    assert table.rows["memory, slope (MiB an hour)"] == (0.25, "< 1")
    assert table.rows["descriptors"] == ("20 to 22", "within 4")
    assert table.rows["threads"] == ("6", "")
    assert "120 minutes of speech" in table.says
    assert soak.table(REPORT | {"passed": False}).says.endswith("**failed**.")
    assert "## A soak\n\n`scripts/test --soak`, commit 1234567" in page({"soak": soak.part(REPORT)})


def test_each_target_finds_its_figure_in_what_was_measured_last() -> None:
    parts = kept.load()
    if not parts:
        pytest.skip("docs/figures.json is not there")
    lost = {name: row[1] for name, row in summary(parts).items() if " has no " in row[1]}
    assert lost == {}
