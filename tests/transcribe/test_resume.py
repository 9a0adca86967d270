"""Whatever ends a run, the next one goes on: no word is missing, and none is told twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.shell import COMMAND, Shell
from tests.faults.cloud import AFTER_COMMIT, Cloud
from tests.transcribe.recording import Recording, assert_told_once, told


def begin(shell: Shell, *words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "transcribe", *map(str, words)],
        cwd=shell.home,
        env=shell.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err, err
    return out, err


def test_a_recording_is_told_whole(shell: Shell, recording: Recording) -> None:
    path = recording.save(shell.home / "talk.wav")
    said = shell.scribed("transcribe", path, "--speed", "100")
    assert (said.status, said.err) == (0, "")
    assert_told_once(recording, said.out)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_run_that_was_ended_is_taken_up(
    shell: Shell, cloud: Cloud, recording: Recording, how: signal.Signals, form: str
) -> None:
    path, out = recording.save(shell.home / "talk.wav"), shell.home / "talk.out"
    options: list[str | Path] = ["-o", out, "--format", form, path]
    for answers in (2, 5):
        process = begin(shell, "--speed", "8", *options, *(["--resume"] if answers > 2 else []))
        already = len(cloud.answered)
        cloud.wait_for(lambda: len(cloud.answered) >= min(answers, already + 2), 20)  # noqa: B023
        process.send_signal(how)
        _, err = ended(process)
        if how is not signal.SIGKILL:
            assert process.returncode == 0
            assert f"scribed transcribe --speed 8 -o {out}" in err
            assert "--resume" in err
        assert len(told(out.read_text())) < 10
    said = shell.scribed("transcribe", "--resume", *options)
    assert (said.status, said.err) == (0, "")
    text = out.read_text()
    if form == "jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["seq"] for line in lines] == list(range(1, 11))
        text = "\n".join(line["text"] for line in lines)
    assert_told_once(recording, text)
    assert sorted(p.name for p in shell.home.iterdir()) == ["talk.out", "talk.wav"]


def test_what_goes_to_standard_output_goes_on_at_a_time(
    shell: Shell, cloud: Cloud, recording: Recording
) -> None:
    path = recording.save(shell.home / "talk.wav")
    process = begin(shell, path)
    cloud.wait_for(lambda: len(cloud.answered) >= 3, 20)
    process.send_signal(signal.SIGINT)
    out, err = ended(process)
    assert process.returncode == 0
    start = err.split("--start ")[1].strip()
    assert f"go on with: scribed transcribe {path} --start {start}" in err
    said = shell.scribed("transcribe", path, "--start", start)
    assert said.status == 0
    assert_told_once(recording, out + said.out)


def test_an_unfinished_file_is_not_written_over(shell: Shell, recording: Recording) -> None:
    path, out = recording.save(shell.home / "talk.wav"), shell.home / "talk.txt"
    shell.write("talk.txt", "half")
    shell.write("talk.txt.resume", "{}")
    said = shell.scribed("transcribe", path, "-o", out)
    assert said.status == 1
    assert "is not finished: add --resume to go on with it, or delete" in said.err
    assert out.read_text() == "half"


def test_a_finished_file_is_not_told_again(
    shell: Shell, cloud: Cloud, recording: Recording
) -> None:
    path, out = recording.save(shell.home / "talk.wav"), shell.write("talk.txt", "done\n")
    said = shell.scribed("transcribe", "--resume", "-o", out, path)
    assert (said.status, out.read_text()) == (0, "done\n")
    assert "is finished already" in said.err
    assert not cloud.commits


def test_an_utterance_that_failed_says_why(
    shell: Shell, cloud: Cloud, recording: Recording
) -> None:
    cloud.poisoned = {3}
    own = shell.write("own.toml", "[retry]\ninitial_s = 0.05\nmax_s = 1\n")
    path = recording.save(shell.home / "talk.wav")
    said = shell.scribed("transcribe", "-c", own, "--speed", "100", path)
    assert said.status == 1
    assert "no text for 1 utterance: 1 failed (" in said.err
    assert "); the last error was: " in said.err
    assert "this audio cannot be read" in said.err


def test_a_run_that_waited_says_what_for(shell: Shell, cloud: Cloud, recording: Recording) -> None:
    cloud.http_status = 503
    process = begin(shell, recording.save(shell.home / "talk.wav"))
    cloud.wait_for(lambda: len(cloud.upgrades) >= 2, 20)
    process.send_signal(signal.SIGINT)
    _, err = ended(process)
    assert process.returncode == 0
    assert "talk.wav: it waited: HTTP 503" in err
    assert "--start 0.000" in err


def test_two_runs_at_once_do_not_break_one_file(
    shell: Shell, cloud: Cloud, recording: Recording
) -> None:
    path = recording.save(shell.home / "talk.wav")
    others_were = threading.Event()

    def hold_the_second() -> None:
        cloud.trap = (AFTER_COMMIT, lambda: others_were.wait(60))

    cloud.trap = (AFTER_COMMIT, hold_the_second)
    shell.environ["SCRIBED_PROVIDER__ANSWER_TIMEOUT_S"] = "60"
    process = begin(shell, path, "-o", "talk.txt")
    cloud.wait_for(lambda: len(cloud.commits) == 2, 20)
    for more in ([], ["--resume"]):
        said = shell.scribed("transcribe", path, "-o", "talk.txt", *more)
        assert said.status == 1
        assert "another run is writing it" in said.err or "is not finished" in said.err
    others_were.set()
    ended(process)
    assert process.returncode == 0
    assert_told_once(recording, (shell.home / "talk.txt").read_text())
    assert not (shell.home / "talk.txt.lock").exists()
