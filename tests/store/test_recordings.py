"""Flight recordings on the disk: whole, private, and never more than they may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scribed import config
from scribed.model import Command, EarlierBoot, Outcome, Reply
from scribed.recording import Decisions, KeepRecording, Record, Recording, RecordingKept, decode
from scribed.store.recordings import PIECE_BYTES, Recordings
from tests.capture.rig import until
from tests.store.house import House
from tests.store.talk import closed, final

UNIX = 1_790_000_000.0


class Answers:
    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def put(self, item: Any) -> None:
        self.replies.append(item)


def recording(seconds: float = 1.0, trigger: str = "command") -> Recording:
    frames = round(seconds * 50)
    return Recording(
        pcm=bytes(640 * frames),
        decisions=Decisions("." * frames, "." * frames),
        stand=None,
        settings={"audio.frame_ms": 20},
        device="hw:CARD=Mic",
        device_rate=48_000,
        device_channels=1,
        version="1.2.3",
        trigger=trigger,
        about="",
        at=100.0,
    )


class Shelf:
    """Recordings of at most 1 MB and an hour, and the clock."""

    def __init__(self, state: Path) -> None:
        self.now = 100.0
        self.directory = state / "recordings"
        self.recordings = Recordings(
            state,
            config.Recorder(max_mb=1, max_age_h=1.0),
            min_free_bytes=0,
            now=lambda: self.now,
            wall=lambda: UNIX + self.now,
        )
        self.answers = Answers()

    def keep(self, seconds: float = 1.0) -> Reply:
        command = Command("record", {}, True, self.answers, 7)
        self.recordings.begin(KeepRecording(recording(seconds), command))
        while not self.recordings.look_after():
            pass
        return self.answers.replies.pop()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_recording_is_whole_private_and_named_by_its_time(shelf: Shelf) -> None:
    reply = shelf.keep()
    name = "20260921T141500Z-command.wav"
    path = shelf.directory / name
    assert reply.result == {"name": name, "path": str(path), "audio_ms": 1000}
    assert path.stat().st_mode & 0o777 == 0o600
    assert shelf.directory.stat().st_mode & 0o777 == 0o700
    found = decode(path.read_bytes())
    assert found is not None
    assert found[1] == "2026-09-21T14:15:00.000Z"
    assert found[0].pcm == recording().pcm
    shelf.keep()
    assert shelf.names() == ["20260921T141500Z-command-1.wav", name]


def test_it_is_written_in_pieces_and_there_is_no_half_of_one(shelf: Shelf) -> None:
    shelf.recordings.begin(KeepRecording(recording(10.0)))
    pieces = 1
    while not shelf.recordings.look_after():
        assert shelf.names() == ["now.part"]
        assert shelf.recordings.due_at == 0.0
        pieces += 1
    assert pieces == -(-320_000 // PIECE_BYTES)
    assert shelf.names() == ["20260921T141500Z-command.wav"]


def test_the_oldest_go_where_there_are_too_many_and_what_is_too_old_goes(shelf: Shelf) -> None:
    for n in range(4):
        shelf.now = 100.0 + n
        path = Path(shelf.keep(9.0).result["path"])  # 288 kB
        os.utime(path, (UNIX + n, UNIX + n))
    assert len(shelf.names()) == 3
    shelf.now = 3602.5
    assert not shelf.recordings.look_after()
    assert len(shelf.names()) == 1
    shelf.now += 3600
    assert not shelf.recordings.look_after()
    assert shelf.names() == []


def test_what_does_not_fit_is_refused_in_words(shelf: Shelf) -> None:
    shelf.keep()
    reply = shelf.keep(60.0)
    assert reply.error is not None
    assert "recorder.max_mb" in reply.error.message
    assert len(shelf.names()) == 1, "nothing has to go for what has no room anyway"


def test_what_others_put_there_keeps_nothing_from_being_written(shelf: Shelf) -> None:
    assert shelf.keep(9.0).error is None
    (shelf.directory / "gone.wav").symlink_to("nowhere")
    (shelf.directory / "cut.wav").mkdir()
    for n in range(5):
        shelf.now += 1.0 + n
        assert shelf.keep(9.0).error is None
    assert {"gone.wav", "cut.wav"} < set(shelf.names())


def test_a_directory_that_cannot_be_made_is_an_answer_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("in the way")
    shelf = Shelf(tmp_path)
    reply = shelf.keep()
    assert reply.error is not None
    assert "could not be written" in reply.error.message


def test_what_a_crash_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "now.part").write_bytes(b"RIFF")
    shelf = Shelf(tmp_path)
    assert not shelf.recordings.look_after()
    assert shelf.names() == []


# The thread


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for life in list(house.lives):
        life.stop()


def test_the_store_writes_answers_and_tells_capture(house: House) -> None:
    life = house.life()
    life.start()
    answers = Answers()
    life.post(KeepRecording(recording(3.0), Command("record", {}, True, answers, 7)))
    until(lambda: answers.replies)
    assert Path(answers.replies[0].result["path"]).exists()
    until(lambda: any(isinstance(item, RecordingKept) for item in life.capture.drain()))


def test_an_utterance_without_text_is_a_false_opening_unless_it_is_of_an_earlier_boot(
    house: House,
) -> None:
    life = house.life()
    life.start()
    boot = EarlierBoot("b", 1.0, clock_synced=None)
    old = closed(3)
    old = replace(old, started=replace(old.started, boot=boot))
    life.post(final(1), old, closed(2, Outcome.EVICTED), closed(4))
    asked = until(lambda: [item for item in life.capture.drain() if isinstance(item, Record)])
    assert asked == [Record("false_opening", "4", since=40.0)]
