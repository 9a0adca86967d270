"""The command that goes on where a run of `scribed transcribe` has ended; pure."""

from __future__ import annotations

import itertools
import re
import shlex
import string
from collections.abc import Collection, Sequence

FLAGS = ("--resume", "--raw", "--verbose", "-v", "--help", "-h")
_PLAIN = string.ascii_letters + string.digits + "./-_"
_START = re.compile("--st(a(rt?)?)?")
"""`--start`, which argparse takes shortened as well."""


def again(
    words: Sequence[str], sources: Collection[str], asked: str, shown: str, more: Sequence[str]
) -> list[str]:
    """The command `words` as it was given, for one of its `sources` only: `asked`, as it may be
    `shown`. It has no `--start`, and `more` as well."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            rest = [shown for each in left if each == asked]
            return [*kept, *more, "--", *rest]
        if _is_start(word):
            if "=" not in word:
                next(left, None)
        elif _takes_value(word):
            kept += [word, *itertools.islice(left, 1)]
        elif word == asked:
            kept.append(shown)
        elif word not in sources:
            kept.append(word)
    return [*kept, *more]


def command(words: Sequence[str]) -> str:
    """`words` as a shell takes them; what is no UTF-8 in them byte by byte."""
    return " ".join(map(_quoted, words))


def _is_start(word: str) -> bool:
    return _START.fullmatch(word.partition("=")[0]) is not None


def _takes_value(word: str) -> bool:
    """Whether the next word belongs to this option."""
    if word.startswith("--"):
        return "=" not in word and not any(flag.startswith(word) for flag in FLAGS)
    return word in ("-c", "-o")


def _quoted(word: str) -> str:
    raw = word.encode(errors="surrogateescape")
    try:
        raw.decode()
    except UnicodeDecodeError:
        safe = _PLAIN.encode()
        return "$'" + "".join(chr(b) if b in safe else f"\\x{b:02x}" for b in raw) + "'"
    return shlex.quote(word)
