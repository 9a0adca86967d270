"""`bench/plain.py` that notes when it reads its standard input, for `scripts/bench live`.

The file named by $BENCH_READS has a line for each read: when (monotonic seconds), and how many
bytes had been read by then.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bench import plain

if __name__ == "__main__":
    notes = Path(os.environ["BENCH_READS"]).open("w", buffering=1, encoding="ascii")  # noqa: SIM115
    read, total = os.read, 0

    def noting(descriptor: int, most: int) -> bytes:
        """As `os.read`."""
        global total  # noqa: PLW0603 -- a program of its own
        some = read(descriptor, most)
        if descriptor == 0:
            total += len(some)
            notes.write(f"{time.monotonic()} {total}\n")
        return some

    os.read = noting
    sys.exit(plain.main())
