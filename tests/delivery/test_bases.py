"""The topics of many robots, read backwards."""

from __future__ import annotations

import pytest

from scribed.delivery.bases import Address, Bases


@pytest.mark.parametrize(
    ("template", "topic", "whose"),
    [
        ("scribed/{robot}/{source}", "scribed/r7/mic/alert/quota", ("r7", "mic", "alert/quota")),
        ("scribed/{robot}/{source}", "scribed/r7/mic", ("r7", "mic", "")),
        ("{robot}/ear", "r7/ear/status", ("r7", "", "status")),
        ("site/ear", "site/ear/status", ("", "", "status")),
        ("a.b/{robot}-{source}", "a.b/r7-mic/state", ("r7", "mic", "state")),
        ("{robot}/ears/{robot}", "r7/ears/r7/state", ("r7", "", "state")),
    ],
)
def test_a_topic_says_whose_it_is(template: str, topic: str, whose: tuple[str, str, str]) -> None:
    assert Bases(template).address(topic) == Address(*whose)


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("scribed/{robot}/{source}", "scribed/r7"),
        ("scribed/{robot}/{source}", "other/r7/mic/state"),
        ("a.b/{robot}", "axb/r7/state"),
        ("{robot}/ears/{robot}", "r7/ears/r8/state"),
        ("scribed/{robot}", "scribed//state"),
    ],
)
def test_what_is_not_like_the_template_is_nobodys(template: str, topic: str) -> None:
    assert Bases(template).address(topic) is None


@pytest.mark.parametrize(
    ("template", "robot", "source", "asked"),
    [
        ("scribed/{robot}/{source}", None, None, "scribed/+/+/#"),
        ("scribed/{robot}/{source}", "r7", None, "scribed/r7/+/#"),
        ("scribed/{robot}/{source}", "r7", "mic", "scribed/r7/mic/#"),
        ("ears/{robot}-{source}", "r7", None, "ears/+/#"),
        ("ears/{robot}-{source}", "r7", "mic", "ears/r7-mic/#"),
        ("site/ear", None, None, "site/ear/#"),
    ],
)
def test_a_subscription_has_wildcards_for_whole_levels_only(
    template: str, robot: str | None, source: str | None, asked: str
) -> None:
    assert Bases(template).subscription("#", robot, source) == asked


def test_a_template_says_whether_it_names_robots_and_sources() -> None:
    assert (Bases("{robot}/ear").names_robots, Bases("{robot}/ear").names_sources) == (True, False)
    assert (Bases("x/{source}").names_robots, Bases("x/{source}").names_sources) == (False, True)
