"""The daemon hears what ffmpeg reads, and ends with it."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.simulate.server import Server
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.robot import RATE, silence
from tests.parts.sounds import ByItsSound

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory that is served, and its URL."""
    (served := tmp_path / "served").mkdir()
    handler = functools.partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="web")
        thread.start()
        yield served, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tell nobody."""


@needs_ffmpeg
@pytest.mark.parametrize("where", ["file", "url", "http"])
def test_a_recording_that_only_ffmpeg_reads_is_heard_to_its_end(
    voices: dict[str, bytes], web: tuple[Path, str], tmp_path: Path, where: str
) -> None:
    served, url = web
    sound = b"".join(silence(0.5) + voices[word] + silence(1.0) for word in ("seven", "kitchen"))
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
    subprocess.run([*command, str(served / "said.flac")], input=sound, check=True)
    path = f"{url}/said.flac?key=s3cret-query" if where == "http" else str(served / "said.flac")
    with Server(recognizer=lambda: ByItsSound(voices), warmup_s=0.0) as service:
        sections = {
            "audio": {"source": "file" if where == "file" else "url", "path": path, "pace": "fast"},
            "provider": {"url": service.url},
        }
        with WatchedRobot(tmp_path, sections) as robot:
            assert robot.process.wait(30) == 0
            robot.wait_for(lambda: robot.status == "offline")  # the last that comes
            assert robot.texts == ["seven", "kitchen"]
            assert_accounted(robot)
            told = robot.log + str([message.payload for message in robot.subscriber.received])
            assert "s3cret" not in told


@needs_ffmpeg
def test_what_is_no_sound_is_an_error_in_words(tmp_path: Path) -> None:
    page = tmp_path / "page.mp3"
    page.write_text("<html>not found</html>")
    with WatchedRobot(tmp_path, {"audio": {"source": "url", "path": str(page)}}) as robot:
        assert robot.process.wait(30) == 1
        assert "no sound that ffmpeg knows" in robot.log
