"""`python -m scribed`: the same as the `scribed` command."""

from __future__ import annotations

import sys

from scribed.cli import main

if __name__ == "__main__":
    sys.exit(main())
