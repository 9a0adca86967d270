"""What goes wrong on purpose: names, schedules, and what a session's client gets of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scribed.simulate import faults
from scribed.simulate.dialects import Close, Timing
from scribed.simulate.dialects.elevenlabs_errors import TEXTS
from scribed.simulate.faults import FaultError, parse, read_schedule
from scribed.simulate.faulty import PAGE, Drop, RawText
from tests.simulate.dialogue import Dialogue, chunk

QUIET = Timing(partial_every_s=0.0)


def wrong(*texts: str, query: str = "", answers: tuple[str, ...] = ("one", "two")) -> Dialogue:
    """A session in which these go wrong."""
    on = [parse(text) for text in texts]
    return Dialogue(query, answers=answers, timing=QUIET, wrong=on)


def commits(dialogue: Dialogue, count: int, pause_s: float = 1.0) -> None:
    for _ in range(count):
        dialogue.send(chunk(1.0, commit=True))
        dialogue.wait(pause_s)


# Names


def test_a_fault_is_a_name_and_perhaps_a_value() -> None:
    assert parse("mute") == faults.Fault("mute")
    assert parse("slow=0.5").value == 0.5
    assert parse("slow").value == 2.0
    assert parse("close-1011=3") == faults.Fault("close", 1011, 3.0)
    assert parse("http-503").number == 503
    assert parse("drop=commit").on_commit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drip", "there is no fault 'drip'; did you mean drop?"),
        ("auth-error", "did you mean auth_error?"),
        ("", "there is no fault ''"),
        ("http", "there is no fault 'http'; did you mean http-NNN?"),
        ("mute-503", "there is no fault 'mute-503'"),
        ("http-200", "200 is no HTTP status of an error"),
        ("close-1006", "1006 is no close code that may be sent"),
        ("close-999", "999 is no close code"),
        ("mute=3", "the fault mute takes no value, not '3'"),
        ("slow=fast", "must be a number from 0, not 'fast'"),
        ("slow=nan", "must be a number from 0, not 'nan'"),
        ("slow=-1", "must be a number from 0, not '-1'"),
        ("slow=commit", "must be a number from 0, not 'commit'"),
        ("lost-answer=0", "must be a number from 1, not '0'"),
        ("drop=soon", 'seconds after the opening, or "commit"'),
    ],
)
def test_what_is_no_fault_is_said_in_words(text: str, said: str) -> None:
    with pytest.raises(FaultError) as error:
        parse(text)
    assert said in str(error.value)


@given(st.text(max_size=20))
def test_any_text_is_a_fault_or_an_error(text: str) -> None:
    try:
        known = parse(text).name in faults.KINDS
    except FaultError as error:
        known = bool(str(error))
    assert known


def test_the_list_has_every_fault() -> None:
    listed = {line.split()[0] for line in faults.listing().splitlines() if line.startswith("  ")}
    assert {name.removesuffix("-NNN") for name in listed} == set(faults.KINDS)


# Schedules


def test_a_schedule_says_what_goes_wrong_when_and_how_long() -> None:
    first, second, third = read_schedule(
        "# a bad day\n\n10 http-503=5 for 30\n60.5  drop   # a cable\n90 mute\n"
    )
    assert (first.name, first.start_s, first.end_s, first.value) == ("http", 10.0, 40.0, 5.0)
    assert (second.name, second.start_s, second.end_s) == ("drop", 60.5, 60.5)
    assert (third.start_s, third.end_s) == (90.0, math.inf)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("drop", "line 2: 'drop' is not SECONDS FAULT"),
        ("10 drop for", "is not SECONDS FAULT"),
        ("soon drop", "line 2: the time must be a number from 0, not 'soon'"),
        ("10 drop for ever", "the length must be a number from 0, not 'ever'"),
        ("10 drip", "line 2: there is no fault 'drip'"),
    ],
)
def test_a_schedules_mistakes_are_named_with_their_line(line: str, said: str) -> None:
    with pytest.raises(FaultError) as error:
        read_schedule(f"1 mute\n{line}\n")
    assert said in str(error.value)


def test_an_event_of_a_schedule_befalls_who_is_connected_then() -> None:
    cut = Dialogue(wrong=read_schedule("3 drop"), timing=QUIET)
    cut.wait(2.9)
    assert cut.end is None
    cut.wait(0.2)
    assert cut.got[-1] == (103.0, Drop())
    later = Dialogue(timing=QUIET)
    later.faults.add(parse("drop"), now=50.0)  # before this session opened
    later.wait(5)
    assert later.kinds() == ["session_started"]


def test_an_event_with_a_length_befalls_who_comes_meanwhile() -> None:
    dialogue = Dialogue(timing=QUIET)
    dialogue.faults.add(parse("drop=1"), now=95.0, for_s=10.0)
    dialogue.wait(1.1)
    assert dialogue.got[-1] == (101.0, Drop())


def test_a_state_of_a_schedule_ends_with_its_length() -> None:
    dialogue = Dialogue(wrong=read_schedule("0 lost-answer for 1.5"), timing=QUIET)
    commits(dialogue, 3)
    assert len(dialogue.texts("committed_transcript")) == 1


# What the client gets


@pytest.mark.parametrize("kind", TEXTS)
def test_every_error_of_the_service_can_be_called_by_its_name(kind: str) -> None:
    dialogue = wrong(kind)
    refusals = {"auth_error", "unaccepted_terms", "quota_exceeded", "invalid_request"}
    refusals |= {"rate_limited", "resource_exhausted"}
    assert dialogue.kinds() == ([kind] if kind in refusals else ["session_started", kind])
    assert dialogue.frames(kind)[0]["error"] == TEXTS[kind]
    assert dialogue.end is not None
    assert dialogue.session.refused == kind
    assert dialogue.end.code == (1008 if kind == "invalid_request" else 1000)


def test_an_error_may_come_later_or_with_a_commit() -> None:
    later = wrong("transcriber_error=3")
    later.wait(2.9)
    assert later.kinds() == ["session_started"]
    later.wait(0.2)
    assert later.kinds()[-1] == "transcriber_error"
    instead = wrong("transcriber_error=commit")
    commits(instead, 2)
    assert instead.kinds() == ["session_started", "transcriber_error"]


def test_the_service_can_close_with_any_code_and_cut_off_without() -> None:
    assert wrong("close-1011").got[-1][1] == Close(1011, "")
    assert wrong("drop").got[-1][1] == Drop()
    dropped = wrong("drop=commit")
    commits(dropped, 1)
    assert dropped.got[-1][1] == Drop()
    assert dropped.texts("committed_transcript") == []


def test_answers_can_be_lost_and_no_record_says_otherwise() -> None:
    dialogue = wrong("lost-answer=2", answers=("one", "two", "three"))
    commits(dialogue, 3)
    assert dialogue.texts("committed_transcript") == ["one", "three"]
    assert [r.text for r in dialogue.records if r.answered_at is not None] == ["one", "three"]


def test_answers_can_come_twice() -> None:
    dialogue = wrong("double-answer", query="include_timestamps=true")
    commits(dialogue, 2)
    assert dialogue.texts("committed_transcript") == ["one", "one", "two", "two"]
    assert dialogue.texts("committed_transcript_with_timestamps") == ["one", "one", "two", "two"]


def test_answers_can_come_late_and_keep_their_order() -> None:
    dialogue = wrong("late-answer=3")
    commits(dialogue, 2, pause_s=0.1)
    dialogue.faults.clear()
    commits(dialogue, 1)
    dialogue.wait(5)
    assert dialogue.texts("committed_transcript") == ["one", "two", "one"]
    assert dialogue.times("committed_transcript")[0] >= 3.0


def test_every_message_can_come_late_with_the_close_behind_it() -> None:
    dialogue = wrong("slow=2", "transcriber_error=1")
    assert dialogue.got == []
    dialogue.wait(2.5)
    assert dialogue.kinds() == ["session_started"]
    dialogue.wait(1)
    assert dialogue.kinds() == ["session_started", "transcriber_error"]
    assert dialogue.end == Close(1000, "transcriber_error")


def test_a_mute_service_says_nothing_until_it_hangs_up() -> None:
    dialogue = wrong("mute")
    commits(dialogue, 2)
    assert dialogue.got == []
    dialogue.wait(15)
    assert [output for _, output in dialogue.got] == [Close(1000, "")]


def test_messages_can_be_what_no_client_expects() -> None:
    assert wrong("garbage").got == [(100.0, PAGE)]
    ((_, binary),) = wrong("binary").got
    assert isinstance(binary, bytes)
    assert b"session_started" in binary
    ((_, raw),) = wrong("bad-utf8").got
    assert isinstance(raw, RawText)
    with pytest.raises(UnicodeDecodeError):
        raw.data.decode()
    assert wrong("unknown").kinds() == ["weather_report", "session_started"]
    assert wrong("bomb=50").got[0][1] == "[" * 50
    huge, started = wrong("huge=5000").frames()
    assert (huge["message_type"], len(huge["text"])) == ("huge", 5000)
    assert started["message_type"] == "session_started"


def test_what_is_another_services_fault_leaves_this_one_alone() -> None:
    dialogue = wrong("openmind-restart", "openmind-committed")
    commits(dialogue, 1)
    assert dialogue.kinds() == ["session_started", "committed_transcript"]


STEPS = st.lists(
    st.sampled_from(sorted(faults.STATES.keys() - {"http", "mint", "no-upgrade", "huge", "bomb"}))
    | st.sampled_from(["drop=2", "close-1011=3", "transcriber_error=commit", "error=5"])
    | st.floats(0, 4)
    | st.builds(chunk, st.sampled_from([0.0, 0.5, 1.0]), commit=st.booleans()),
    max_size=25,
)


@given(STEPS)
@example(["slow", "drop=2", chunk(0.0, commit=True)])  # its own end waits when it is dropped
def test_whatever_goes_wrong_a_session_ends_once_and_answers_no_commit_of_its_own(
    steps: list[str | float],
) -> None:
    dialogue = Dialogue(timing=QUIET)
    for step in steps:
        if isinstance(step, float):
            dialogue.wait(step)
        elif step.startswith("{"):
            dialogue.send(step)
        else:
            dialogue.faults.add(parse(step), dialogue.now)
    dialogue.wait(90)
    ends = [at for at, (_, out) in enumerate(dialogue.got) if isinstance(out, (Close, Drop))]
    assert ends == [len(dialogue.got) - 1]
    assert dialogue.service.timer() is None
    taken = {r.number for r in dialogue.records if r.answered_at is None}
    assert {r.number for r in dialogue.records if r.answered_at is not None} <= taken
