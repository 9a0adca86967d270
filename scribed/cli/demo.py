"""`scribed demo`: the whole chain on one machine, with nothing configured."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import Any

from scribed.errors import ExitStatus

PHRASES = (
    "turn left",
    "go forward",
    "follow me",
    "come here",
    "turn around",
    "go to the kitchen",
    "wait here",
    "what time is it",
    "bring me a glass of water",
)
ANSWER_S = 6.0
"""How long to wait for the transcript of a phrase."""
PAUSE_S = 0.7
"""Silence before each phrase, as between two commands of a person."""
SLOWEST_S = 45.0
"""No further phrase is begun after so long: the demo ends within a minute."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Shows what a robot gets, without a key, a broker or a microphone: starts a private "
        "mosquitto, a stand-in for the speech service (CMU PocketSphinx, real recognition without "
        "network), a capture device made of a PulseAudio null sink into which commands are spoken, "
        "and the real daemon; prints what arrives on MQTT as it happens, and a table at the end. "
        "Takes less than a minute; Ctrl-C leaves nothing behind. Needs the Debian packages "
        "mosquitto, pulseaudio, pulseaudio-utils, libasound2-plugins and flite."
    )
    parser.add_argument(
        "--log", action="store_true", help="print the daemon's own log at the end as well"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 where every command came out of MQTT as text."""
    # The stand-in and its recogniser take half a second and are an extra: only now.
    from scribed.demo.scene import scene

    for number in (signal.SIGTERM, signal.SIGHUP):  # they too leave nothing behind
        signal.signal(number, signal.default_int_handler)
    begun = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), scene() as staged:
        _introduce(staged)
        with staged.daemon():
            play = _Play(staged, begun)
            heard = [play.say(phrase) for phrase in PHRASES if play.has_time()]
            listened_s = time.monotonic() - play.begun
        print()
        print(play.table(heard, listened_s))
        if args.log:
            print("\nthe daemon's log:\n" + staged.log.read_text("utf-8", "replace"), end="")
        complete = all(h.text is not None for h in heard)
        return ExitStatus.OK if complete else ExitStatus.FAILED
    print("\nstopped; nothing is left behind", file=sys.stderr)
    return ExitStatus.OK


def _introduce(staged: Any) -> None:
    print("microphone (a PulseAudio null sink, through ALSA) → scribed → speech service")
    print("(simulated: CMU PocketSphinx) → MQTT (a private mosquitto).")
    print("The daemon's whole configuration:\n")
    for line in staged.configuration.strip().splitlines():
        print(f"    {line}".rstrip())
    print("\nWhat a robot that subscribes to scribed/demo/mic/# receives:\n")


class _Play:
    """Says one phrase after the other, and shows what arrives."""

    def __init__(self, staged: Any, begun: float) -> None:
        self._staged, self._demo_begun = staged, begun
        self._shown = len(staged.subscriber.received)
        self._concluded = 0
        self.begun = time.monotonic()

    def has_time(self) -> bool:
        return time.monotonic() - self._demo_begun < SLOWEST_S

    def say(self, phrase: str) -> Any:
        """Speak, wait for the transcript, show everything meanwhile."""
        from scribed.demo.account import Heard
        from scribed.demo.voice import speak

        wav = Path(self._staged.directory) / "phrase.wav"
        speak(phrase, wav)
        self._show(PAUSE_S)
        self._print("said", phrase)
        player = self._staged.microphone.play(wav)
        deadline = time.monotonic() + ANSWER_S
        concluded = self._concluded
        while self._concluded == concluded and time.monotonic() < deadline:
            self._show(0.2)
        player.wait(ANSWER_S)
        finals = self._staged.subscriber.on("transcript")
        if self._concluded == concluded or not finals:
            return Heard(phrase, None, None)
        last = finals[-1]
        return Heard(phrase, last.payload["norm"], last.at * 1000 - last.payload["end_unix_ms"])

    def table(self, heard: list[Any], listened_s: float) -> str:
        from scribed.demo.account import table

        return table(heard, self._staged.service.stats.wire_bytes, listened_s)

    def _show(self, seconds: float) -> None:
        """Print what arrives within `seconds`, or until a final has come."""
        deadline = time.monotonic() + seconds
        subscriber = self._staged.subscriber
        while (left := deadline - time.monotonic()) > 0:
            if not subscriber.wait_for(lambda: len(subscriber.received) > self._shown, left):
                return
            message = subscriber.received[self._shown]
            self._shown += 1
            self._show_one(message)
            if message.topic in ("transcript", "late", "ended"):
                self._concluded += 1
                return

    def _show_one(self, message: Any) -> None:
        topic, payload = message.topic, message.payload
        if topic == "speech":
            self._print(topic, "starts" if payload["active"] else "ends")
        elif topic == "partial":
            self._print(topic, payload["text"])
        elif topic in ("transcript", "late"):
            late_ms = message.at * 1000 - payload["end_unix_ms"]
            caution = f"  caution: {', '.join(payload['caution'])}" if payload["caution"] else ""
            after = f"{late_ms:.0f} ms after the end of speech"
            self._print(topic, f"{payload['text']}   ({after}){caution}")
        elif topic == "ended":
            self._print(topic, payload["outcome"])
        elif topic.startswith("alert/") and payload:
            self._print(topic, payload["message"])

    def _print(self, topic: str, text: str) -> None:
        print(f"  {time.monotonic() - self.begun:5.1f} s  {topic:<12} {text}", flush=True)
