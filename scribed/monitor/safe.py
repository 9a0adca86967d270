"""What strangers wrote, made fit for a terminal. Pure."""

from __future__ import annotations

import unicodedata

MOST = 400
"""So many characters of one value are shown."""
_JOINERS = "\u200c\u200d"
"""Of the invisible ones these belong into words, as Persian and emoji have them."""
_MARKS = 4
"""So many marks may stand on one letter: more run over the lines above and below."""


def shown(text: str, most: int = MOST) -> str:
    """`text` as one line without anything that a terminal would obey, `most` characters of it.

    Control characters, line breaks, surrogates, private ones and those that turn the direction of
    what follows become a space each.
    """
    kept, marks = [], 0
    for char in text[: most + 1]:
        kind = unicodedata.category(char)
        marks = marks + 1 if kind[0] == "M" else 0
        if marks <= _MARKS:
            is_odd = kind[0] == "C" or kind in ("Zl", "Zp")
            kept.append(" " if is_odd and char not in _JOINERS else char)
    line = " ".join("".join(kept).split())
    return line if len(text) <= most else line[: most - 1] + "…"
