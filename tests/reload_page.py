"""Writes the table of docs/reload.md from `scribed.changes`: `python -m tests.reload_page`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from scribed.changes import EFFECTS, Effect

PAGE = Path(__file__).parents[1] / "docs" / "reload.md"
BEGIN, END = "<!-- keys -->\n", "<!-- end of keys -->\n"


def table() -> str:
    """Every key, by how it takes effect."""
    lines = ["| takes effect | keys |", "|---|---|"]
    for effect in Effect:
        keys = [key for key, its in EFFECTS.items() if its is effect]
        sections = groupby(keys, key=lambda key: key.rpartition(".")[0])
        named = [
            f"`[{section}]` " + ", ".join(f"`{key.rpartition('.')[2]}`" for key in group)
            for section, group in sections
        ]
        lines.append(f"| **{effect.value}** | {'; '.join(named)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Bring the page up to date."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
