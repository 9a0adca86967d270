"""Files, downloads and streams through the real ffmpeg."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scribed import clock
from scribed.capture.sources import ffmpeg_child
from scribed.capture.sources.ffmpeg import FfmpegSource
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.interfaces import EndOfInput
from scribed.model import RATE
from tests.capture.rig import Rig, until, wav
from tests.capture.sources.reading import blocks, read_all, samples
from tests.capture.sources.web import Web, answer, broadcast
from tests.parts.media import encoded, needs_ffmpeg

pytestmark = needs_ffmpeg

SECONDS = 3.0
TONE = b"".join(
    round(8000 * math.sin(2 * math.pi * 440 * n / RATE)).to_bytes(2, "little", signed=True)
    for n in range(round(SECONDS * RATE))
)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tone in several kinds of file."""
    directory = tmp_path_factory.mktemp("media")
    whole = wav(directory / "tone.wav", TONE)
    kinds = {"flac": [], "mp3": [], "m4a": ["-c:a", "aac"], "mkv": ["-c:a", "pcm_s16le"]}
    found = {"wav": whole.read_bytes()}
    longer = wav(directory / "longer.wav", TONE * 4)
    found["ts"] = encoded(longer, directory / "tone.ts", "-c:a", "mp2")
    for suffix, options in kinds.items():
        found[suffix] = encoded(whole, directory / f"tone.{suffix}", *options)
    return found


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as running:
        yield running


def source(path: str | Path, **audio: Any) -> FfmpegSource:
    options: dict[str, Any] = {"source": "url", "path": str(path), "pace": "fast", **audio}
    return FfmpegSource(Audio(**options))


def heard(path: str | Path, **audio: Any) -> bytes:
    opened = source(path, **audio)
    try:
        return read_all(opened)
    finally:
        opened.close()


def refused(path: str | Path, **audio: Any) -> str:
    with pytest.raises(SourceError) as caught:
        heard(path, **audio)
    return str(caught.value)


def children() -> list[int]:
    """The processes that this one has started, and that are there still, as zombies too."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


# Files


def test_a_flac_is_heard_sample_for_sample(media: dict[str, bytes], tmp_path: Path) -> None:
    (path := tmp_path / "tone.flac").write_bytes(media["flac"])
    opened = source(path)
    assert not opened.live
    assert opened.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert (opened.device.name, opened.device.rate, opened.device.channels) == (
        str(path),
        RATE,
        1,
    )
    assert read_all(opened) == TONE
    opened.close()


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "mkv", "wav"])
def test_other_kinds_of_file_are_heard_whole(
    media: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    (path := tmp_path / f"a name: of a [file] 100%.{suffix}").write_bytes(media[suffix])
    pcm = heard(path)
    assert len(pcm) == pytest.approx(len(TONE), rel=0.05)
    assert max(samples(pcm)) == pytest.approx(8000, rel=0.1)


def test_a_file_that_ends_in_mid_frame_is_heard_up_to_there(
    media: dict[str, bytes], tmp_path: Path
) -> None:
    (path := tmp_path / "torn.mp3").write_bytes(media["mp3"][: len(media["mp3"]) * 2 // 3 + 1])
    opened = source(path)
    pcm = read_all(opened)
    opened.close()
    assert len(TONE) * 0.5 < len(pcm) < len(TONE) * 0.8
    assert len(pcm) % 640 == 0
    assert opened.damage is not None
    assert "is damaged; " in opened.damage


def test_a_torn_flac_says_how_much_of_it_was_heard(media: dict[str, bytes], tmp_path: Path) -> None:
    (path := tmp_path / "torn.flac").write_bytes(media["flac"][: len(media["flac"]) // 3])
    opened = source(path)
    read_all(opened)
    opened.close()
    assert opened.damage is not None
    assert "s of 3.0 s could be heard" in opened.damage


def test_bits_that_flipped_in_the_middle_cost_no_more_than_their_surroundings(
    media: dict[str, bytes], tmp_path: Path
) -> None:
    raw = bytearray(media["flac"])
    raw[len(raw) // 2 : len(raw) // 2 + 200] = os.urandom(200)
    (path := tmp_path / "a.flac").write_bytes(raw)
    assert len(heard(path)) > len(TONE) / 2


def test_a_channel_may_be_chosen(tmp_path: Path) -> None:
    silent_left = b"".join(b"\0\0" + TONE[at : at + 2] for at in range(0, len(TONE), 2))
    path = tmp_path / "stereo.wav"
    header = wav(path, silent_left).read_bytes()
    path.write_bytes(header[:22] + b"\2\0" + header[24:32] + b"\4\0" + header[34:])
    assert max(samples(heard(path, channel=0))) == 0
    assert max(samples(heard(path, channel=1))) == pytest.approx(8000, rel=0.01)
    assert max(samples(heard(path))) == pytest.approx(4000, rel=0.5)
    assert 'has no channel 2; write a number up to 1, or "mix"' in refused(path, channel=2)


def test_in_real_time_a_file_is_no_faster_than_a_clock(
    media: dict[str, bytes], tmp_path: Path
) -> None:
    (path := tmp_path / "tone.flac").write_bytes(media["flac"])
    opened = source(path, pace="realtime")
    try:
        begun = clock.now()
        got = list(blocks(opened, for_s=0.6))
        passed_s = clock.now() - begun
        samples_heard = sum(len(block.pcm) for block in got) / 2
        assert 0.3 < samples_heard / RATE <= passed_s + 0.02
        assert got[0].at == pytest.approx(begun, abs=0.05)
        assert got[-1].at - got[0].at == pytest.approx(got[-1].position / RATE, abs=1e-6)
    finally:
        opened.close()


def test_a_file_stands_still_while_nobody_reads_it(media: dict[str, bytes], tmp_path: Path) -> None:
    (path := tmp_path / "tone.flac").write_bytes(media["flac"])
    opened = source(path)
    assert opened.pollable() == []
    first = next(blocks(opened, for_s=5))
    threading.Event().wait(0.3)
    rest = read_all_from(opened)
    assert first.pcm + rest == TONE
    opened.close()


def read_all_from(opened: FfmpegSource) -> bytes:
    """The rest, wherever it begins."""
    pcm = bytearray()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            block = opened.read()
        except EndOfInput:
            return bytes(pcm)
        pcm += block.pcm if block else b""
    raise AssertionError("no end")


# What is no sound


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("missing.mp3", None, "cannot be opened: No such file or directory"),
        ("empty.mp3", b"", "is empty; name a file with sound in it"),
        ("page.mp3", b"<html>hello</html>" * 99, "cannot be read: that is no sound that ffmpeg"),
        ("noise.mp3", bytes(range(256)) * 40, "cannot be read: that is no sound that ffmpeg"),
    ],
)
def test_what_is_no_sound_says_so(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert refused(path).startswith(f'audio.path: "{path}" {why}')


def test_a_directory_is_no_sound(tmp_path: Path) -> None:
    assert refused(tmp_path) == f'audio.path: "{tmp_path}" cannot be read: Is a directory'


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "silent.mkv"
    encoded("testsrc=d=0.2:s=64x48", path, "-an", input_format="lavfi")
    assert refused(path) == f'audio.path: "{path}" cannot be read: there is no sound in it'


def test_an_mp4_without_its_index_says_so(media: dict[str, bytes], tmp_path: Path) -> None:
    (path := tmp_path / "a.m4a").write_bytes(media["m4a"][:1000])
    assert "it is cut off: the index at its end is missing" in refused(path)


def test_a_header_without_sound_says_so(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", b"")
    assert refused(path).startswith(f'audio.path: "{path}" ')


def test_a_rate_cannot_be_asked_of_a_url(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.mp3", rate=44_100).startswith("audio.rate: 44100 cannot be asked")
    assert refused(tmp_path / "a.mp3", channels=2).startswith("audio.channels: 2 cannot be asked")


def test_without_ffmpeg_the_package_is_named(tmp_path: Path) -> None:
    program = (
        "from scribed.capture.sources.ffmpeg import FfmpegSource\n"
        "from scribed.config import Audio\n"
        "FfmpegSource(Audio(source='url', path='http://127.0.0.1:1/x'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "ffmpeg is not installed" in done.stderr
    assert "apt install ffmpeg" in done.stderr


# Downloads


def test_a_plain_download_waits_and_ends_as_a_file(media: dict[str, bytes], web: Web) -> None:
    web.pages["/a.flac"] = media["flac"]
    opened = source(web.url("/a.flac"), pace="fast")
    assert not opened.live
    assert opened.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert read_all(opened) == TONE
    opened.close()


def test_a_download_of_unknown_length_ends_too_for_who_is_in_a_hurry(
    media: dict[str, bytes], web: Web
) -> None:
    web.pages["/a.mp3"] = lambda request: broadcast(request, media["mp3"])
    opened = source(web.url("/a.mp3"), pace="fast")
    assert not opened.live
    assert len(read_all(opened)) == pytest.approx(len(TONE), rel=0.05)
    opened.close()


def test_a_download_that_breaks_off_goes_on_where_it_was(media: dict[str, bytes], web: Web) -> None:
    def once(request: Any) -> None:
        web.pages["/a.flac"] = media["flac"]
        answer(request, media["flac"], sent=len(media["flac"]) // 2)

    web.pages["/a.flac"] = once
    assert heard(web.url("/a.flac")) == TONE
    assert len(web.requests) == 2


def test_a_download_that_breaks_off_for_good_is_no_end(media: dict[str, bytes], web: Web) -> None:
    def torn(request: Any) -> None:
        request.headers.replace_header("Range", "")  # a server that cannot go on
        answer(request, media["flac"], sent=len(media["flac"]) // 2)

    web.pages["/a.flac"] = torn
    said = refused(web.url("/a.flac"))
    assert f'audio.path: "{web.url("/a.flac")}" broke off after ' in said


@pytest.mark.parametrize(("status", "why"), [(404, "404 Not Found"), (403, "403 Forbidden")])
def test_a_refusal_of_the_server_is_told_without_the_credentials(
    web: Web, status: int, why: str
) -> None:
    web.pages["/a.mp3"] = lambda request: answer(request, b"no", status=status)
    url = f"http://robot:s3cret@127.0.0.1:{web.port}/a.mp3?token=abc123"
    said = refused(url)
    assert why in said
    assert f'"{web.url("/a.mp3")}"' in said
    assert "s3cret" not in said
    assert "abc123" not in said


def test_a_page_is_no_sound(web: Web) -> None:
    web.pages["/"] = b"<html><body>Hello</body></html>" * 50
    assert "that is no sound that ffmpeg knows" in refused(web.url("/"))


def test_nobody_at_home_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "Connection refused" in refused(f"http://127.0.0.1:{port}/a.mp3")


@pytest.mark.parametrize("kind", ["redirect", "playlist"])
def test_no_server_can_make_it_read_a_file_of_this_machine(
    media: dict[str, bytes], web: Web, tmp_path: Path, kind: str
) -> None:
    (own := tmp_path / "private.flac").write_bytes(media["flac"])

    def redirect(request: Any) -> None:
        request.send_response(302)
        request.send_header("Location", f"file://{own}")
        request.send_header("Content-Length", "0")
        request.end_headers()

    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{own}\n#EXT-X-ENDLIST\n"
    web.pages["/a.m3u8"] = redirect if kind == "redirect" else playlist.encode()
    assert "audio.path" in refused(web.url("/a.m3u8"))


def test_no_file_can_make_it_fetch_from_the_network(web: Web, tmp_path: Path) -> None:
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{web.url('/x.ts')}\n#EXT-X-ENDLIST\n"
    (path := tmp_path / "a.m3u8").write_text(listed)
    assert "audio.path" in refused(path)
    assert web.requests == []


# Streams


def test_a_radio_is_live_and_lost_when_it_ends(media: dict[str, bytes], web: Web) -> None:
    web.pages["/live"] = lambda request: broadcast(request, media["mp3"], icy_name="Radio X")
    for pace in ("realtime", "fast"):
        opened = source(web.url("/live"), pace=pace)
        assert opened.live
        assert opened.duration_s is None
        with pytest.raises(SourceError, match=r'audio.path: "http://.*/live" has ended'):
            read_all(opened)
        assert opened.device.state == "lost"
        opened.close()


def test_a_stream_over_tcp_arrives_while_it_is_spoken(media: dict[str, bytes]) -> None:
    with Speaker(media["ts"], round(len(media["ts"]) / SECONDS / 4)) as speaker:
        opened = source(speaker.url, pace="realtime")
        assert opened.live
        got = list(blocks(opened, for_s=1.0))
        opened.close()
    ages = [clock.now() - block.at for block in got[-1:]]
    assert sum(len(block.pcm) for block in got) > RATE / 2
    assert ages[0] < 1.5


class Speaker:
    """A TCP server that sends a file at so many bytes a second, over and over."""

    def __init__(self, content: bytes, bytes_per_s: int) -> None:
        self._content, self._rate = content, bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak)
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Speaker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown(2)
        self._listener.close()
        self._thread.join(10)

    def _speak(self) -> None:
        while not self._over.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                piece = self._rate // 20
                try:
                    for at in range(0, len(self._content), piece):
                        peer.sendall(self._content[at : at + piece])
                        if self._over.wait(0.05):
                            return
                except OSError:
                    continue


def test_capture_opens_a_stream_again_when_it_ends(media: dict[str, bytes], web: Web) -> None:
    web.pages["/live"] = lambda request: broadcast(request, media["mp3"], icy_name="Radio X")
    with Rig(lambda: source(web.url("/live"), pace="realtime"), reopen=True) as rig:
        until(lambda: len(web.requests) >= 3, "the stream to be opened again twice")
        until(lambda: len(rig.ends) >= 2, "what was heard before it ended to be kept")
        assert rig.events("device_lost")


# ffmpeg itself


def dribble(web: Web, content: bytes) -> None:
    """Serve `content`, and then nothing more, without an end."""

    def page(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(2 * len(content)))
        request.end_headers()
        request.wfile.write(content)
        web.leaving.wait(30)

    web.pages["/a"] = page


def test_a_server_that_never_comes_to_the_point_is_given_up(web: Web) -> None:
    dribble(web, b"RIFF")
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r'audio.path: "http://.*/a" '):
        FfmpegSource(Audio(source="url", path=web.url("/a")), patience_s=1.0)
    assert time.monotonic() - begun < 5
    web.leaving.set()


def test_a_download_that_falls_silent_is_given_up(media: dict[str, bytes], web: Web) -> None:
    dribble(web, media["mp3"])
    opened = FfmpegSource(Audio(source="url", path=web.url("/a"), pace="fast"), patience_s=1.0)
    begun = time.monotonic()
    with pytest.raises(
        SourceError, match=r"/a\" (gave no sound for 1 s; it is given up|broke off)"
    ):
        read_all_from(opened)
    assert time.monotonic() - begun < 8
    web.leaving.set()
    opened.close()


def test_an_ffmpeg_that_hangs_is_given_up_and_gone(media: dict[str, bytes], tmp_path: Path) -> None:
    path = wav(tmp_path / "long.wav", TONE * 40)
    opened = FfmpegSource(Audio(source="url", path=str(path), pace="fast"), patience_s=0.5)
    pid = opened._child.pid
    os.kill(pid, signal.SIGSTOP)  # it would not even hear SIGTERM
    with pytest.raises(SourceError, match=r'long.wav" gave no sound for 0.5 s; it is given up'):
        read_all_from(opened)
    begun = time.monotonic()
    opened.close()
    assert time.monotonic() - begun < ffmpeg_child.QUIT_S + ffmpeg_child.KILL_S
    assert not Path(f"/proc/{pid}").exists()


def test_closing_twice_is_closing_once(media: dict[str, bytes], tmp_path: Path) -> None:
    (path := tmp_path / "tone.flac").write_bytes(media["flac"])
    opened = source(path)
    opened.close()
    opened.close()


def test_ffmpeg_does_not_outlive_a_reader_that_was_killed(web: Web) -> None:
    def endless(request: Any) -> None:
        request.send_response(200)
        request.send_header("icy-name", "Radio X")
        request.end_headers()
        request.wfile.write(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0")
        request.wfile.write(b"\2\0\x10\0data\xff\xff\xff\xff")
        while not web.leaving.wait(0.02):
            request.wfile.write(bytes(3200))

    web.pages["/live"] = endless
    program = (
        "import sys, time\n"
        "from scribed.capture.sources.ffmpeg import FfmpegSource\n"
        "from scribed.config import Audio\n"
        "source = FfmpegSource(Audio(source='url', path=sys.argv[1]))\n"
        "print(source._child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, web.url("/live")], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        child = int(reader.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        reader.kill()
    until(lambda: not _runs(child), "ffmpeg to end by itself")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_secret_of_ours_is_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_canary")
    path = wav(tmp_path / "long.wav", TONE * 40)  # more than a pipe takes: it waits for us
    opened = source(path, pace="realtime")
    environment = Path(f"/proc/{opened._child.pid}/environ").read_bytes()
    opened.close()
    assert b"PATH" in environment
    assert b"sk_canary" not in environment


def test_a_pipe_on_standard_input_is_read_by_ffmpeg(media: dict[str, bytes]) -> None:
    reading, writing = os.pipe()

    def speak() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(media["flac"])

    speaker = threading.Thread(target=speak)
    speaker.start()
    opened = FfmpegSource(Audio(source="url", pace="fast"), stdin=reading)
    os.close(reading)
    assert opened.device.name == "standard input"
    assert read_all(opened) == TONE
    opened.close()
    speaker.join(5)
