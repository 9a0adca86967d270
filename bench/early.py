"""What an early commit saves: the end of speech to MQTT, with it and without, on the same sound.

Four daemons hear the same commands at the same time, each with a stand-in service of its own: with
`vad.early_commit_ms` and without, where the service answers after 250 ms and after 400 ms. All look
for a fast word, which is the last that the stand-in hears: it is told from a partial or from the
early text where there is one, else with the final.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import running
from bench.commands import Recording, so_many_commands
from scribed.demo.account import percentile
from scribed.demo.broker import Broker
from scribed.demo.subscriber import Subscriber
from scribed.simulate.server import Server

ANSWERS_MS = (250, 400)
HANGOVER_MS = 500
FAST_WORD = "left"
"""Of what the stand-in of `bench.running` answers, whatever is said: "turn left"."""
START_S, END_S = 20.0, 10.0


@dataclass(frozen=True)
class Contender:
    """One daemon, and those who see what it does."""

    early_ms: int
    answer_ms: int
    service: Server
    subscriber: Subscriber
    process: subprocess.Popen[bytes]

    @property
    def expected_ms(self) -> int:
        """From the end of speech to MQTT, if nothing but the settings took time."""
        if self.early_ms:
            return max(HANGOVER_MS, self.early_ms + self.answer_ms)
        return HANGOVER_MS + self.answer_ms

    def is_there(self) -> bool:
        """Whether it has told its state."""
        return bool(self.subscriber.on("state"))

    def is_gone(self) -> bool:
        """Whether it has said goodbye: what it had to say was said before."""
        return bool(self.subscriber.on("status")[-1].payload == "offline")

    def spans_ms(self) -> list[float]:
        """From each final's last voiced frame to when the subscriber had it."""
        finals = self.subscriber.on("transcript")
        return [m.at * 1000 - m.payload["end_unix_ms"] for m in finals]

    def word_spans_ms(self) -> list[float]:
        """From the same moments to when it had the fast word; less than 0: before the end."""
        ends = {
            m.payload["seq"]: m.payload["end_unix_ms"] for m in self.subscriber.on("transcript")
        }
        words = self.subscriber.on(f"word/{FAST_WORD}")
        return [m.at * 1000 - ends[m.payload["seq"]] for m in words if m.payload["seq"] in ends]


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench early", description=__doc__)
    parser.add_argument("--commands", type=int, default=40, help="how many (default: 40)")
    parser.add_argument("--early-ms", type=int, default=200, help="early_commit_ms (default: 200)")
    parser.add_argument("--snr", type=float, default=15.0, help="dB (default: 15)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    recording = so_many_commands(args.commands, args.snr, args.seed)
    figures = measure(recording, args.early_ms)
    if args.json:
        print(json.dumps(figures))
        return
    print(
        f"{len(recording.spoken)} commands in {len(recording.pcm) / 2 / running.RATE:.0f} s, "
        f"hangover {HANGOVER_MS} ms, early commit after {args.early_ms} ms"
    )
    for answer_ms, columns in figures.items():
        print(f"\n{f'answers after {answer_ms} ms':<42}" + "".join(f"{c:>10}" for c in columns))
        for name in columns["plain"]:
            cells = (f"{column.get(name, '-'):>10}" for column in columns.values())
            print(f"{name:<42}" + "".join(cells))


def measure(recording: Recording, early_ms: int) -> dict[str, dict[str, dict[str, float]]]:
    """Play the recording to all, and account for it: figures by answer time and by contender."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "broker").mkdir()
        broker = stack.enter_context(Broker(directory / "broker"))
        contenders = [
            _contender(stack, directory, broker.port, early, answer)
            for answer in ANSWERS_MS
            for early in (0, early_ms)
        ]
        for each in contenders:
            assert each.subscriber.wait_for(each.is_there, START_S)
        running.feed(recording.pcm, *(each.process for each in contenders))
        for each in contenders:
            running.end_of_input(each.process)
            assert each.subscriber.wait_for(each.is_gone, END_S)
        return {
            str(plain.answer_ms): _compared(plain, early)
            for plain, early in zip(contenders[::2], contenders[1::2], strict=True)
        }


def _contender(
    stack: contextlib.ExitStack, directory: Path, port: int, early_ms: int, answer_ms: int
) -> Contender:
    name = f"early-{early_ms}-{answer_ms}"
    (home := directory / name).mkdir()
    service = stack.enter_context(running.service(answer_s=answer_ms / 1000))
    subscriber = stack.enter_context(Subscriber(port, f"scribed/{name}/mic"))
    more = f"[vad]\nhangover_ms = {HANGOVER_MS}\nearly_commit_ms = {early_ms}\n"
    more += f'[transcript]\nfast_words = ["{FAST_WORD}"]\n[echo]\nmode = "barge_in"\n'
    more += '[log]\nlevel = "warning"\n'
    process = running.start_scribed(home, service.url, port, robot=name, more=more)
    return Contender(early_ms, answer_ms, service, subscriber, process)


def _compared(plain: Contender, early: Contender) -> dict[str, dict[str, float]]:
    """The figures of two that differ by the early commit alone, and their ratio."""
    columns = {"plain": _figures(plain), "early": _figures(early)}
    ratio = {
        name: round(columns["early"][name] / value, 2)
        for name, value in columns["plain"].items()
        if value > 0  # a fast word may come before the end of speech
    }
    return columns | {"ratio": ratio}


def _figures(contender: Contender) -> dict[str, float]:
    spans_ms, stats = contender.spans_ms(), contender.service.stats
    words_ms = contender.word_spans_ms()
    return {
        "finals on transcript": len(spans_ms),
        "last voiced frame to MQTT, p50 (ms)": round(statistics.median(spans_ms)),
        "last voiced frame to MQTT, p95 (ms)": round(percentile(spans_ms, 0.95)),
        "fast words": len(words_ms),
        "last voiced frame to fast word, p50 (ms)": round(statistics.median(words_ms)),
        "last voiced frame to fast word, p95 (ms)": round(percentile(words_ms, 0.95)),
        "by the settings alone (ms)": contender.expected_ms,
        "commits": stats.commits,
        "seconds billed": round(stats.audio_bytes / 2 / running.RATE, 1),
    }


if __name__ == "__main__":
    main()
