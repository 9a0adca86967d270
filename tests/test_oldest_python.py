"""What Python 3.10 refuses when a module is imported, and neither vermin nor mypy tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for folder in ("scribed", "bench", "install", "docs", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    yield path.relative_to(ROOT), node


def test_a_named_tuple_has_no_other_base() -> None:
    """`Generic` beside it is 3.11's: on 3.10 every command would end with a TypeError."""
    found = [
        f"{path}:{node.lineno}"
        for path, node in classes()
        if len(node.bases) > 1 and "NamedTuple" in map(ast.unparse, node.bases)
    ]
    assert found == []
