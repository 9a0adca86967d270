"""Each figure has one name, one kind and one meaning, wherever it is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parsed

from scribed import latency, overview
from scribed.capture.hearing import Hearing
from scribed.delivery.report import DROPPED, Report
from scribed.exposition import encoded
from scribed.latency import BOUNDS_S, NONE_YET, Histogram, Parts
from scribed.metrics import FIGURES, MAILBOXES, NAMES, families
from scribed.model import Device, Link
from scribed.store.report import Report as StoreReport
from scribed.uplink.report import UplinkReport
from tests import metrics_page

ROOT = Path(__file__).parents[1]
DROPS = re.compile(r'dropped\["([a-z_]+)"\]')
HEARD = Hearing(Device("mic", 16_000, 1, "open"), 1.0, 16_000, level_dbfs=-40.0)
HEARD = HEARD._replace(noise_floor_dbfs=-60.0)
TOOK = latency.counted(NONE_YET, Parts(371, 40, 310, 21, 120, None))


def values() -> dict[str, float]:
    """All that a daemon tells that hears, and has published one text."""
    told = Report(detected=1, published={"transcript": 1}, latencies=TOOK)
    return {
        **overview.metrics(HEARD, UplinkReport(Link()), StoreReport()),
        **overview.hearing_metrics(
            HEARD._replace(sound=HEARD.sound._replace(peak_dbfs=-3.0, clipped=0.0, dc=0.0)),
            20,
            50.0,
            hears=True,
        ),
        **{f"scribed_mailbox_{worker}_items": 0 for worker in MAILBOXES},
        **told.metrics(),
    }


def test_what_is_told_is_in_the_table_and_the_other_way_round() -> None:
    assert set(values()) == NAMES


def test_whatever_is_dropped_has_a_name() -> None:
    found = {
        cause
        for path in (ROOT / "scribed" / "delivery").glob("*.py")
        for cause in DROPS.findall(path.read_text("utf-8"))
    }
    assert found == set(DROPPED)


def test_names_are_as_prometheus_wants_them() -> None:
    for figure in FIGURES:
        assert re.fullmatch("scribed_[a-z_]+", figure.name)
        assert figure.name.endswith("_total") == (figure.kind == "counter")
        assert bool(figure.label) == bool(figure.values) == bool(figure.flat)
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


def test_prometheus_reads_the_same_figures_with_labels() -> None:
    text, content_type = encoded(families(values(), TOOK), "")
    assert content_type.startswith("text/plain")
    read = {family.name: family for family in parsed(text.decode())}
    assert set(read) == {figure.name.removesuffix("_total") for figure in FIGURES}
    for figure in FIGURES:
        family = read[figure.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (figure.kind, figure.says)
        labels = {sample.labels.get(figure.label, "") for sample in family.samples}
        assert labels == set(figure.values or ("",))
    (openings,) = read["scribed_gate_openings"].samples
    assert (openings.name, openings.value) == ("scribed_gate_openings_total", 0)
    told = {s.labels["topic"]: s.value for s in read["scribed_mqtt_messages"].samples}
    assert told["transcript"] == 1


def test_a_histogram_is_read_back_with_every_bucket() -> None:
    text, _ = encoded(families(values(), TOOK), "")
    (found,) = [f for f in parsed(text.decode()) if f.name == "scribed_latency_seconds"]
    whole = [sample for sample in found.samples if sample.labels["part"] == "end_to_publish"]
    buckets = {s.labels["le"]: s.value for s in whole if s.name.endswith("_bucket")}
    assert buckets == {
        **{str(bound): float(bound >= 0.371) for bound in BOUNDS_S},
        "+Inf": 1,
    }
    assert {s.name[-6:]: s.value for s in whole if not s.name.endswith("_bucket")} == {
        "_count": 1,
        "ds_sum": 0.371,
    }


def test_who_prefers_openmetrics_gets_it() -> None:
    text, content_type = encoded(families(values(), TOOK), "application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_what_is_not_known_is_not_told() -> None:
    unknown = overview.hearing_metrics(Hearing(Device("")), 20, None, hears=None)
    told = {family.figure.name for family in families(unknown, {})}
    assert "scribed_hearing" not in told
    assert "scribed_level_dbfs" not in told
    assert "scribed_latency_seconds" not in told
    assert "scribed_frames_per_second_expected" in told


@given(st.lists(st.floats(0, 10)))
def test_a_histogram_counts_each_once_and_where_it_belongs(took: list[float]) -> None:
    histogram = Histogram()
    for each in took:
        histogram = histogram.add(each)
    assert histogram.total == len(took)
    assert histogram.sum_s == pytest.approx(sum(took))
    for at, bound in enumerate(BOUNDS_S):
        assert sum(histogram.counts[: at + 1]) == sum(each <= bound for each in took)


def test_a_part_that_is_not_known_is_not_counted() -> None:
    assert TOOK["gate_to_first_byte"].total == 0
    assert TOOK["onset_to_gate"].total == 1
    assert NONE_YET["onset_to_gate"].total == 0


def test_a_daemon_that_nobody_asks_has_nothing_loaded_for_it() -> None:
    code = "import scribed.daemon, sys; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "False\n"


def test_the_page_has_the_table() -> None:
    text = metrics_page.PAGE.read_text("utf-8")
    assert metrics_page.table() in text, "run python -m tests.metrics_page"
    known = {figure.name for figure in FIGURES} | NAMES
    above = text.partition(metrics_page.BEGIN)[0]
    assert set(re.findall("scribed_[a-z_]+", above)) <= known


def test_the_rules_ask_for_figures_that_there_are() -> None:
    rules = (ROOT / "docs" / "examples" / "prometheus-alerts.yml").read_text("utf-8")
    asked = {name.removesuffix("_bucket") for name in re.findall("scribed_[a-z_]+", rules)}
    assert asked <= {figure.name for figure in FIGURES}
    by_label = {(figure.name, figure.label): figure.values for figure in FIGURES}
    labelled = re.findall(r'(scribed_[a-z_]+?)(?:_bucket)?\{([a-z]+)="([a-z_]+)"\}', rules)
    assert len(labelled) == 2
    for name, label, value in labelled:
        assert value in by_label[name, label]
