"""The command that goes on with a run that has ended."""

from __future__ import annotations

import subprocess

from scribed.transcribe.again import again, command


def go_on(words: str, asked: str, sources: str, *more: str) -> str:
    return " ".join(again(words.split(), sources.split(), asked, asked, more))


def test_all_that_was_said_is_said_again_but_for_the_other_sources_and_the_start() -> None:
    said = go_on(
        "transcribe -c own.toml --language de --speed 3 --channel 1 a.wav b.wav --start 0:03 -v",
        "b.wav", "a.wav b.wav", "--start", "7.5",
    )  # fmt: skip
    assert said == (
        "transcribe -c own.toml --language de --speed 3 --channel 1 b.wav -v --start 7.5"
    )


def test_what_belongs_to_an_option_is_no_source() -> None:
    said = go_on("transcribe --language=en --jobs 2 --raw 2 3", "3", "2 3", "--start", "1")
    assert said == "transcribe --language=en --jobs 2 --raw 3 --start 1"
    assert go_on("transcribe --sta=3 a", "a", "a") == "transcribe a"


def test_what_begins_like_an_option_stays_behind_its_dashes() -> None:
    said = go_on("transcribe --format srt -- -a.wav -b.wav", "-a.wav", "-a.wav -b.wav", "--resume")
    assert said == "transcribe --format srt --resume -- -a.wav"


def test_a_shell_takes_it_word_by_word_whatever_is_in_it() -> None:
    words = ["printf", "%s|", "a b", "it's", "bad\udcff.wav", "\u00fc"]
    out = subprocess.run(["bash", "-c", command(words)], capture_output=True, check=True).stdout
    assert out == b"a b|it's|bad\xff.wav|\xc3\xbc|"
