"""Files that a later run can go on with, however the one before has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.errors import ScribedError
from scribed.transcribe.mark import fingerprint
from scribed.transcribe.output import FileOutlet, StreamOutlet
from tests.transcribe.test_formats import spoken


def outlet(path: Path, *, resume: bool = False, source: str = "talk.wav") -> FileOutlet:
    opened = FileOutlet(path, "srt", source, resume=resume)
    opened.open()
    return opened


def test_a_finished_file_has_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    out = outlet(path)
    out.write(spoken("Stop!"), 2.0)
    assert path.with_name("a.srt.resume").exists()
    out.close(complete=True)
    assert path.read_text() == "1\n00:00:00,000 --> 00:00:01,520\nStop!\n\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_source_where_nobody_speaks_makes_an_empty_file(tmp_path: Path) -> None:
    out = FileOutlet(tmp_path / "a.vtt", "vtt", "talk.wav", resume=False)
    out.open()
    out.close(complete=True)
    assert (tmp_path / "a.vtt").read_text() == "WEBVTT\n\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_not_touched_before_there_is_something_to_write(tmp_path: Path) -> None:
    (path := tmp_path / "a.srt").write_text("of yesterday")
    out = outlet(path)
    out.close(complete=False)
    assert path.read_text() == "of yesterday"


def test_it_goes_on_behind_what_is_told_whatever_was_written_after_it(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    out = outlet(path)
    out.write(spoken("One.", 1), 2.0)
    told = path.read_bytes()
    out.close(complete=False)
    path.write_bytes(told + b"2\n00:00")  # it was killed in the middle of the next one
    later = outlet(path, resume=True)
    assert (later.mark.done_s, later.mark.utterances, later.mark.cues) == (2.0, 1, 1)
    later.write(spoken("Two.", 2, 3000, 4000), 4.0)
    later.close(complete=True)
    assert path.read_text().endswith("One.\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo.\n\n")
    assert path.read_bytes().startswith(told)


def test_how_far_it_is_told_is_kept_where_there_was_no_text(tmp_path: Path) -> None:
    out = outlet(tmp_path / "a.srt")
    out.passed(60.0)
    out.passed(59.0)
    out.close(complete=False)
    assert outlet(tmp_path / "a.srt", resume=True).mark.done_s == 60.0


def test_a_mark_of_something_else_is_refused(tmp_path: Path) -> None:
    out = outlet(tmp_path / "a.srt")
    out.write(spoken("One."), 2.0)
    out.close(complete=False)
    with pytest.raises(ScribedError, match=r"is of talk.wav as srt, and not of other.wav as srt"):
        outlet(tmp_path / "a.srt", resume=True, source="other.wav")
    (tmp_path / "a.srt").write_text("")
    later = outlet(tmp_path / "a.srt", resume=True)
    with pytest.raises(ScribedError, match=r"is shorter than .*resume says: delete both"):
        later.write(spoken("Two.", 2), 3.0)
    (tmp_path / "a.srt.resume").write_text("{")
    with pytest.raises(ScribedError, match=r"a.srt.resume cannot be read; delete it"):
        outlet(tmp_path / "a.srt", resume=True)


@pytest.mark.parametrize(
    "more", ['"nbytes":-3', '"done_s":1e300', '"done_s":-1', '"cues":-1', '"utterances":-1']
)
def test_a_mark_that_cannot_be_is_refused(tmp_path: Path, more: str) -> None:
    mark = f'{{"source":"talk.wav","format":"srt",{more}}}'
    (tmp_path / "a.srt.resume").write_text(mark)
    with pytest.raises(ScribedError, match=r"a.srt.resume cannot be read; delete it"):
        outlet(tmp_path / "a.srt", resume=True)


def test_a_mark_knows_the_address_and_does_not_tell_it(tmp_path: Path) -> None:
    shown, path = "http://h/a", tmp_path / "a.srt"

    def of(asked: str, *, resume: bool) -> FileOutlet:
        address = fingerprint(asked, shown)
        return FileOutlet(path, "srt", shown, resume=resume, address=address)

    out = of("http://u:secret@h/a?id=1", resume=False)
    out.open()
    out.write(spoken("One."), 2.0)
    out.close(complete=False)
    assert "secret" not in (tmp_path / "a.srt.resume").read_text()
    assert of("http://u:secret@h/a?id=1", resume=True).mark.done_s == 2.0
    for other in ("http://u:secret@h/a?id=2", shown):
        with pytest.raises(ScribedError, match="with another query, user or password: give the"):
            of(other, resume=True)


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    (tmp_path / "link.srt").symlink_to(tmp_path / "a.srt")
    first = outlet(tmp_path / "a.srt")
    for name in ("a.srt", "link.srt"):
        with pytest.raises(ScribedError, match="another run is writing it"):
            outlet(tmp_path / name)
    waiting = FileOutlet(tmp_path / "a.srt", "srt", "talk.wav", resume=False)
    first.write(spoken("One."), 2.0)
    first.close(complete=False)
    with pytest.raises(ScribedError, match="another run has written it meanwhile; begin again"):
        waiting.open()
    later = outlet(tmp_path / "a.srt", resume=True)
    later.close(complete=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.srt", "link.srt"]


def test_the_lock_of_a_run_that_was_killed_keeps_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.srt.lock").write_text("")
    out = outlet(tmp_path / "a.srt")
    out.close(complete=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.srt"]


def test_behind_what_could_not_be_shown_nothing_is() -> None:
    shown: list[str] = []
    full = [True]

    def show(text: str) -> None:
        if full.pop() if full else False:
            raise ScribedError("standard output cannot be written: No space left on device")
        shown.append(text)

    out = StreamOutlet("text", "b.wav", start_s=1.0, show=show, waits=True)
    out.write(spoken("One."), 2.0)
    with pytest.raises(ScribedError, match="No space left"):
        out.release()
    out.write(spoken("Two.", 2), 3.0)
    out.passed(4.0)
    out.close(complete=True)
    assert shown == []
    assert out.mark.done_s == 1.0


@pytest.mark.parametrize("path", ["missing/a.srt", "directory"])
def test_what_cannot_be_written_is_told_before_anything_is_heard(tmp_path: Path, path: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(ScribedError, match=r"cannot be written; name another file with -o"):
        outlet(tmp_path / path)


def test_a_disk_that_is_full_is_told() -> None:
    out = FileOutlet(Path("/dev/full"), "text", "talk.wav", resume=False)
    out.open()
    with pytest.raises(ScribedError, match="/dev/full cannot be written: No space left on device"):
        out.write(spoken("Stop!"), 1.0)
    out.close(complete=False)
    assert not Path("/dev/full.resume").exists()


def test_a_part_of_the_stream_waits_for_its_turn() -> None:
    shown: list[str] = []
    out = StreamOutlet(
        "text", "b.wav", start_s=0.0, title="== b ==\n", show=shown.append, waits=True
    )
    out.open()
    out.write(spoken("One."), 1.0)
    assert shown == []
    out.release()
    out.write(spoken("Two.", 2), 2.0)
    out.close(complete=True)
    assert shown == ["== b ==\nOne.\n", "Two.\n"]
