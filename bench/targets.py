"""The figures to reach, and where each is found: the table on top of docs/figures.md.

The targets are those of `../shared/design/targets.md`, row by row. What the bench of the gate came
to is read from docs/gate.md, which has it with its command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import backlog, footprint, live, outage
from bench.beside import ANSWER_S, COLUMNS, FLOOR, SDK
from bench.cost import Spread
from bench.idle import ALONE
from bench.kept import ROOT, Parts
from bench.tables import Cell, Table
from scribed.config import Config

GATE = ROOT / "docs" / "gate.md"
OURS, GATED = "scribed", "two_stage, floor"
"""What `pip install scribed` gives, among those measured, and its gate."""
CPU, RATIO, SWITCHES, PEAK = COLUMNS
MEASURED = "measured"
CATCH_UP_RATE = Config().spool.catch_up_rate
END_MS = Config().vad.hangover_ms + round(ANSWER_S * 1000)


class MissingError(LookupError):
    """A figure that was not measured; the words say which."""


@dataclass(frozen=True)
class Reading:
    """A figure in words, and whether it is what was to be reached."""

    words: str
    reached: bool


@dataclass(frozen=True)
class Target:
    """One row of the targets; `where`: a part of the page, or a command. `read` finds the figure,
    or raises `MissingError`."""

    what: str
    wanted: str
    where: str
    read: Callable[[Parts], Reading]


def summary(parts: Parts) -> Table:
    """Each target, what was measured, and whether that reaches it."""
    rows: dict[str, tuple[Cell, ...]] = {}
    for target in TARGETS:
        where = parts[target.where].command if target.where in parts else target.where
        try:
            reading = target.read(parts)
        except MissingError as exc:
            cells: tuple[Cell, ...] = (target.wanted, f"not measured: {exc}", "?", where)
        else:
            reached = "yes" if reading.reached else "**no**"
            cells = (target.wanted, reading.words, reached, where)
        rows[target.what] = cells
    columns = ("target", "measured", "reached?", "by")
    return Table("The targets", "", columns, rows)


def _cell(parts: Parts, part: str, row: str, column: str | int) -> Cell:
    if part not in parts:
        raise MissingError(f"no run of {part}")
    table = parts[part].table
    if table is None:
        raise MissingError(f"{part} failed: {parts[part].failed}")
    try:
        at = column if isinstance(column, int) else table.columns.index(column)
        return table.rows[row][at]
    except (LookupError, ValueError):
        raise MissingError(f"{part} has no {row!r}, {column!r}") from None


def _figure(parts: Parts, part: str, row: str, column: str | int) -> float:
    cell = _cell(parts, part, row, column)
    if isinstance(cell, Spread):
        return cell.median
    if isinstance(cell, str):
        raise MissingError(cell or f"{part} has no figure for {row!r}")
    return cell


def _ratio(part: str, most: float) -> Callable[[Parts], Reading]:
    def read(parts: Parts) -> Reading:
        ratio = _figure(parts, part, OURS, RATIO)
        cpu, floor = _cell(parts, part, OURS, CPU), _cell(parts, part, FLOOR, CPU)
        words = f"{_cell(parts, part, OURS, RATIO)} ({cpu} and {floor} s an hour)"
        return Reading(words, ratio <= most)

    return read


def _at_most(
    most: float, unit: str, part: str, row: str, column: str | int
) -> Callable[[Parts], Reading]:
    def read(parts: Parts) -> Reading:
        figure = _figure(parts, part, row, column)
        return Reading(f"{_cell(parts, part, row, column)} {unit}".rstrip(), figure <= most)

    return read


def _all(*reads: Callable[[Parts], Reading]) -> Callable[[Parts], Reading]:
    def read(parts: Parts) -> Reading:
        readings = [each(parts) for each in reads]
        words = "; ".join(each.words for each in readings)
        return Reading(words, all(each.reached for each in readings))

    return read


def _sent(parts: Parts) -> Reading:
    sent = _figure(parts, "live", live.SENT, live.SELDOM)
    delivered = _figure(parts, "live", live.DELIVERED, live.SELDOM)
    return Reading(f"{sent} % at {delivered} %", sent <= 20 and delivered >= 99.5)


def _beside_sdk(parts: Parts) -> Reading:
    cpu = _figure(parts, "stream", OURS, CPU) / _figure(parts, "stream", SDK, CPU)
    memory = _figure(parts, "stream", OURS, PEAK) / _figure(parts, "stream", SDK, PEAK)
    words = f"{100 * cpu:.0f} % of its CPU, {100 * memory:.0f} % of its memory"
    return Reading(words, cpu < 1 and memory < 0.7)


def _words_lost(_parts: Parts) -> Reading:
    points = _gate_row(GATED, cells=3)[-1]
    found = re.search(r"([+-]\d+\.\d+) points", points)
    if found is None:
        raise MissingError("docs/gate.md does not say")
    return Reading(points, float(found.group(1)) <= 0.5)


def _servo(_parts: Parts) -> Reading:
    at_5_db = _gate_row("servo", GATED, cells=4)[2]
    found, false = (float(each) for each in at_5_db.split(" / "))
    return Reading(f"{false} % / {found} %", false <= 7 and found >= 95)


def _gate_row(*labels: str, cells: int) -> Sequence[str]:
    """The cells of the first row in docs/gate.md that begins so and has so many more; raises
    `MissingError`."""
    for line in GATE.read_text("utf-8").splitlines():
        row = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if row[: len(labels)] == labels and len(row) == len(labels) + cells:
            return row[len(labels) :]
    raise MissingError(f"docs/gate.md has no row {' | '.join(labels)}")


def _outage(parts: Parts) -> Reading:
    nobody, sometimes, often = (
        _figure(parts, "outage", outage.DRAINED, who) for who in outage.AFTERWARDS
    )
    late_s = max(
        _figure(parts, "outage", outage.LIVE, who) - _figure(parts, "outage", outage.CALM_MS, who)
        for who in (outage.SOMETIMES, outage.OFTEN)
    )
    late_s = max(late_s, 0) / 1000
    words = (
        f"{nobody} × real time where nobody speaks, {sometimes} at 2 of 20 s, {often} at 2 of "
        f"3 s; live {late_s:.1f} s later"
    )
    return Reading(words, 3 <= nobody <= CATCH_UP_RATE and late_s <= 2)


def _start(parts: Parts) -> Reading:
    ready = _figure(parts, "footprint", OURS, footprint.READY)
    alone = _figure(parts, "footprint", footprint.ALONE, footprint.READY)
    words = f"{_cell(parts, 'footprint', OURS, footprint.READY)} ms, {ready / alone:.1f} ×"
    return Reading(words, ready <= 400 and ready / alone <= 3)


TARGETS = (
    Target("CPU in silence", "≤ 0.8 × bare loop", "idle", _ratio("idle", 0.8)),
    Target("CPU while streaming speech", "≤ 1.2 × bare loop", "stream", _ratio("stream", 1.2)),
    Target("peak memory, streaming", "≤ 45 MB", "stream", _at_most(45, "MB", "stream", OURS, PEAK)),
    Target(
        "peak memory, an hour of backlog",
        "≤ 64 MB",
        "backlog",
        _at_most(64, "MB", "backlog", backlog.PEAK, MEASURED),
    ),
    Target(
        "wake-ups with no microphone and no link",
        "≤ 10 a second",
        "idle",
        _at_most(10, "a second", "idle", ALONE, SWITCHES),
    ),
    Target(
        "a chunk, read → with the service, p99",
        "≤ 5 ms",
        "live",
        _at_most(5, "ms", "live", live.WIRE_P99, live.OFTEN),
    ),
    Target(
        "end of speech → MQTT, p50 / p95",
        f"≤ {END_MS + 30} / {END_MS + 80} ms",
        "live",
        _all(
            _at_most(END_MS + 30, "ms", "live", live.END_P50, live.OFTEN),
            _at_most(END_MS + 80, "ms", "live", live.END_P95, live.OFTEN),
        ),
    ),
    Target(
        "committed text → MQTT, p99",
        "≤ 5 ms",
        "live",
        _at_most(5, "ms", "live", live.PUBLISH_P99, live.OFTEN),
    ),
    Target("bytes sent, a tenth of the time speech", "≤ 20 % at ≥ 99.5 % delivered", "live", _sent),
    Target("words lost by gating", "≤ 0.5 points", "scripts/bench gate: docs/gate.md", _words_lost),
    Target(
        "servo at 5 dB: false / found", "≤ 7 % / ≥ 95 %", "scripts/bench gate: docs/gate.md", _servo
    ),
    Target(
        "after ten minutes of outage",
        f"≥ 3, ≤ {CATCH_UP_RATE:g} × real time; live ≤ 2 s later",
        "outage",
        _outage,
    ),
    Target("import to READY", "≤ 400 ms, ≤ 3 × libraries", "footprint", _start),
    Target("beside the vendor's SDK", "less CPU, < 70 % of its memory", "stream", _beside_sdk),
)
