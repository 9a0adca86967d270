"""Half an hour of real speech against the stand-in, with everything going wrong on the way."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from scribed.simulate.faults import read_schedule
from scribed.simulate.recognizers import Answer
from scribed.simulate.server import Server
from tests.cli.shell import COMMAND, Shell
from tests.e2e import recordings
from tests.faults.proxy import Proxy
from tests.faults.watermark import decode, spans, words
from tests.transcribe.recording import RUN, Recording, record, told

MINUTES = 30
SPEED = 60
"""So that it takes half a minute; what is said is the same."""
FAULTS = """\
6 drop          # TCP is cut off in the middle of something
11 rate_limited # the service asks for less
"""


class Watermarks:
    """A recogniser of the stand-in that reads which frames it was fed."""

    def __init__(self) -> None:
        self._heard = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._heard += pcm

    def partial(self) -> str:
        return ""

    def commit(self) -> Answer:
        heard, self._heard = spans(decode(bytes(self._heard))), bytearray()
        return Answer(words(heard, run=RUN))

    def close(self) -> None:
        """It has nothing to give back."""


@pytest.fixture(scope="module")
def speech() -> Recording:
    """The real recordings, over and over, each with a pause behind it."""
    names = sorted(path.stem for path in recordings.DIRECTORY.glob("*.wav"))
    pieces = [recordings.pcm(name) for name in names]
    half_an_hour: list[bytes] = []
    length = 0
    for piece in itertools.cycle(pieces):
        half_an_hour.append(piece)
        length += len(piece) + 100 * 320
        if length >= MINUTES * 60 * 32_000:
            break
    return record(half_an_hour, gap=100)


def transcribe(shell: Shell, path: Path, server: Server, port: int) -> list[dict[str, Any]]:
    """What is told of `path`, through the network at `port`."""
    environment = shell.environ | {
        "SCRIBED_PROVIDER__URL": f"ws://127.0.0.1:{port}",
        "ELEVENLABS_API_KEY": "sk_canary",
        "SCRIBED_PROVIDER__ROTATE_S": "5",
        "SCRIBED_RETRY__MAX_S": "2",
    }
    command = [*COMMAND, "transcribe", "--format", "jsonl", "--speed", str(SPEED), str(path)]
    done = subprocess.run(
        command, env=environment, cwd=shell.home, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()[-2000:]
    assert os.environ.get("ELEVENLABS_API_KEY") != "sk_canary"
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@recordings.needed
def test_every_word_of_half_an_hour_is_told_once_whatever_happens(
    tmp_path: Path, speech: Recording
) -> None:
    shell = Shell(tmp_path)
    path = speech.save(tmp_path / "speech.wav")
    assert speech.seconds >= MINUTES * 60
    with Server(recognizer=Watermarks, answer_s=0.05) as server:
        calm = transcribe(shell, path, server, int(server.url.rpartition(":")[2]))
    with (
        Server(recognizer=Watermarks, answer_s=0.05, wrong=read_schedule(FAULTS)) as server,
        Proxy(int(server.url.rpartition(":")[2]), seed=1) as network,
    ):

        def throttle() -> None:
            network.bytes_per_s = 64_000.0  # 1.5 times what the speech is, in base64
            relief.start()

        relief = threading.Timer(6.0, lambda: setattr(network, "bytes_per_s", None))
        trouble = threading.Timer(15.0, throttle)
        trouble.start()
        stormy = transcribe(shell, path, server, network.port)
        for timer in (trouble, relief):
            timer.cancel()
        sessions = server.sessions
    assert [line["text"] for line in stormy] == [line["text"] for line in calm]
    assert [line["start_ms"] for line in stormy] == [line["start_ms"] for line in calm]
    numbers = [n for line in stormy for span in told(line["text"]) for n in span.numbers]
    assert numbers == sorted(set(numbers)), "something was told twice, or out of order"
    spoken = {n for n, whose in enumerate(speech.utterances) if whose}
    assert len(spoken - set(numbers)) < 0.01 * len(spoken), "more than silence is missing"
    assert {line["seq"] for line in stormy} == set(range(1, len(stormy) + 1))
    assert max(line["attempt"] for line in stormy) > 1, "nothing went wrong"
    assert len(sessions) >= 5, "nothing was rotated"
