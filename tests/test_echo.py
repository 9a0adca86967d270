"""Whether the robot heard itself: what is heard is compared with what it said, word by word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.echo import repeats

SAID = "I will go to the kitchen now, and then I will come back to you."
WORDS = st.lists(st.sampled_from(["ada", "bot", "cat", "dog", "elk", "fox", "gnu"]), min_size=1)
OTHERS = st.lists(st.sampled_from(["eins", "zwei", "drei", "vier"]), min_size=1)


@pytest.mark.parametrize(
    "heard",
    [
        SAID,
        "go to the kitchen",
        "GO TO THE KITCHEN!",
        "will go to a kitchen now and",  # recognition gets some of it wrong
        "kitchen",
        "then I come back to you",
        "[music] to the kitchen now",
    ],
)
def test_a_part_of_what_the_robot_said_is_its_echo(heard: str) -> None:
    assert repeats(heard, [SAID])


@pytest.mark.parametrize(
    "heard",
    [
        "stop",
        "no, stay here please",
        "come here and bring me the cup",
        "go back",  # both words, far apart
        "you to back come will I then and now kitchen the to go will I",
        "",
        "[laughter]",
    ],
)
def test_what_somebody_else_says_is_none(heard: str) -> None:
    assert not repeats(heard, [SAID])


def test_an_echo_may_reach_over_two_texts() -> None:
    assert repeats("in the hall now turning left", ["I am in the hall.", "Now turning left."])
    assert not repeats("in the hall now turning left", ["Now turning left.", "We are in the hall."])


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert repeats("我去厨房", ["好的，我现在去厨房。"])  # noqa: RUF001
    assert not repeats("停下来", ["好的，我现在去厨房。"])  # noqa: RUF001


@given(st.lists(WORDS, min_size=1, max_size=4), st.data())
def test_every_part_of_it_is_an_echo(texts: list[list[str]], data: st.DataObject) -> None:
    words = [word for text in texts for word in text]
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    heard = ", ".join(words[start:end]).upper()
    assert repeats(heard, [" ".join(text) for text in texts])


@given(WORDS, OTHERS)
def test_no_word_of_it_is_none(said: list[str], heard: list[str]) -> None:
    assert not repeats(" ".join(heard), [" ".join(said)])


@given(WORDS, WORDS, WORDS)
def test_to_have_said_more_makes_nothing_less_of_an_echo(
    heard: list[str], said: list[str], more: list[str]
) -> None:
    line = " ".join(heard)
    if repeats(line, [" ".join(said)]):
        assert repeats(line, [" ".join(more), " ".join(said)])
        assert repeats(line, [" ".join(said), " ".join(more)])


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=3))
def test_any_text_may_come(heard: str, said: list[str]) -> None:
    assert repeats(heard, said) in (True, False)
    assert not repeats(heard, [])
