"""Other values in a configuration file: everything else stays, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.configedit import with_values
from scribed.configfile import parse

PACKAGED = Path(__file__).parent.parent / "config" / "scribed.toml"


def test_a_key_that_is_only_a_comment_is_set_in_its_place_and_its_words_stay() -> None:
    text = PACKAGED.read_text("utf-8")
    changed = with_values(text, {"vad.hangover_ms": 700, "audio.gain_db": 6.5})
    assert parse(changed, {})[0].vad.hangover_ms == 700
    before, after = text.splitlines(), changed.splitlines()
    differ = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(differ) == 2
    old, new = differ[1]
    assert new.startswith("hangover_ms = 700 ")
    assert old.index("# 100–5000") == new.index("# 100–5000")
    assert old[old.index("# 100–5000") :] == new[new.index("# 100–5000") :]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", "[vad]\nhangover_ms = 700\n"),
        ("[robot]\nid = 'r7'", "[robot]\nid = 'r7'\n\n[vad]\nhangover_ms = 700\n"),
        ("[vad]\n", "[vad]\nhangover_ms = 700\n"),
        ("[vad]", "[vad]\nhangover_ms = 700\n"),
        ("[vad]  # mine\n[log]\n", "[vad]  # mine\nhangover_ms = 700\n[log]\n"),
        ("[vad]\nhangover_ms=450 # mine\n", "[vad]\nhangover_ms= 700\x20# mine\n"),
        ("[vad]\n# hangover_ms = 500\nhangover_ms = 9\n", None),
        ("vad.hangover_ms = 450\n[log]\n", "vad.hangover_ms = 700\n[log]\n"),
        ("[log]\nlevel = 'info'\n[vad]\n# x\n", None),
    ],
)
def test_a_key_is_set_where_it_belongs(text: str, changed: str | None) -> None:
    found = with_values(text, {"vad.hangover_ms": 700})
    assert changed is None or found == changed
    assert parse(found, {})[0].vad.hangover_ms == 700
    assert all(line in found for line in text.splitlines() if "hangover" not in line)


@pytest.mark.parametrize(
    "text", ["vad = { hangover_ms = 450 }\n", '[robot]\nid = """\n[vad]\nhangover_ms = 1\n"""\n']
)
def test_what_a_program_had_better_not_touch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"only its author .*vad.hangover_ms = 700"):
        with_values(text, {"vad.hangover_ms": 700})
