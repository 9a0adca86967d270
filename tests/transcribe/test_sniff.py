"""Looking at standard input without taking anything from it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from scribed.transcribe.sniff import HEAD_BYTES, container, head

MP3 = b"\xff\xfb\x90\x64" + bytes(12)


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"OggS\0\2", "Ogg"),
        (b"ID3\4\0", "MP3"),
        (MP3, "MP3"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"\0\0\0\x20ftypM4A ", "MP4"),
        (b"\x1aE\xdf\xa3", "Matroska"),
    ],
)
def test_files_say_what_they_are(begins: bytes, kind: str) -> None:
    assert container(begins) == kind


@pytest.mark.parametrize(
    "begins", [b"", bytes(16), b"\xff\xff" * 8, b"\xff\xfb\xff\xff", b"\xff", b"\xff\xfb\0\0"]
)
def test_anything_else_is_raw_samples(begins: bytes) -> None:
    assert container(begins) is None


def test_a_pipe_is_looked_into_and_keeps_what_it_has() -> None:
    reading, writing = os.pipe()
    content = bytes(range(40))
    os.write(writing, content)
    assert head(reading) == content[:HEAD_BYTES]
    assert os.read(reading, 100) == content
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_brings_its_head_in_pieces_is_waited_for() -> None:
    reading, writing = os.pipe()

    def speak() -> None:
        for at in range(0, 20, 5):
            os.write(writing, bytes(range(at, at + 5)))
            threading.Event().wait(0.01)

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert head(reading) == bytes(range(HEAD_BYTES))
    speaker.join(5)
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_ends_early_has_a_short_head() -> None:
    for content in (b"", b"abc"):
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        assert head(reading) == content
        os.close(reading)


def test_a_file_and_a_socket_keep_what_they_have(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_bytes(b"before" + bytes(range(40)))
    with path.open("rb") as file:
        file.seek(6)
        os.lseek(file.fileno(), 6, os.SEEK_SET)
        assert head(file.fileno()) == bytes(range(HEAD_BYTES))
        assert os.read(file.fileno(), 2) == b"\0\1"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes(range(40)))
        assert head(ours.fileno()) == bytes(range(HEAD_BYTES))
        assert ours.recv(100) == bytes(range(40))
