"""The demo's closing table: what was said, what the robot received, and what it cost. Pure."""

from __future__ import annotations

import difflib
import statistics
from dataclasses import dataclass

ALWAYS_ON_BYTES_PER_S = 43_700
"""What streaming 16 kHz in 100 ms JSON chunks sends, silence included: 3200 bytes as base64 are
4268, and 102 of JSON and WebSocket around them, ten times a second."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One spoken command, and the final that came for it, if any."""

    said: str
    text: str | None
    latency_ms: float | None  #: from the end of speech to the message at the subscriber


def words_right(said: str, text: str) -> int:
    """How many of the words that were said are in `text`, in their order."""
    return sum(
        block.size
        for block in difflib.SequenceMatcher(
            a=said.lower().split(), b=text.lower().split(), autojunk=False
        ).get_matching_blocks()
    )


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of `values` do not exceed: the nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def table(heard: list[Heard], bytes_sent: int, listened_s: float) -> str:
    """The closing table."""
    words = sum(len(h.said.split()) for h in heard)
    right = sum(words_right(h.said, h.text or "") for h in heard)
    finals = [h for h in heard if h.text is not None]
    latencies = [h.latency_ms for h in heard if h.latency_ms is not None]
    always_on = listened_s * ALWAYS_ON_BYTES_PER_S
    rows = [
        ("commands spoken", f"{len(heard)}"),
        ("transcripts received", f"{len(finals)}"),
        ("words right", f"{right} of {words} ({100 * right / words:.0f} %)"),
    ]
    if latencies:
        rows.append(
            (
                "end of speech to MQTT",
                f"p50 {statistics.median(latencies):.0f} ms, "
                f"p95 {percentile(latencies, 0.95):.0f} ms",
            )
        )
    rows.append(
        (
            "sent to the service",
            f"{bytes_sent / 1000:.0f} kB, {100 * bytes_sent / always_on:.0f} % of always-on "
            f"({always_on / 1000:.0f} kB in {listened_s:.0f} s)",
        )
    )
    return "\n".join(f"  {name:<22} {value}" for name, value in rows)
