"""Figures in the formats of Prometheus: the only file that knows prometheus-client.

It is imported only where `metrics.listen` is set: 28 ms and 1.2 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from scribed.latency import BOUNDS_S, Histogram
from scribed.metrics import Family


def encoded(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """All of `families` in the format that `accept` (the header of a request) prefers, and that
    one's content type."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families))
    return encode(registry), content_type


class _Once(Collector):
    """What there is to tell now."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        families, self._families = self._families, ()  # it is asked at its registration as well
        return map(_metric, families)


def _metric(family: Family) -> Metric:
    figure, series = family
    labels = [figure.label] if figure.label else []
    match figure.kind:
        case "histogram":
            histogram = HistogramMetricFamily(figure.name, figure.says, labels=labels)
            for value, took in series.items():
                assert isinstance(took, Histogram)
                histogram.add_metric([value], _buckets(took), took.sum_s)
            return histogram
        case "counter":
            metric: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(
                figure.name, figure.says, labels=labels
            )
        case "gauge":
            metric = GaugeMetricFamily(figure.name, figure.says, labels=labels)
    for value, figures in series.items():
        assert not isinstance(figures, Histogram)
        metric.add_metric([value] if labels else [], figures)
    return metric


def _buckets(took: Histogram) -> list[tuple[str, float]]:
    """How many took no longer than each bound."""
    so_far, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), took.counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return buckets
