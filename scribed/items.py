"""How the repr of an item leaves out what is private, or long (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def without(*unsaid: str) -> Callable[[Any], str]:
    """The `__repr__` of a `Struct` that shows all fields but those."""

    def shown(item: Any) -> str:
        names = (name for name in item.__struct_fields__ if name not in unsaid)
        fields = ", ".join(f"{name}={getattr(item, name)!r}" for name in names)
        return f"{type(item).__name__}({fields})"

    return shown
