"""Every figure that the daemon tells of itself: its name, its kind and what it says. Pure.

`metrics` on MQTT and Prometheus tell the same ones. On MQTT a figure has no labels: what a label
says there is in the name (`flat`), and of a histogram there are the sum and the count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from scribed.capture.proof import Kind
from scribed.delivery.report import DROPPED, PUBLISHED
from scribed.errors import Remedy
from scribed.latency import PARTS, Histogram

MAILBOXES = ("capture", "uplink", "delivery", "store")


class Figure(NamedTuple):
    """One family of series; totals are of this run."""

    name: str  #: as Prometheus has it
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    label: str = ""
    values: tuple[str, ...] = ()  #: all that the label may be
    flat: str = ""  #: the name on MQTT, with {} for the label's value

    @property
    def names(self) -> tuple[str, ...]:
        """Its names on MQTT."""
        flat = [self.flat.format(value) for value in self.values] or [self.name]
        if self.kind != "histogram":
            return tuple(flat)
        return tuple(f"{name}_{end}" for name in flat for end in ("sum", "count"))


class Family(NamedTuple):
    """A figure and its series: by the label's value, "" where there is no label."""

    figure: Figure
    series: Mapping[str, float | Histogram]


def _counter(name: str, says: str) -> Figure:
    return Figure(f"scribed_{name}_total", "counter", says)


def _gauge(name: str, says: str) -> Figure:
    return Figure(f"scribed_{name}", "gauge", says)


LATENCY = Figure(
    "scribed_latency_seconds",
    "histogram",
    "where the time of a text on transcript went: the part, as in latency of stt.transcript/1",
    "part",
    PARTS,
    "scribed_latency_{}_seconds",
)

FIGURES: tuple[Figure, ...] = (
    # What is heard
    _gauge("hearing", "1: sound really arrives; absent until that is known"),
    _counter("captured_seconds", "audio that was captured"),
    _counter("lost_seconds", "audio that the device had and scribed did not get"),
    _counter("dropped_seconds", "audio that was captured and that there was no room for"),
    _counter("gate_openings", "utterances that the gate opened for"),
    _counter(
        "gate_refused_frames",
        "frames that WebRTC took for a voice and the second stage did not; 0 with vad.engine = "
        '"webrtc"',
    ),
    _gauge("frames_per_second", "frames that come"),
    _gauge("frames_per_second_expected", "frames that should; 0 while it is closed on purpose"),
    _gauge("level_dbfs", "level of the last frame measured, dB of full scale"),
    _gauge("noise_floor_dbfs", "level where nobody speaks"),
    _gauge("peak_dbfs", "highest sample of late"),
    _gauge("clipped_ratio", "share of the samples of speech that are clipped"),
    _gauge("dc_offset_ratio", "mean of the samples, of full scale"),
    _gauge("still_seconds", "how long all samples have been the same"),
    Figure(
        "scribed_microphone_fault",
        "gauge",
        "1: this is wrong with what the microphone gives",
        "kind",
        tuple(kind.value for kind in Kind),
        "scribed_microphone_{}",
    ),
    # What is sent, and what comes back
    _gauge("link_connected", "1: a session with the service is open"),
    _counter("connects", "connections tried"),
    Figure(
        "scribed_link_ended_total",
        "counter",
        "connections and attempts that failed, by what that asked for",
        "remedy",
        tuple(remedy.value for remedy in Remedy),
        "scribed_link_ended_{}_total",
    ),
    _counter("rotations", "connections that took the place of an old one"),
    _counter("connections_abandoned", "connections given up so that fresh speech need not wait"),
    _counter("sent_seconds", "audio of utterances that was sent, each time that it was"),
    _gauge("billed_seconds_today", "audio sent on this UTC day with padding, also by earlier runs"),
    _gauge("cost_today", "that by cost.price_per_hour"),
    _counter("early_commits", "commits by vad.early_commit_ms"),
    _counter("committed", "utterances that got a text"),
    _counter("without_text", "utterances that ended without"),
    _counter("sent_again", "times that an utterance was sent once more"),
    _counter("messages_ignored", "messages of the service that changed nothing"),
    _gauge("backlog_utterances", "utterances that wait for an answer"),
    _gauge("backlog_seconds", "their audio"),
    _gauge("backlog_memory_bytes", "of that in memory"),
    # The conservation law: detected + recovered = pending + published + ended
    _counter("utterances_detected", "utterances that started in this run"),
    _counter("utterances_recovered", "utterances that earlier runs left without an end"),
    _gauge("utterances_pending", "utterances whose text or end the broker does not have yet"),
    _counter("utterances_published", "utterances whose text the broker has"),
    _counter("utterances_ended", "utterances whose end without text the broker has"),
    _gauge("utterances_balance", "0: the conservation law holds"),
    LATENCY,
    # What is told
    _gauge("mqtt_connected", "1: connected to the broker"),
    _gauge("mqtt_queued", "finals and ends that the broker has not acknowledged"),
    _counter("mqtt_refused", "messages that the broker did not take; finals are tried again"),
    Figure(
        "scribed_mqtt_messages_total",
        "counter",
        "messages published; those of QoS 1 when they are acknowledged; of home_assistant, hermes "
        "and ros all that they are told",
        "topic",
        PUBLISHED,
        "scribed_mqtt_{}_total",
    ),
    Figure(
        "scribed_mqtt_dropped_total",
        "counter",
        "what never reached the broker",
        "cause",
        DROPPED,
        "scribed_mqtt_dropped_{}_total",
    ),
    # The machine
    _gauge("spool_runtime_bytes", "audio in the runtime directory"),
    _gauge("spool_state_bytes", "audio in the state directory"),
    Figure(
        "scribed_mailbox_items",
        "gauge",
        "what waits for a thread",
        "worker",
        MAILBOXES,
        "scribed_mailbox_{}_items",
    ),
)

NAMES = frozenset(name for figure in FIGURES for name in figure.names)
"""Every name that `metrics` on MQTT may have."""


def families(values: Mapping[str, float], latencies: Mapping[str, Histogram]) -> Iterator[Family]:
    """The figures that are known, as Prometheus wants them; `values` are by their name on MQTT."""
    for figure in FIGURES:
        series: dict[str, float | Histogram] = {}
        if figure is LATENCY:
            series |= latencies
        elif not figure.label:
            series |= {"": values[figure.name]} if figure.name in values else {}
        else:
            named = {value: figure.flat.format(value) for value in figure.values}
            series |= {value: values[name] for value, name in named.items() if name in values}
        if series:
            yield Family(figure, series)
