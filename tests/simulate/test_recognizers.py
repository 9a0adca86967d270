"""Who hears: fixed answers, and PocketSphinx on real speech."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from scribed.errors import ScribedError
from scribed.simulate.recognizers import Answer
from scribed.simulate.recognizers.pocketsphinx import PocketSphinx
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.sockets import session, speech

SECOND = bytes(32_000)


@pytest.fixture(scope="module")
def pocketsphinx() -> PocketSphinx:
    return PocketSphinx()


def test_a_script_is_told_line_after_line_and_then_again() -> None:
    script = Script(["one  two ", "", "three"])
    recognizer = script()
    recognizer.feed(SECOND)
    texts = [recognizer.commit().text for _ in range(4)]
    assert texts == ["one two", "", "three", "one two"]
    assert script().commit().text == ""


def test_a_scripts_words_lie_in_order_within_the_audio() -> None:
    recognizer = Script(["turn left now please"])()
    recognizer.feed(SECOND * 2)
    words = recognizer.commit().words
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert [word.text for word in words] == ["turn", "left", "now", "please"]
    assert times == sorted(times)
    assert (times[0], times[-1] < 2.0) == (0.0, True)


def test_a_scripts_partial_grows_with_the_audio() -> None:
    recognizer = Script(["turn left now please"])()
    partials = []
    for _ in range(20):
        recognizer.feed(bytes(3200))
        partials.append(recognizer.partial())
    assert list(dict.fromkeys(partials)) == ["", "turn", "turn left", "turn left now", partials[-1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "is empty; write one answer a line"), (b"\xff", "not UTF-8")],
)
def test_a_script_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "answers.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ScribedError, match=said):
        Script.read(path)


def test_real_speech_is_recognised_with_real_word_times(pocketsphinx: PocketSphinx) -> None:
    recognizer = pocketsphinx()
    pcm = speech("goforward")
    for start in range(0, len(pcm), 3200):
        recognizer.feed(pcm[start : start + 3200])
    assert recognizer.partial().startswith("go forward")
    answer = recognizer.commit()
    recognizer.close()
    assert answer.text == "go forward ten meters"
    assert [word.text for word in answer.words] == answer.text.split()
    assert answer.words[0].start_s == pytest.approx(0.46, abs=0.1), "the first word is not at 0"
    times = [time for word in answer.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] < len(pcm) / 32_000
    assert all(word.logprob <= 0 for word in answer.words)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(answer.words))


def test_silence_and_nothing_at_all_are_empty_answers(pocketsphinx: PocketSphinx) -> None:
    recognizer = pocketsphinx()
    assert (recognizer.partial(), recognizer.commit()) == ("", Answer(""))
    recognizer.feed(SECOND)
    assert recognizer.commit() == Answer("")
    recognizer.close()


def test_a_session_hears_the_same_whoever_spoke_before_it(pocketsphinx: PocketSphinx) -> None:
    pcm = speech("goforward")

    def heard_after(before: bytes) -> Answer:
        previous = pocketsphinx()
        previous.feed(before)
        previous.close()
        recognizer = pocketsphinx()
        recognizer.feed(pcm)
        answer = recognizer.commit()
        recognizer.close()
        return answer

    assert heard_after(speech("jfk")) == heard_after(SECOND)


@pytest.mark.parametrize("audio_format", ["pcm_48000", "pcm_8000"])
def test_another_rate_is_recognised_too(pocketsphinx: PocketSphinx, audio_format: str) -> None:
    import numpy
    import soxr

    pcm = numpy.frombuffer(speech("goforward"), dtype=numpy.int16)
    rate = int(audio_format.removeprefix("pcm_"))
    other = soxr.resample(pcm, 16_000, rate).tobytes()
    with (
        Server(recognizer=pocketsphinx, answer_s=0.0) as server,
        session(server, f"audio_format={audio_format}") as client,
    ):
        for start in range(0, len(other), rate):
            client.send(other[start : start + rate])
        client.send(commit=True)
        assert client.until("committed_transcript")["text"].startswith("go forward")
