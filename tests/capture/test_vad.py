"""webrtcvad behind the seam: it hears speech, not silence, and forgets on request."""

from __future__ import annotations

import subprocess

import pytest

from scribed.capture.vad import WebRtcVad

FRAME_BYTES = 640


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("speech") / "a.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "go forward ten meters", str(path)], check=True)
    return path.read_bytes()[44:]


def decisions(vad: WebRtcVad, pcm: bytes) -> list[bool]:
    return [
        vad(pcm[at : at + FRAME_BYTES])
        for at in range(0, len(pcm) // FRAME_BYTES * FRAME_BYTES, FRAME_BYTES)
    ]


def test_speech_is_voiced_and_silence_is_not(speech: bytes) -> None:
    assert sum(decisions(WebRtcVad(2), speech)) > len(speech) / FRAME_BYTES * 0.5
    assert not any(decisions(WebRtcVad(2), bytes(32_000)))


def test_the_more_aggressive_the_less_is_voiced(speech: bytes) -> None:
    voiced = [sum(decisions(WebRtcVad(mode), speech)) for mode in range(4)]
    assert voiced == sorted(voiced, reverse=True)
    assert voiced[0] > voiced[3]


def test_after_a_reset_it_decides_as_if_it_were_new(speech: bytes) -> None:
    vad = WebRtcVad(2)
    first = decisions(vad, speech)
    vad.reset()
    assert decisions(vad, speech) == first


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_a_frame_may_have_10_20_or_30_ms(frame_ms: int) -> None:
    assert WebRtcVad(2)(bytes(32 * frame_ms)) is False


@pytest.mark.parametrize("size", [0, 384, 641, 1280])
def test_a_frame_of_another_length_is_a_bug_of_the_caller(size: int) -> None:
    with pytest.raises(ValueError, match="is not 10, 20 or 30 ms"):
        WebRtcVad(2)(bytes(size))
