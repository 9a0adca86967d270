"""What is made of ffmpeg's stderr: lines as versions 4.4, 5.1 and 7.1 write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources.ffmpeg_words import LINE_BYTES, Words

URL = "http://radio.example/live"
INPUT = f"""\
[mp3 @ 0x5645c3908a00] [warning] invalid concatenated file detected - using bitrate for duration
[info] Input #0, mp3, from '{URL}':
[info]   Metadata:
[info]     icy-name        : Radio X
[info]     title           :   Duration: 09:09:09.00
[info]   Duration: %s, start: 0.069063, bitrate: 24 kb/s
[info]   Stream #0:0(eng): Audio: mp3, 44100 Hz, %s, fltp, 24 kb/s
[info]   Stream #0:1: Audio: aac (LC), 8000 Hz, mono, fltp, 24 kb/s
[info] Output #0, s16le, to 'pipe:1':
[info]   Duration: 00:00:01.00
[info]   Stream #0:0: Audio: pcm_s16le, 16000 Hz, mono, s16, 256 kb/s
"""


def words(text: str) -> Words:
    heard = Words(URL)
    heard.feed(text.encode())
    return heard


def test_the_input_is_described_and_not_the_output() -> None:
    heard = words(INPUT % ("01:02:03.50", "stereo"))
    assert (heard.duration_s, heard.rate, heard.channels) == (3723.5, 44_100, 2)
    assert heard.is_radio


def test_a_stream_has_no_length() -> None:
    assert words(INPUT % ("N/A", "mono")).duration_s is None


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("mono", 1), ("stereo", 2), ("5.1(side)", 6), ("12 channels", 12), ("hexagonal", None)],
)
def test_channels_are_counted_where_their_layout_is_known(
    layout: str, channels: int | None
) -> None:
    assert words(INPUT % ("N/A", layout)).channels == channels


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"[error] {URL}: Server returned 404 Not Found\n", "Server returned 404 Not Found"),
        (
            "[in#0 @ 0x1] [error] Error opening input: Connection refused\n"
            f"[error] Error opening input file {URL}.\n"
            "[error] Error opening input files: Connection refused\n",
            "Connection refused",
        ),
        (
            "[fatal] Stream map '0:a:0' matches no streams.\nTo ignore this, add a trailing '?'\n",
            "there is no sound in it",
        ),
        (
            "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x1] [error] moov atom not found\n"
            f"[error] {URL}: Invalid data found when processing input\n",
            "it is cut off: the index at its end is missing",
        ),
        (
            "[mp3 @ 0x1] [error] Failed to read frame size: Could not seek to 1026.\n"
            f"[error] {URL}: Invalid argument\n",
            "that is no sound that ffmpeg knows, or damaged",
        ),
        ("[warning] nothing to worry about\n", ""),
        ("no level at all\n", ""),
    ],
)
def test_the_last_complaint_that_explains_something_is_the_reason(said: str, why: str) -> None:
    assert words(said).why() == why


def test_a_download_that_breaks_off_is_told_from_a_stream_that_ends() -> None:
    broken = words(
        "[http @ 0x1] [error] Stream ends prematurely at 20000, should be 33489\n"
        "[mp3float @ 0x1] [error] invalid new backstep -1\n"
        f"[error] {URL}: Input/output error\n"
    )
    assert broken.broke_off
    ended = words(
        f"[http @ 0x1] [error] Stream ends prematurely at 20000, should be {2**64 - 1}\n"
        f"[error] {URL}: Input/output error\n"
    )
    assert not ended.broke_off
    assert ended.why() == ""


def test_a_download_that_goes_on_has_not_broken_off() -> None:
    heard = words(
        "[http @ 0x1] [error] Stream ends prematurely at 20000, should be 33489\n"
        "[http @ 0x1] [warning] Will reconnect at 20000 in 0 second(s), error=I/O error.\n"
    )
    assert not heard.broke_off
    assert heard.why() == ""


def test_a_peer_that_falls_silent_breaks_the_reading_off() -> None:
    assert words(f"[error] {URL}: Connection timed out\n").broke_off
    assert words("[in#0/mp3 @ 0x1] [error] Error during demuxing: Timed out\n").broke_off


@given(st.binary(max_size=3 * LINE_BYTES), st.integers(min_value=1, max_value=500))
def test_whatever_comes_in_whatever_pieces_is_taken_and_bounded(raw: bytes, size: int) -> None:
    in_pieces, whole = Words(URL), Words(URL)
    for at in range(0, len(raw), size):
        in_pieces.feed(raw[at : at + size])
    whole.feed(raw)
    assert in_pieces.why() == whole.why()
    assert len(whole.why()) <= LINE_BYTES
