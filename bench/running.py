"""What the benchmarks run: the daemon on its standard input, and sound in real time."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server

KEY = "bench"
PLAIN, WITH_EXTRAS = "bench.plain", "scribed"
"""What runs the daemon: without the extras that change what it does, and with those that are here.
"""
RATE = 16_000
CHUNK = RATE // 50 * 2
CONFIGURATION = """\
[robot]
id = "{robot}"
[provider]
url = "{url}"
[mqtt]
port = {port}
[audio]
source = "{source}"
"""


def service(*, answer_s: float, keep_audio: bool = False) -> Server:
    """The stand-in, which answers every commit after `answer_s`."""
    script = Script(["turn left"])
    return Server(recognizer=script, key=KEY, answer_s=answer_s, keep_audio=keep_audio)


def start_scribed(
    directory: Path,
    url: str,
    port: int,
    *,
    robot: str = "bench",
    source: str = "stdin",
    more: str = "",
    module: str = PLAIN,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """The daemon in `directory`; `more` is more of its configuration, first of `[audio]`. What runs
    is `module`: by default what `pip install scribed` gives, whatever else is installed here."""
    path = directory / "scribed.toml"
    text = CONFIGURATION.format(robot=robot, url=url, port=port, source=source)
    path.write_text(text + more, "utf-8")
    compile_scribed()
    variables = os.environ | {
        "ELEVENLABS_API_KEY": KEY,
        "STATE_DIRECTORY": str(directory / "state"),
        "RUNTIME_DIRECTORY": str(directory / "run"),
        **(environment or {}),
    }
    command = [sys.executable, "-m", module, "run", "-c", str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=variables)


def compile_scribed() -> None:
    """As where it is installed; what is compiled is not compiled again."""
    compileall.compile_dir(Path(__file__).parents[1] / "scribed", quiet=2)


def endpoint(url: str) -> str:
    """Of a service, for those who have no configuration."""
    return f"{url}/v1/speech-to-text/realtime?model_id=scribe_v2_realtime"


def feed(pcm: bytes, *processes: subprocess.Popen[bytes]) -> list[float]:
    """Write 20 ms every 20 ms to all, as long as they live; when each 20 ms were (monotonic)."""
    begun = time.monotonic()
    listening, written = list(processes), []
    for at in range(0, len(pcm), CHUNK):
        for process in tuple(listening):
            assert process.stdin is not None
            try:
                process.stdin.write(pcm[at : at + CHUNK])
                process.stdin.flush()
            except BrokenPipeError:
                listening.remove(process)
        wait = begun + (at + CHUNK) / (2 * RATE) - time.monotonic()
        written.append(time.monotonic())
        if wait > 0:
            time.sleep(wait)
    return written


def end_of_input(process: subprocess.Popen[bytes]) -> int:
    """Close its stdin; the exit status."""
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(60)
