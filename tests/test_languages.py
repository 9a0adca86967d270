"""Which codes mean the same language."""

from __future__ import annotations

import pytest

from scribed.languages import canonical, is_among


@pytest.mark.parametrize("code", ["en", "EN", "eng", "en-US", "en_GB", "eng-US", " en "])
def test_a_language_has_one_canonical_code(code: str) -> None:
    assert canonical(code) == "en"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("de", "deu"),
        ("ger", "de-AT"),
        ("zh", "zho"),
        ("cmn", "zh-Hans-CN"),
        ("no", "nob"),
        ("fil", "tl"),
        ("he", "iw"),
    ],
)
def test_codes_of_one_language_are_found_among_each_other(one: str, other: str) -> None:
    assert is_among(one, (other,))
    assert is_among(other, ("en", one))


@pytest.mark.parametrize(("one", "other"), [("de", "nl"), ("yue", "zh"), ("nds", "nd"), ("en", "")])
def test_different_languages_are_not(one: str, other: str) -> None:
    assert not is_among(one, (other,))
    assert not is_among(one, ())


def test_a_code_that_no_table_has_is_itself() -> None:
    assert canonical("AST") == "ast"
    assert is_among("ast-ES", ("ast",))
