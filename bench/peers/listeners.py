"""The peers that listen to a microphone: what each needs, how it starts, and what it does not do.

Each hears stdin, as scribed does, with its own settings but for what is said here.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import ovos
from bench.peers.home import Home
from bench.peers.installed import environment

START_S, STEP_S = 30.0, 0.02
SOCKET = "satellite"


@dataclass(frozen=True)
class Peer:
    """`ready`: what it writes to stderr when it listens; `does`: what, and what not."""

    packages: tuple[str, ...]
    command: Callable[[Path], Sequence[str]]
    ready: str
    does: str
    served: bool = False  #: streams only to a Home Assistant


def _satellite(directory: Path) -> Sequence[str]:
    uri = f"unix://{directory / SOCKET}"
    return ["-m", "wyoming_satellite", "--uri", uri, "--mic-command", "cat", "--vad"]


PEERS = {
    "wyoming-satellite": Peer(
        ("wyoming-satellite[silerovad]==1.0.0",),
        _satellite,
        "Connected to services",
        "asks Silero (`--vad`) until it hears a voice, then streams 5 s of raw sound, whatever "
        "follows, to a Home Assistant on this machine (a stand-in that only takes it). It finds no "
        "end of speech, speaks to no recogniser and keeps nothing. Its microphone is `cat`, which "
        "is counted",
        served=True,
    ),
    "OVOS listener": Peer(
        (
            "ovos-dinkum-listener==0.5.0",
            "ovos-plugin-manager==2.2.0",
            "ovos-microphone-plugin-alsa==0.1.3",
            "ovos-vad-plugin-webrtcvad==0.0.1",
            "setuptools<81",  # webrtcvad imports pkg_resources
        ),
        lambda _: [ovos.__file__],
        ovos.READY,
        "its loop with `continuous_listen` and no wake word, its ALSA plugin, for which stdin is "
        "the device, and its webrtcvad plugin. What is said goes to a recogniser that throws it "
        "away and answers after 250 ms: no network, no message bus, nothing kept",
    ),
    "rhasspy-silence": Peer(
        ("rhasspy-silence==0.4.0", "setuptools<81"),
        lambda _: ["-m", "rhasspysilence"],
        "Reading raw",
        "its own command line, which finds where commands begin and end, prints a character for "
        "each 30 ms, and throws the sound away",
    ),
}


@dataclass
class Running:
    """A peer that listens; `pids` are its processes."""

    process: subprocess.Popen[bytes]
    pids: list[int]
    took_s: float  #: until it listened


@contextlib.contextmanager
def listening(name: str, directory: Path) -> Iterator[Running]:
    """Start a peer and wait until it listens; it ends with the block.

    Raises `NotInstalledError`, and `TimeoutError` where it does not come to listen.
    """
    peer = PEERS[name]
    python = environment(name, peer.packages)
    log = directory / "stderr"
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(python), *peer.command(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context(log.open("wb")),
            env=_environment(directory),
        )
        stack.callback(_end, process)
        _wait_for(peer.ready, log, process)
        took_s = time.monotonic() - begun
        if peer.served:
            stack.enter_context(Home(directory / SOCKET, START_S))
        yield Running(process, [process.pid, *_children(process.pid)], took_s)


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"HOME": str(directory), "PYTHONUNBUFFERED": "1"}


def _wait_for(words: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while words not in (said := log.read_text("utf-8", "replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            last = (said.strip().splitlines() or ["nothing was said"])[-1]
            raise TimeoutError(f"does not come to listen: {last}")
        time.sleep(STEP_S)


def _children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if f"\nPPid:\t{pid}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """A satellite starts its microphone again for ever: nobody waits for it to end by itself."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.kill()
    process.wait(10)
