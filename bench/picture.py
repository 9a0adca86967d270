"""The picture of docs/figures.md: CPU beside the bare loop, silent and streaming, and memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from bench.beside import COLUMNS
from bench.cost import Spread
from bench.tables import Table

CPU, PEAK = COLUMNS.index("CPU-s per hour"), COLUMNS.index("peak MB")
COLOUR = "#3b6ea5"


def draw(tables: Iterable[Table], path: Path) -> None:
    """Draw those of the tables that have CPU and memory."""
    drawn = [table for table in tables if table.columns == COLUMNS]
    figure = Figure(figsize=(10, 2.6 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 2, squeeze=False)
    for table, (left, right) in zip(drawn, axes, strict=True):
        names = [name for name, row in table.rows.items() if not isinstance(row[CPU], str)]
        cpu = [_spread(table.rows[name][CPU]) for name in names]
        errors = [[c.median - c.least for c in cpu], [c.most - c.median for c in cpu]]
        left.barh(names, [c.median for c in cpu], xerr=errors, color=COLOUR)
        left.set_xlabel(f"{table.title}: CPU seconds per hour")
        right.barh(names, [_spread(table.rows[name][PEAK]).median for name in names], color=COLOUR)
        right.set_xlabel("peak MB")
        right.set_yticks([])
        for each in (left, right):
            each.invert_yaxis()
            each.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def _spread(cell: object) -> Spread:
    if isinstance(cell, Spread):
        return cell
    if not isinstance(cell, (int, float)):
        raise TypeError(f"{cell!r} is no figure")
    return Spread(cell, cell, cell, 1)
