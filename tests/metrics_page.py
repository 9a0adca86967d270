"""Writes the table of docs/metrics.md from `scribed.metrics`: `python -m tests.metrics_page`."""

from __future__ import annotations

from pathlib import Path

from scribed.metrics import FIGURES, Figure

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def table() -> str:
    """Every figure, in the order in which they are told."""
    lines = ["| Prometheus | | says | on MQTT |", "|---|---|---|---|"]
    return "\n".join(lines + [_row(figure) for figure in FIGURES]) + "\n"


def _row(figure: Figure) -> str:
    name = f"`{figure.name}`"
    if figure.label:
        name += f" `{{{figure.label}}}`: " + ", ".join(f"`{value}`" for value in figure.values)
    flat = figure.flat.replace("{}", f"<{figure.label}>")
    if figure.kind == "histogram":
        flat = f"`{flat}_sum`, `{flat}_count`"
    elif flat:
        flat = f"`{flat}`"
    return f"| {name} | {figure.kind} | {figure.says} | {flat or 'the same'} |"


def main() -> None:
    """Bring the page up to date."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
