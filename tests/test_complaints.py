"""Which troubles are news, and how often they had come."""

from __future__ import annotations

from scribed.complaints import FLAP_S, FLAPS, MAX_STORIES, REPEAT_S, Complaints, Untold


def heard(complaints: Complaints[str], text: str, now: float, about: str = "link") -> int:
    return complaints.times(about, text, text, now)


def test_the_same_trouble_is_told_once_and_then_counted() -> None:
    complaints = Complaints[str]()
    assert [heard(complaints, "refused", now) for now in (0, 1, 2, 3)] == [1, 0, 0, 0]
    assert complaints.due(REPEAT_S - 1) == []
    assert heard(complaints, "refused", REPEAT_S) == 4


def test_troubles_that_alternate_are_each_told_once() -> None:
    complaints = Complaints[str]()
    told = [heard(complaints, ("refused", "timed out")[now % 2], now) for now in range(20)]
    assert told == [1, 1] + [0] * 18
    assert complaints.due(REPEAT_S + 1.0) == [
        Untold("link", "refused", 9),
        Untold("link", "timed out", 9),
    ]


def test_how_much_of_it_there_was_makes_no_other_trouble() -> None:
    complaints = Complaints[str]()
    assert heard(complaints, "lost 20 ms of sound (overrun)", 0) == 1
    assert heard(complaints, "lost 140 ms of sound (overrun)", 1) == 0
    assert heard(complaints, "lost 140 ms of sound (suspend)", 2) == 1


def test_a_number_that_says_which_is_another_trouble() -> None:
    complaints = Complaints[str]()
    assert heard(complaints, "HTTP 401", 0) == heard(complaints, "HTTP 503", 1) == 1


def test_what_came_after_its_line_is_told_at_last_though_it_came_no_more() -> None:
    complaints = Complaints[str]()
    for now in range(8):
        heard(complaints, "no room", now)
    assert complaints.due(REPEAT_S) == [Untold("link", "no room", 7)]
    assert complaints.due(10 * REPEAT_S) == []


def test_at_the_end_all_is_told() -> None:
    complaints = Complaints[str]()
    for now in range(3):
        heard(complaints, "no room", now)
    assert complaints.due(3, everything=True) == [Untold("link", "no room", 2)]


def test_what_was_over_meanwhile_is_news_at_once() -> None:
    complaints = Complaints[str]()
    heard(complaints, "refused", 0)
    heard(complaints, "refused", 1)
    assert complaints.over("link", told=True) == 1
    assert heard(complaints, "refused", 2) == 1


def test_what_comes_and_goes_is_news_once_a_minute() -> None:
    complaints = Complaints[str]()
    told = []
    for now in range(120):
        told.append(heard(complaints, "refused", now))
        complaints.over("link", told=False)
    assert told[: FLAPS + 1] == [1] * (FLAPS + 1)
    assert [now for now, times in enumerate(told) if times > 1] == [FLAP_S + FLAPS]
    assert sum(told) == FLAP_S + FLAPS + 1


def test_what_is_known_is_bounded() -> None:
    complaints = Complaints[str]()
    for n in range(2 * MAX_STORIES):
        assert heard(complaints, f"file {n} is torn", 0) == 1
    assert heard(complaints, f"file {2 * MAX_STORIES - 1} is torn", 1) == 0
    assert heard(complaints, "file 0 is torn", 1) == 1
