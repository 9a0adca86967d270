"""Log records: readable lines on a terminal, none of them from libraries that tell too much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LINES = """
import logging, sys
from scribed.service import journal
journal.configure(sys.argv[1])
log = logging.getLogger("scribed.uplink")
for level in ("debug", "info", "warning", "error"):
    getattr(log, level)("%s is said", level)
"""
TROUBLE = """
import logging, threading
from scribed.service import journal
journal.configure("info")
def work():
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("scribed").exception("it broke")
thread = threading.Thread(target=work, name="uplink")
thread.start(); thread.join()
"""
LIBRARIES = """
import logging
from scribed.service import journal
journal.configure("debug")
for name in ("websocket", "paho.mqtt.client", "asyncio", "websockets.client"):
    logging.getLogger(name).debug("xi-api-key: s3cret")
    logging.getLogger(name).info("xi-api-key: s3cret")
    logging.getLogger(name).warning("%s is heard", name)
"""
TWICE = """
from scribed.service import journal
journal.configure("info")
journal.configure("info")
import logging
logging.getLogger("scribed").info("once")
"""
JOURNAL = """
import os, sys
stream = os.fstat(2)
os.environ["JOURNAL_STREAM"] = sys.argv[1].format(dev=stream.st_dev, ino=stream.st_ino)
from scribed.service import journal
journal.configure("info")
import logging
print(type(logging.getLogger().handlers[0].target).__name__)
logging.getLogger("scribed").info("hello")
"""
LEVEL = """
from scribed.service import journal
import logging
journal.configure("warning")
logging.getLogger("scribed").info("too little")
journal.set_level("debug")
logging.getLogger("scribed").debug("now it is told")
"""
REPEATED = """
from scribed import kinds
from scribed.service import journal
import logging
journal.configure("info")
for _ in range(7):
    logging.getLogger("scribed").error("no microphone", extra=kinds.NO_DEVICE(error="none"))
journal.settle(everything=True)
"""
FIELDS = """
import logging
from scribed import kinds
from scribed.service import journal
extra = kinds.PUBLISHED(
    utterance_id="01JM", seq=7, topic="late", attempt=2, latency_ms=371, onset_to_gate_ms=None,
    gate_to_first_byte_ms=0, end_to_commit_ms=1, commit_to_text_ms=2, text_to_publish_ms=3)
record = logging.getLogger().makeRecord("n", 20, "f", 1, "m %s", ("my words",), None, "g", extra)
for name, value in journal.fields(record).items():
    print(name, value)
"""


def said(script: str, *arguments: str) -> tuple[list[str], list[str]]:
    """The lines of a process of its own: standard output, and what was logged."""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_said(level: str, words: list[str]) -> None:
    _, lines = said(LINES, level)
    assert [line.split(": ", 1)[1] for line in lines] == [f"{word} is said" for word in words]


def test_a_line_has_time_level_and_thread() -> None:
    _, lines = said(LINES, "error")
    clock, level, thread, *_ = lines[0].split()
    assert len(clock) == len("12:00:01.234")
    assert (level, thread) == ("ERROR", "MainThread:")


def test_an_exception_is_logged_with_its_traceback_and_the_threads_name() -> None:
    _, lines = said(TROUBLE)
    assert lines[0].endswith(" ERROR   uplink: it broke")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_libraries_do_not_tell_what_they_send_even_at_debug() -> None:
    _, lines = said(LIBRARIES)
    assert "s3cret" not in "\n".join(lines)
    assert len(lines) == 4
    assert all(line.endswith("is heard") for line in lines)


def test_configuring_twice_does_not_say_everything_twice() -> None:
    _, lines = said(TWICE)
    assert len(lines) == 1


def test_under_systemd_records_go_to_the_journal_and_not_to_stderr() -> None:
    assert said(JOURNAL, "{dev}:{ino}") == (["_Journal"], [])


def test_with_stderr_elsewhere_they_go_there_though_systemd_started_us() -> None:
    handler, lines = said(JOURNAL, "{dev}:1{ino}")
    assert handler == ["StreamHandler"]
    assert len(lines) == 1


def test_the_level_can_be_changed_while_it_runs() -> None:
    _, lines = said(LEVEL)
    assert [line.split(": ", 1)[1] for line in lines] == ["now it is told"]


def test_what_is_said_again_and_again_is_counted_and_told_at_the_end() -> None:
    _, lines = said(REPEATED)
    assert [line.split(": ", 1)[1] for line in lines] == [
        "no microphone",
        "no microphone (6 times)",
    ]


def test_the_journal_gets_the_fields_that_are_known_and_no_arguments() -> None:
    lines, _ = said(FIELDS)
    assert sorted(lines) == [
        "SCRIBED_ATTEMPT 2",
        "SCRIBED_COMMIT_TO_TEXT_MS 2",
        "SCRIBED_END_TO_COMMIT_MS 1",
        "SCRIBED_EVENT published",
        "SCRIBED_GATE_TO_FIRST_BYTE_MS 0",
        "SCRIBED_LATENCY_MS 371",
        "SCRIBED_SEQ 7",
        "SCRIBED_TEXT_TO_PUBLISH_MS 3",
        "SCRIBED_TOPIC late",
        "SCRIBED_UTTERANCE_ID 01JM",
    ]
