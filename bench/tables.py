"""What a benchmark says: a table, for people and for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.cost import Spread

Cell = str | float | Spread


@dataclass(frozen=True)
class Table:
    """Rows of figures by name; `says`: what was measured, in a sentence or two."""

    title: str
    says: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)

    def markdown(self) -> str:
        """For docs/figures.md, and good to read on a terminal too."""
        head: list[Cell] = ["", *self.columns]
        wide = [
            max(len(str(row[n])) for row in (head, *((k, *v) for k, v in self.rows.items())))
            for n in range(len(head))
        ]
        lines = [f"## {self.title}", "", *([self.says, ""] if self.says else []), _row(head, wide)]
        lines.append("|" + "|".join("-" * (width + 2) for width in wide) + "|")
        lines += [_row([name, *cells], wide) for name, cells in self.rows.items()]
        return "\n".join(lines)

    @staticmethod
    def from_json(told: dict[str, Any]) -> Table:
        """What `as_json` has told."""
        rows = {name: tuple(map(_cell, row.values())) for name, row in told["rows"].items()}
        columns = tuple(told["columns"])
        return Table(told["title"], told["says"], columns, rows)

    def as_json(self) -> dict[str, object]:
        """The same by names."""
        return {
            "title": self.title,
            "says": self.says,
            "columns": list(self.columns),
            "rows": {
                name: {
                    column: asdict(cell) if isinstance(cell, Spread) else cell
                    for column, cell in zip(self.columns, cells, strict=True)
                }
                for name, cells in self.rows.items()
            },
        }


def show(table: Table, args: argparse.Namespace) -> None:
    """Print it as `add_json` has it."""
    print(json.dumps(table.as_json()) if args.json else table.markdown())


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option that all benchmarks have."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def _cell(told: str | float | dict[str, Any]) -> Cell:
    return Spread(**told) if isinstance(told, dict) else told


def _row(cells: Sequence[Cell], wide: list[int]) -> str:
    padded = (str(cell).ljust(width) for cell, width in zip(cells, wide, strict=True))
    return f"| {' | '.join(padded)} |"
