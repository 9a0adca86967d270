"""The line that tells how far it is."""

from __future__ import annotations

import io
import os
import pty

from scribed.transcribe.progress import Part, Screen, clock, line


def test_one_source_has_a_bar_and_the_time_left() -> None:
    half = Part("talk.wav", done_s=90, duration_s=180, is_running=True)
    assert line([half], [0.0], 30.0, 100) == "[############............]  50%  0:30 left  talk.wav"


def test_at_first_nobody_knows_how_long_it_takes() -> None:
    assert "-:-- left" in line([Part("a", 1, 100, is_running=True)], [0.0], 1.0, 100)


def test_what_an_earlier_run_told_is_not_counted_for_this_one() -> None:
    part = Part("a", done_s=150, duration_s=200, is_running=True)
    assert " 50%  0:10 left" in line([part], [100.0], 10.0, 100)


def test_several_sources_are_one_whole() -> None:
    parts = [
        Part("a", 100, 100, is_over=True),
        Part("b", 0, 100, is_running=True),
        Part("c"),  # nobody has looked into it yet
    ]
    said = line(parts, [0.0, 0.0, 0.0], 60.0, 100)
    assert said == "[########................]  33%  1 of 3  2:00 left  b"


def test_what_has_no_end_says_how_much_of_it_is_told() -> None:
    part = Part("alsa:mic", done_s=62, heard_s=70, is_running=True)
    assert line([part], [0.0], 70.0, 100) == "1:02 of 1:10 told  alsa:mic"


def test_why_it_waits_is_told_and_the_line_fits_the_terminal() -> None:
    part = Part("a", 50, 100, is_running=True, trouble="HTTP 503")
    assert line([part], [0.0], 10.0, 100) == "50%  waits: HTTP 503  a"
    assert len(line([part], [0.0], 10.0, 20)) == 20
    why = "cannot connect to 192.0.2.1 port 443: Connection refused"
    waiting = Part("a/long/name/of/a/recording.wav", 50, 100, is_running=True, trouble=why)
    assert why in line([waiting], [0.0], 10.0, 79)


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.9, 3600, -1)] == ["0:00", "0:59", "1:00:00", "0:00"]


def test_in_a_pipe_there_is_no_line() -> None:
    screen = Screen(stream := io.StringIO())
    screen.draw("50%")
    screen.clear()
    assert stream.getvalue() == ""
    screen.say("something went wrong")
    assert stream.getvalue() == "something went wrong\n"


def test_on_a_terminal_the_line_gives_way() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        screen = Screen(terminal)
        screen.draw("50%")
        screen.say("hello")
        shown = b""
        while not shown.endswith(b"\n"):  # a terminal gives what it has
            shown += os.read(master, 100)
        assert shown == b"\r\x1b[K50%\r\x1b[Khello\r\n"
    os.close(master)
