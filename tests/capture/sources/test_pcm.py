"""Standard input and WAV files as sources."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed import clock
from scribed.capture.sources.pcm import FileSource, StdinSource
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput
from scribed.model import RATE
from tests.capture.sources.reading import blocks, read_all, read_until, samples

FRAME_S = 0.02
"""What is begun waits for its end."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # the test closed it
            os.close(fd)


def wav(
    pcm: bytes,
    *,
    rate: int = RATE,
    channels: int = 1,
    bits: int = 16,
    kind: int = 1,
    size: int | None = None,
    extra: bytes = b"",
) -> bytes:
    form = struct.pack(
        "<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )
    form += extra
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    body += b"data" + struct.pack("<I", len(pcm) if size is None else size) + pcm
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.wav"


def file_source(path: Path, content: bytes, **audio: object) -> FileSource:
    path.write_bytes(content)
    options = {"source": "file", "path": str(path), "pace": "fast", **audio}
    return FileSource(Audio(**options))  # type: ignore[arg-type]


def heard(path: Path, content: bytes, **audio: object) -> bytes:
    source = file_source(path, content, **audio)
    try:
        return read_all(source)
    finally:
        source.close()


def refused(path: Path, content: bytes, **audio: object) -> str:
    with pytest.raises(SourceError) as caught:
        file_source(path, content, **audio)
    return str(caught.value)


# Standard input


def test_all_that_is_piped_in_is_heard_and_the_last_frame_filled_up(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    spoken = os.urandom(640 * 500 + 100)

    def speak() -> None:
        os.write(writing, spoken)
        os.close(writing)

    speaker = threading.Thread(target=speak)
    speaker.start()
    source = StdinSource(Audio(source="stdin"), reading)
    assert read_all(source) == spoken + bytes(540)
    speaker.join(5)
    source.close()


def test_an_odd_last_byte_is_no_sample(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"\1\2" * 320 + b"\3")
    os.close(writing)
    source = StdinSource(Audio(source="stdin"), reading)
    assert read_all(source) == b"\1\2" * 320
    source.close()


def test_bytes_that_come_one_by_one_are_put_together(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    source = StdinSource(Audio(source="stdin", frame_ms=10), reading)
    spoken = os.urandom(320)
    for byte in spoken[:-1]:
        os.write(writing, bytes([byte]))
        assert source.read() is None
    os.write(writing, spoken[-1:])
    block = source.read()
    assert block is not None
    assert block.pcm == spoken
    source.close()


def test_an_open_pipe_with_nothing_in_it_does_not_block(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    source = StdinSource(Audio(source="stdin"), reading)
    assert source.read() is None
    poller = select.poll()
    for fd, events in source.pollable():
        poller.register(fd, events)
    assert poller.poll(0) == []
    os.write(writing, bytes(640))
    assert poller.poll(1000)
    asked = clock.now()
    block = source.read()
    assert block is not None
    assert asked <= block.at + 0.02 <= clock.now()
    source.close()


def test_the_end_of_an_empty_input_is_its_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(writing)
    source = StdinSource(Audio(source="stdin"), reading)
    for _ in range(2):
        with pytest.raises(EndOfInput):
            source.read()
    source.close()


def test_a_pipe_is_made_blocking_again(pipe: tuple[int, int]) -> None:
    reading, _ = pipe
    source = StdinSource(Audio(source="stdin"), reading)
    assert not os.get_blocking(reading)
    source.close()
    source.close()
    assert os.get_blocking(reading)


def test_one_read_of_a_file_on_standard_input_is_a_second(tmp_path: Path) -> None:
    spoken = os.urandom(RATE * 2 * 3 + 2)
    (tmp_path / "raw").write_bytes(spoken)
    with (tmp_path / "raw").open("rb") as file:
        source = StdinSource(Audio(source="stdin"), file.fileno())
        assert source.pollable() == []
        block = source.read()
        assert block is not None
        assert block.pcm == spoken[: RATE * 2]
        source.close()


def test_a_socket_on_standard_input_is_a_pipe() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        source = StdinSource(Audio(source="stdin"), ours.fileno())
        theirs.sendall(bytes(640))
        assert [event for _, event in source.pollable()] == [select.POLLIN]
        block = source.read()
        assert block is not None
        assert (block.pcm, block.position) == (bytes(640), 0)
        source.close()


def test_stdin_is_resampled_and_mixed_if_it_says_so(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stereo = struct.pack("<hh", 1000, 3000) * 4800
    os.write(writing, stereo)
    os.close(writing)
    source = StdinSource(Audio(source="stdin", rate=48_000, channels=2), reading)
    mono = samples(read_all(source))
    source.close()
    assert len(mono) == 1600
    assert mono[400:1200].tolist() == pytest.approx([2000] * 800, abs=2)


def test_a_terminal_is_no_microphone() -> None:
    master, slave = pty.openpty()
    try:
        with pytest.raises(SourceError, match="standard input is a terminal; pipe raw s16le"):
            StdinSource(Audio(source="stdin"), slave)
    finally:
        os.close(master)
        os.close(slave)


def test_a_closed_standard_input_is_told() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    with pytest.raises(SourceError, match="standard input is closed"):
        StdinSource(Audio(source="stdin"), reading)


def test_a_channel_that_stdin_has_not_is_told(pipe: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match='"standard input" has no channel 1; write 0, or "mix"'):
        StdinSource(Audio(source="stdin", channel=1), pipe[0])


def test_a_channel_below_the_first_is_no_channel(pipe: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match='"standard input" has no channel -1'):
        StdinSource(Audio(source="stdin", channel=-1), pipe[0])


# WAV files


def test_a_wav_is_heard_byte_for_byte(path: Path) -> None:
    spoken = os.urandom(640 * 200)
    assert heard(path, wav(spoken)) == spoken


def test_a_chunk_behind_the_samples_is_not_sound(path: Path) -> None:
    spoken = os.urandom(6400)
    assert heard(path, wav(spoken) + b"LIST\4\0\0\0abcd") == spoken


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 1_000_000])
def test_a_wav_whose_header_was_never_finished_is_still_sound(path: Path, size: int) -> None:
    spoken = os.urandom(6400)
    assert heard(path, wav(spoken, size=size)) == spoken


def test_a_torn_wav_is_sound_up_to_where_it_was_torn(path: Path) -> None:
    spoken = os.urandom(6400)
    assert heard(path, wav(spoken)[:-3001]) == spoken[:-3002] + bytes(-(6400 - 3002) % 640)


def test_a_torn_wav_says_how_much_of_it_was_heard(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = file_source(path, wav(bytes(RATE * 2 * 11))[: -RATE * 2 * 10])
    assert source.damage is None
    read_all(source)
    source.close()
    assert source.damage == f'audio.path: "{path}" is damaged; 1.0 s of 11.0 s could be heard'
    assert caplog.messages == [source.damage]


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 6400, 6436])
def test_a_size_that_nobody_meant_is_no_damage(path: Path, size: int) -> None:
    source = file_source(path, wav(bytes(6400), size=size))
    read_all(source)
    source.close()
    assert source.damage is None


@pytest.mark.parametrize(
    ("bits", "sample"),
    [(8, b"\x00"), (24, b"\xff\x00\x80"), (32, b"\xff\xff\x00\x80"), (16, b"\x00\x80")],
)
def test_other_widths_are_cut_to_16_bits(path: Path, bits: int, sample: bytes) -> None:
    assert heard(path, wav(sample * 320, bits=bits)) == b"\x00\x80" * 320


def test_an_extensible_header_is_read(path: Path) -> None:
    extra = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    spoken = os.urandom(640)
    assert heard(path, wav(spoken, kind=0xFFFE, extra=extra)) == spoken


def test_a_stereo_44100_wav_is_made_16_khz_mono(path: Path) -> None:
    source = file_source(path, wav(struct.pack("<hh", 500, 1500) * 44_100, rate=44_100, channels=2))
    assert (source.device.name, source.device.rate, source.device.channels) == (
        str(path),
        44_100,
        2,
    )
    mono = samples(read_all(source))
    source.close()
    assert len(mono) == RATE
    assert mono[1000:15000].tolist() == pytest.approx([1000] * 14000, abs=2)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"ID3\4" + bytes(100), "is not a WAV file"),
        (b"RIFX" + wav(b"")[4:], "is not a WAV file"),
        (wav(bytes(640), kind=3, bits=32), "holds floating point"),
        (wav(bytes(640), kind=0x55, bits=0), "holds MP3"),
        (wav(bytes(640), kind=7, bits=8), "holds µ-law"),
        (wav(bytes(640), kind=0x1234), "holds format 0x1234"),
        (wav(bytes(640), bits=12), "has 12 bits"),
        (wav(bytes(640), rate=0), "has 0 Hz and 1 channels"),
        (wav(bytes(640), channels=0), "has 16000 Hz and 0 channels"),
        (wav(b"")[:20], "is torn in its header"),
        (wav(b"")[:36], "has no samples"),
    ],
)
def test_a_wav_of_the_wrong_kind_says_what_it_is_and_what_is_allowed(
    path: Path, content: bytes, what: str
) -> None:
    message = refused(path, content)
    assert message.startswith(f'audio.path: "{path}" {what}; scribed reads WAV with PCM of ')
    assert "\n" not in message


def test_a_claim_about_the_file_that_does_not_hold_is_told(path: Path) -> None:
    assert refused(path, wav(bytes(640)), rate=48_000).startswith("audio.rate: 48000 is not what")
    assert refused(path, wav(bytes(640)), channels=2).endswith("write 1, or 0")
    assert "has no channel 1" in refused(path, wav(bytes(640)), channel=1)


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    for name, why in (("none.wav", "No such file"), (".", "is no file"), ("a\0b", "embedded null")):
        with pytest.raises(SourceError, match=why):
            FileSource(Audio(source="file", path=f"{tmp_path}/{name}"))


def test_fast_reads_a_second_at_a_time(path: Path) -> None:
    source = file_source(path, wav(bytes(RATE * 2 * 2 + 320)))
    read = [source.read() for _ in range(3)]
    assert [len(block.pcm) for block in read if block] == [RATE * 2, RATE * 2, 640]
    with pytest.raises(EndOfInput):
        source.read()
    source.close()


def test_real_time_gives_what_is_due_and_starts_with_the_first_read(path: Path) -> None:
    source = file_source(path, wav(os.urandom(RATE)), pace="realtime")
    began = clock.now()
    assert source.read() is None
    begun = clock.now()  # by then
    taken = 0
    with contextlib.suppress(EndOfInput):
        for block in blocks(source, for_s=5):
            taken += len(block.pcm)
            assert taken / 32_000 <= clock.now() - began + 0.001
            assert began <= block.at - block.position / RATE <= begun
    assert 0.44 < clock.now() - began < 1.0
    assert taken == RATE
    source.close()


def test_real_time_waits_for_a_slow_reader_and_loses_nothing(path: Path) -> None:
    spoken = os.urandom(RATE * 2)
    source = file_source(path, wav(spoken), pace="realtime")
    began = clock.now()
    assert source.read() is None
    begun = clock.now()
    passes(path, 0.6)
    asked = clock.now()
    late = source.read()
    assert late is not None
    assert late.pcm == spoken[: len(late.pcm)]
    assert asked - begun - FRAME_S < len(late.pcm) / 32_000 <= clock.now() - began
    source.close()


def test_in_real_time_a_file_stands_still_for_a_reader_who_stays_away(path: Path) -> None:
    spoken = os.urandom(RATE * 2 * 3)
    source = file_source(path, wav(spoken), pace="realtime")
    assert source.read() is None
    passes(path, 1.6)
    asked = clock.now()
    late = source.read()
    came = clock.now()
    assert late is not None
    assert late.pcm == spoken[: RATE * 2]
    assert asked - 0.001 <= late.at + 1.0 <= came + 0.001
    passes(path, 0.2)
    asked_again = clock.now()
    after = source.read()
    assert after is not None
    assert after.position == RATE
    assert asked_again - came - FRAME_S < len(after.pcm) / 32_000 <= clock.now() - asked + 0.001
    source.close()


def passes(path: Path, duration_s: float) -> None:
    """Let time pass: as much as the file at `path` takes to be heard by another."""
    other = file_source(path, path.read_bytes(), pace="realtime")
    read_until(other, lambda block: block.position + len(block.pcm) // 2 >= duration_s * RATE)
    other.close()


def test_closing_twice_is_closing(path: Path) -> None:
    source = file_source(path, wav(bytes(640)))
    source.close()
    source.close()
    assert source.device.state == "closed"
    with pytest.raises(SourceError, match="cannot be read"):
        source.read()
