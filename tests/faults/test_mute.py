"""Mute (G15): what is said meanwhile is in no text, through restarts too."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.faults import watermark
from tests.faults.asker import Asker
from tests.faults.bench import Bench
from tests.parts.undisturbed import undisturbed

READ_S = 3.0
MUTED_S = 0.2
"""The promise: heard no more so soon after it was asked for."""


def say_in_vain(bench: Bench) -> None:
    """What is said now is read from the pipe, and nothing comes of it."""
    bench.microphone.muted = True
    bench.say(2)
    bench.microphone.hush()
    deadline = time.monotonic() + READ_S
    while bench.microphone.unread_ms > 500:
        assert time.monotonic() < deadline, "nobody reads the pipe"
        time.sleep(0.02)


def mute_over_the_socket(bench: Bench, switch: str) -> None:
    command = [sys.executable, "-m", "scribed", "mute", switch]
    subprocess.run(
        command, env=bench.robot.environment, check=True, timeout=20, capture_output=True
    )


def texts_of_muted(bench: Bench) -> list[int]:
    """Frames that were said while it was muted and are in a text all the same."""
    texts = [m.payload["text"] for m in bench.robot.finals]
    heard = {n for text in texts for span in watermark.read(text) for n in span.numbers}
    frames = bench.microphone.frames
    return sorted(n for n in heard if frames[n].muted and frames[n].utterance)


def test_muted_over_mqtt_it_hears_nothing_until_it_is_lifted_even_after_a_kill(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    with (
        undisturbed(),
        Bench(tmp_path, phrases, run=1) as bench,
        Asker(bench.broker.port) as asker,
    ):
        bench.fresh()
        open_ = bench.say(4)
        bench.microphone.wait_until_said(open_, 0.5)
        asked_at = time.monotonic()
        assert asker.ask("mute", {"on": True})["ok"]
        took_s = time.monotonic() - asked_at
        say_in_vain(bench)
        bench.robot.wait_for(lambda: bench.robot.on("ended"))
        (ended,) = bench.robot.on("ended")
        assert ended.payload["outcome"] == "muted"
        bench.kill()
        bench.faults += 1
        bench.start_again()
        bench.robot.wait_for(lambda: bench.robot.on("muted")[-1].payload == "ON")
        bench.robot.wait_for(lambda: bench.robot.state["hearing_reason"] == "muted")
        say_in_vain(bench)
        assert asker.ask("mute", {"on": False})["ok"]
        bench.microphone.muted = False
        bench.robot.wait_for(lambda: bench.robot.on("muted")[-1].payload == "OFF")
        bench.fresh()
        bench.settle()
        bench.conclude("mute over MQTT", note=f"muted within {took_s * 1000:.0f} ms")
        assert not texts_of_muted(bench)
        assert took_s <= MUTED_S


def test_a_mute_of_this_machine_is_lifted_only_there(tmp_path: Path, phrases: list[bytes]) -> None:
    with Bench(tmp_path, phrases, run=1) as bench, Asker(bench.broker.port) as asker:
        bench.fresh()
        mute_over_the_socket(bench, "on")
        say_in_vain(bench)
        refused = asker.ask("mute", False)
        assert (refused["ok"], refused["error"]["code"]) == (False, "not_allowed")
        bench.kill()
        bench.start_again()
        bench.robot.wait_for(lambda: bench.robot.on("muted")[-1].payload == "ON")
        say_in_vain(bench)
        mute_over_the_socket(bench, "off")
        bench.microphone.muted = False
        bench.fresh()
        bench.conclude("mute over the socket")
        assert not texts_of_muted(bench)
