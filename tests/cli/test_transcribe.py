"""`scribed transcribe` as people use it: in a process, with the service beside it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.capture.sources.web import Web, answer, broadcast
from tests.cli.shell import COMMAND, Shell
from tests.e2e import recordings
from tests.e2e.recordings import write_wav
from tests.faults.voice import phrases
from tests.parts.asound import Asound, compile_fault
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.media import encoded, needs_ffmpeg
from tests.parts.robot import silence


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """It answers with the number of seconds that it heard, rounded."""
    running = Cloud()
    running.always.answer = lambda audio: f"{len(audio) / 32_000:.0f} seconds."
    yield running
    running.close()


@pytest.fixture
def shell(tmp_path: Path, cloud: Cloud) -> Shell:
    shell = Shell(tmp_path)
    shell.environ |= {"ELEVENLABS_API_KEY": "sk_canary", "SCRIBED_PROVIDER__URL": cloud.url}
    return shell


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three phrases, of 1, 1 and 4 seconds, each with a pause behind it."""
    spoken = phrases(tmp_path_factory.mktemp("voice"))
    pieces = [silence(1.0), *(p + silence(1.0) for p in (spoken[0], spoken[1], spoken[4]))]
    return b"".join(pieces)


SAID = "2 seconds.\n2 seconds.\n5 seconds.\n"


def speak(shell: Shell, talk: bytes, name: str = "talk.wav") -> Path:
    return write_wav(shell.home / name, talk)


def piped(shell: Shell, content: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "transcribe", *words],
        cwd=shell.home, env=shell.environ, input=content, capture_output=True, timeout=30,
        check=False,
    )  # fmt: skip


# Sources


def test_a_wav_needs_neither_ffmpeg_nor_a_configuration(shell: Shell, talk: bytes) -> None:
    shell.environ["PATH"] = str(shell.home)
    said = shell.scribed("transcribe", speak(shell, talk))
    assert (said.status, said.out, said.err) == (0, SAID, "")


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["flac", "mp3", "mkv"])
def test_other_recordings_go_through_ffmpeg(shell: Shell, talk: bytes, suffix: str) -> None:
    path = shell.home / f"talk.{suffix}"
    encoded(speak(shell, talk), path)
    said = shell.scribed("transcribe", path)
    assert (said.status, said.out, said.err) == (0, SAID, "")


@needs_ffmpeg
def test_a_url_is_fetched_and_its_credentials_are_never_shown(shell: Shell, talk: bytes) -> None:
    with Web() as web:
        web.pages["/talk.wav"] = speak(shell, talk).read_bytes()
        web.pages["/no.wav"] = lambda request: answer(request, b"", status=403)
        there = f"http://robot:s3cret@127.0.0.1:{web.port}"
        said = shell.scribed("transcribe", "--format", "jsonl", f"{there}/talk.wav?token=abc123")
        assert (said.status, said.err) == (0, "")
        lines = [json.loads(line) for line in said.out.splitlines()]
        assert [line["text"] for line in lines] == SAID.splitlines()
        assert {line["source"] for line in lines} == {web.url("/talk.wav")}
        refused = shell.scribed("transcribe", f"{there}/no.wav?token=abc123")
        assert refused.status == 1
        assert "403 Forbidden" in refused.err
        assert "s3cret" not in said.out + refused.err
        assert "abc123" not in said.out + refused.err


def test_raw_samples_are_piped_in(shell: Shell, talk: bytes) -> None:
    done = piped(shell, talk, "-")
    assert (done.returncode, done.stdout.decode()) == (0, SAID)
    assert done.stderr == b"scribed: standard input is raw s16le, 16000 Hz, channels: 1\n"


@needs_ffmpeg
def test_a_file_may_be_piped_in_as_well(shell: Shell, talk: bytes) -> None:
    content = encoded(speak(shell, talk), shell.home / "talk.flac")
    done = piped(shell, content, "-")
    assert (done.returncode, done.stdout.decode()) == (0, SAID)
    assert b"standard input begins like FLAC: ffmpeg reads it" in done.stderr
    raw = piped(shell, content, "-", "--raw")
    assert b"standard input is raw s16le" in raw.stderr


def test_a_device_is_heard_until_ctrl_c_and_the_last_words_are_told(
    shell: Shell, cloud: Cloud, tmp_path: Path, talk: bytes
) -> None:
    (home := tmp_path / "asound").mkdir()
    asound = Asound(home, fault_module=compile_fault(tmp_path))
    (sound := tmp_path / "mic.raw").write_bytes(talk[: -len(silence(1.0))])
    mic = asound.fault("mic", audio=sound)
    shell.environ |= asound.environment()
    process = subprocess.Popen(
        [*COMMAND, "transcribe", f"alsa:{mic.name}", "--format", "jsonl"],
        cwd=shell.home, env=shell.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    cloud.wait_for(lambda: len(cloud.commits) >= 2, 20)
    before = cloud.messages
    cloud.wait_for(lambda: cloud.messages > before + 5, 20)  # in the middle of the third
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["caution"] for line in lines] == [[], [], ["cut"]]
    assert 500 < lines[0]["start_ms"] < 1500


def test_a_device_that_is_not_there_is_told(shell: Shell) -> None:
    said = shell.scribed("transcribe", "alsa:nosuch")
    assert said.status == 1
    assert 'alsa:nosuch: no capture device "nosuch"; there are: ' in said.err


@needs_ffmpeg
def test_a_stream_is_opened_again_when_it_ends_until_ctrl_c(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    content = encoded(speak(shell, talk), shell.home / "talk.mp3")
    with Web() as web:
        web.pages["/live"] = lambda request: broadcast(request, content, icy_name="Radio X")
        process = subprocess.Popen(
            [*COMMAND, "transcribe", web.url("/live"), "--format", "jsonl"],
            cwd=shell.home, env=shell.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        cloud.wait_for(lambda: len(cloud.commits) >= 6, 30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(web.requests) >= 2
    assert [line["text"] for line in lines[:2]] == SAID.splitlines()[:2]
    assert len(lines) >= 6
    starts = [line["start_ms"] for line in lines]
    assert starts == sorted(starts)


@needs_ffmpeg
def test_ctrl_c_does_not_wait_for_a_server_that_says_nothing(shell: Shell) -> None:
    asked = threading.Event()
    with Web() as web:

        def silent(_request: object) -> None:
            asked.set()
            web.leaving.wait(30)

        web.pages["/live"] = silent
        process = subprocess.Popen(
            [*COMMAND, "transcribe", web.url("/live")],
            cwd=shell.home, env=shell.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert asked.wait(20)
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        ffmpegs = [pid for one in threads for pid in (one / "children").read_text().split()]
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 6
        assert process.returncode == 0, err
        assert len(ffmpegs) == 1
        assert not Path(f"/proc/{ffmpegs[0]}").exists()
        web.leaving.set()


@needs_ffmpeg
def test_a_stream_that_was_never_there_is_told(shell: Shell) -> None:
    with Web() as web:
        said = shell.scribed("transcribe", web.url("/live"))
        assert (said.status, said.out) == (1, "")
        assert said.err == (
            f"scribed: {web.url('/live')}: cannot be read: Server returned 404 Not Found\n"
        )


# Output


def test_several_sources_at_once_are_told_in_the_order_of_speech(shell: Shell, talk: bytes) -> None:
    one, two = speak(shell, talk, "one.wav"), speak(shell, talk[: 32_000 * 3], "two.wav")
    said = shell.scribed("transcribe", one, two)
    assert said.status == 0
    assert said.out.startswith(f"== {one} ==\n{SAID}== {two} ==\n2 seconds.\n")


def test_each_source_gets_a_file_of_its_own(shell: Shell, talk: bytes) -> None:
    one, two = speak(shell, talk, "one.wav"), speak(shell, talk, "two.wav")
    said = shell.scribed("transcribe", "--format", "vtt", "-o", "subtitles/", one, two)
    assert (said.status, said.out, said.err) == (0, "", "")
    files = sorted((shell.home / "subtitles").iterdir())
    assert [file.name for file in files] == ["one.vtt", "two.vtt"]
    assert all(file.read_text().startswith("WEBVTT\n\n00:00:00.") for file in files)
    assert files[0].read_text() == files[1].read_text()


def test_no_more_sources_run_at_once_than_were_asked_for(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    sources = [speak(shell, talk, f"{n}.wav") for n in range(3)]
    said = shell.scribed("transcribe", "--jobs", "1", "--speed", "100", *sources)
    assert said.out.count(SAID) == 3


@needs_ffmpeg
def test_one_bad_source_does_not_keep_the_others(shell: Shell, talk: bytes) -> None:
    good = speak(shell, talk)
    bad = shell.write("bad.mp3", b"<html>" * 100)
    said = shell.scribed("transcribe", bad, good, shell.home / "missing.mp3")
    assert said.status == 1
    assert SAID in said.out
    assert f"scribed: {bad}: cannot be read: that is no sound that ffmpeg knows" in said.err
    assert "missing.mp3: cannot be opened: No such file or directory" in said.err


@needs_ffmpeg
def test_a_damaged_recording_is_told_as_far_as_it_goes(shell: Shell, talk: bytes) -> None:
    path = shell.home / "torn.flac"
    content = encoded(speak(shell, talk), path)
    path.write_bytes(content[: len(content) // 2])
    said = shell.scribed("transcribe", path)
    assert said.out.startswith("2 seconds.\n2 seconds.\n")
    assert f"scribed: {path}: is damaged; " in said.err
    assert said.status == 1


@needs_ffmpeg
def test_a_torn_wav_is_told_as_far_as_it_goes_also_when_it_is_piped_in(
    shell: Shell, talk: bytes
) -> None:
    path = speak(shell, talk)
    path.write_bytes(path.read_bytes()[: len(talk) // 2])
    said = shell.scribed("transcribe", path)
    assert said.out.startswith("2 seconds.\n")
    assert f"scribed: {path}: is damaged; {len(talk) / 64_000:.1f} s of " in said.err
    assert said.status == 1
    done = piped(shell, path.read_bytes(), "-")
    assert done.stdout.startswith(b"2 seconds.\n")
    assert b"scribed: stdin: is damaged; " in done.stderr
    assert done.returncode == 1


def test_a_recording_is_never_written_over(shell: Shell, talk: bytes) -> None:
    one, two = speak(shell, talk, "one.wav"), speak(shell, talk, "two.wav")
    (shell.home / "link").symlink_to(one)
    before = one.read_bytes()
    refused: list[tuple[list[str | Path], str]] = [
        (["-o", one, one], "is a source itself"),
        (["-o", shell.home / "link", one], "is a source itself"),
        (["-o", one, f"file://{one}"], "is a source itself"),
        (["-o", one, two], "begins like WAV, and would be lost"),
    ]
    for words, why in refused:
        said = shell.scribed("transcribe", *words)
        assert said.status == 1
        assert why in said.err
    assert one.read_bytes() == before


@needs_ffmpeg
def test_how_to_go_on_with_a_url_says_that_its_query_is_to_be_given(
    shell: Shell, talk: bytes
) -> None:
    with Web() as web:
        web.pages["/talk.wav"] = speak(shell, talk).read_bytes()
        words = [*COMMAND, "transcribe", "--language", "de", web.url("/talk.wav?token=abc123")]
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                words, cwd=shell.home, env=shell.environ, stdout=full, stderr=subprocess.PIPE,
                timeout=30, text=True, check=False,
            )  # fmt: skip
    assert f"transcribe --language de {web.url('/talk.wav')} --start 0.000" in done.stderr
    assert "(with the whole URL, its query as well)" in done.stderr
    assert "abc123" not in done.stderr


def test_what_standard_output_cannot_take_is_told_and_how_to_go_on(
    shell: Shell, talk: bytes
) -> None:
    path, other = speak(shell, talk), speak(shell, talk, "other.wav")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "transcribe", "--language", "de", str(path), str(other)],
            cwd=shell.home, env=shell.environ, stdout=full, stderr=subprocess.PIPE, timeout=30,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{path}: standard output cannot be written: No space left on device" in done.stderr
    assert f"go on with: scribed transcribe --language de {path} --start 0.000" in done.stderr


def test_the_last_words_too_are_said_again_where_they_could_not_be_written(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    path = speak(shell, talk[: 27 * 3200])  # one phrase
    deaf = cloud.always.deaf = threading.Event()
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*COMMAND, "transcribe", str(path)],
            cwd=shell.home, env=shell.environ, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        cloud.wait_for(lambda: cloud.connections > 0, 20)
        deaf.set()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"go on with: scribed transcribe {path} --start 0.000" in said


def test_letters_that_the_terminal_does_not_have_are_escaped(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    cloud.always.answer = lambda _audio: "Café."
    shell.environ["PYTHONIOENCODING"] = "ascii"
    said = shell.scribed("transcribe", speak(shell, talk))
    assert (said.status, said.out) == (0, "Caf\\xe9.\n" * 3)


def test_a_name_that_is_no_utf_8_is_a_name(shell: Shell, talk: bytes) -> None:
    path = os.fsencode(shell.home) + b"/bad\xff.wav"
    os.rename(speak(shell, talk), path)  # noqa: PTH104 -- bytes
    for words in ([], ["-o", "bad.jsonl"]):
        done = subprocess.run(
            [*COMMAND, "transcribe", "--format", "jsonl", *words, path],
            cwd=shell.home, env=shell.environ, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode() or (shell.home / "bad.jsonl").read_text()
        assert [json.loads(line)["source"][-8:] for line in text.splitlines()] == [
            "bad\ufffd.wav"
        ] * 3


def test_what_the_service_keeps_and_what_is_not_sent_is_told_once(
    tmp_path: Path, talk: bytes
) -> None:
    shell = Shell(tmp_path)
    own = '[provider]\nlanguage = "en-US"\n[provider.elevenlabs]\nenable_logging = false\n'
    config = shell.write("own.toml", own)
    with Server(recognizer=Script(["One."]), answer_s=0.05) as server:
        shell.environ |= {"ELEVENLABS_API_KEY": "k", "SCRIBED_PROVIDER__URL": server.url}
        sources = [speak(shell, talk, name) for name in ("a.wav", "b.wav")]
        said = shell.scribed("transcribe", "-c", config, *sources)
    assert said.status == 0
    assert 'provider.language: "en-US" is sent as "en"' in said.err
    assert said.err.count("agree on zero retention with it") >= 1
    lines = said.err.splitlines()
    assert len(lines) == len(set(lines))


def test_a_start_behind_the_end_and_an_empty_input_are_told(shell: Shell, talk: bytes) -> None:
    path = speak(shell, talk)
    said = shell.scribed("transcribe", "--start", "1:00", path)
    assert said.status == 1
    assert f"scribed: {path}: is {len(talk) / 32_000:.1f} s long: there is nothing at 60.0 s" in (
        said.err
    )
    done = piped(shell, b"", "-")
    assert done.returncode == 1
    assert b"scribed: stdin: is empty: there is no sound in it" in done.stderr


def test_a_terminal_shows_how_far_it_is_and_a_pipe_nothing(shell: Shell, talk: bytes) -> None:
    path = speak(shell, talk * 3)
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "transcribe", str(path)],
        cwd=shell.home, env=shell.environ | {"TERM": "xterm"}, stdout=subprocess.PIPE,
        stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    shown += os.read(master, 4096)
                except OSError:  # the other end is closed
                    break
        assert process.stdout is not None
        assert process.stdout.read().decode() == SAID * 3
        assert process.wait(10) == 0
    os.close(master)
    assert b"% " in shown
    assert b" left  " in shown
    assert shown.endswith(b"\r\x1b[K")


# What goes wrong


def test_without_a_key_nothing_is_begun(shell: Shell, talk: bytes) -> None:
    del shell.environ["ELEVENLABS_API_KEY"]
    said = shell.scribed("transcribe", speak(shell, talk))
    assert (said.status, said.out) == (1, "")
    assert "no API key" in said.err


def test_a_refused_key_ends_it_and_the_work_is_not_lost(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    cloud.always.greeting = [{"message_type": "auth_error", "error": "no"}]
    path = speak(shell, talk)
    said = shell.scribed("transcribe", path, "-o", "talk.txt")
    assert said.status == 1
    assert f"scribed: {path}: " in said.err
    cloud.always.greeting = None
    again = shell.scribed("transcribe", path, "-o", "talk.txt", "--resume")
    assert again.status == 0
    assert (shell.home / "talk.txt").read_text() == SAID


def test_what_has_no_text_is_told_with_its_place_and_why(
    shell: Shell, cloud: Cloud, talk: bytes
) -> None:
    cloud.always.answer = lambda audio: "" if len(audio) < 4 * 32_000 else "Hello."
    path = speak(shell, talk)
    said = shell.scribed("transcribe", path)
    assert (said.status, said.out) == (0, "Hello.\n")
    assert f"scribed: {path}: no text for 2 utterances: 2 no_speech (0:00, 0:02)" in said.err


def test_a_connection_that_is_lost_costs_nothing(shell: Shell, cloud: Cloud, talk: bytes) -> None:
    cloud.behaviours += [
        Behaviour(drop_after_bytes=40_000, answer=cloud.always.answer),
        Behaviour(drop_at_commit=True),
        Behaviour(http_status=503),
    ]
    said = shell.scribed("transcribe", speak(shell, talk))
    assert (said.status, said.out, said.err) == (0, SAID, "")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--resume", "a.wav"], "--resume goes on with a file: name it with -o"),
        (["--start", "1:00", "a.wav", "b.wav"], "--start is for one source"),
        (["--format", "srt", "a.wav", "b.wav"], "name a directory with -o"),
        (["a.wav", "a.wav"], "a source is named twice"),
        (["--start", "soon", "a.wav"], "invalid time value: 'soon'"),
        (["--format", "pdf", "a.wav"], "invalid choice: 'pdf'"),
        (["--channel", "-1", "a.wav"], "invalid channel value: '-1'"),
        (["--rate", "12345", "a.wav"], "(choose from 8000, 11025, 16000, "),
        (["--channels", "9", "a.wav"], "(choose from 1, 2, 3, 4, 5, 6, 7, 8)"),
        (["--start", "1e300", "a.wav"], "invalid time value: '1e300'"),
        ([], "the following arguments are required: SOURCE"),
    ],
)
def test_wrong_usage_is_exit_2(shell: Shell, words: list[str], why: str) -> None:
    said = shell.scribed("transcribe", *words)
    assert said.status == 2
    assert why in said.err


def test_two_sources_may_not_become_one_file(shell: Shell, talk: bytes) -> None:
    (shell.home / "a").mkdir()
    one, two = speak(shell, talk, "talk.wav"), speak(shell, talk, "a/talk.wav")
    said = shell.scribed("transcribe", "-o", "out/", one, two)
    assert said.status == 1
    assert "would be of several sources" in said.err


def test_the_configuration_is_taken_where_there_is_one(shell: Shell, talk: bytes) -> None:
    shell.write(".config/scribed/scribed.toml", "[vad]\nhangover_ms = 3000\n[mqtt]\nport = 0\n")
    said = shell.scribed("transcribe", speak(shell, talk))
    assert (said.status, len(said.out.splitlines())) == (0, 1)
    bad = shell.write("bad.toml", "[provider]\nnam = 3\n")
    refused = shell.scribed("transcribe", "-c", bad, speak(shell, talk))
    assert refused.status == 78
    assert "provider.nam: unknown key; did you mean provider.name?" in refused.err
    assert shell.scribed("transcribe", "-c", shell.home / "none.toml", "a.wav").status == 78


# The stand-in


@recordings.needed
def test_real_speech_becomes_subtitles_with_the_times_of_its_words(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    from scribed.simulate.recognizers.pocketsphinx import PocketSphinx

    shell = Shell(tmp_path)
    with Server(recognizer=PocketSphinx()) as server:
        shell.environ |= {"ELEVENLABS_API_KEY": "k", "SCRIBED_PROVIDER__URL": server.url}
        shell.environ["SCRIBED_PROVIDER__ANSWER_TIMEOUT_S"] = "60"  # it shares a busy machine
        path = recordings.DIRECTORY / "goforward.wav"
        said = shell.scribed("transcribe", "--format", "jsonl", path)
        (line,) = map(json.loads, said.out.splitlines())
        assert line["norm"] == recordings.WORDS["goforward"]
        ends = [word["end_ms"] for word in line["words"]]
        assert ends == sorted(ends)
        assert ends[-1] < 2800
        again = shell.scribed("transcribe", "--format", "srt", path)
        assert "go forward ten meters" in again.out


def test_the_script_of_the_stand_in_is_told_line_by_line(tmp_path: Path, talk: bytes) -> None:
    shell = Shell(tmp_path)
    lines = ["Stop right there.", "Turn left, please.", "Where is the ball?"]
    with Server(recognizer=Script(lines), answer_s=0.05) as server:
        shell.environ |= {"ELEVENLABS_API_KEY": "k", "SCRIBED_PROVIDER__URL": server.url}
        said = shell.scribed("transcribe", speak(shell, talk))
    assert said.out.splitlines() == lines
