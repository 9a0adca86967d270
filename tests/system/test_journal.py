"""What an operator finds in the journal: fields, an explanation, and one utterance's story."""

from __future__ import annotations

from typing import Any

import pytest

from scribed import kinds
from tests.parts.cloud import Cloud
from tests.parts.robot import KEY, silence
from tests.system.box import Box, wait_until
from tests.system.conftest import Listen
from tests.system.ear import Ear

PARTS = ("END_TO_COMMIT", "COMMIT_TO_TEXT", "TEXT_TO_PUBLISH")


@pytest.fixture
def ear(listen: Listen, cloud: Cloud, command: bytes) -> Ear:
    """An ear that has heard one command, and told of it in steps."""
    cloud.always.answer = lambda audio: "drive to the depot"
    sections = {"provider": {"url": cloud.url}, "log": {"level": "debug"}}
    ear: Ear = listen("told", sections)
    ear.start()
    ear.wait_until_it_hears()
    ear.speak(silence(0.3) + command + silence(0.8), pace=1.0)
    ear.wait_for(ear.finals)
    wait_until(lambda: one_of(ear, "utterance_purged"), 10)
    ear.systemctl("stop")
    return ear


def one_of(ear: Ear, event: str) -> list[dict[str, Any]]:
    return ear.box.records("-u", ear.unit, f"SCRIBED_EVENT={event}")


def test_the_journal_tells_what_happened_to_an_utterance_and_explains_it(
    box: Box, ear: Ear
) -> None:
    (final,) = ear.finals()
    id_ = final["utterance_id"]

    # One line of each utterance, with its latency in parts
    (line,) = one_of(ear, "published")
    assert (line["MESSAGE_ID"], line["PRIORITY"]) == (kinds.PUBLISHED.id, "6")
    assert line["_SYSTEMD_UNIT"] == ear.unit
    assert line["SCRIBED_UTTERANCE_ID"] == id_
    assert (line["SCRIBED_SEQ"], line["SCRIBED_TOPIC"]) == (str(final["seq"]), "transcript")
    ms = {name: int(line[f"SCRIBED_{name}_MS"]) for name in ("LATENCY", *PARTS)}
    assert sum(ms[part] for part in PARTS) == ms["LATENCY"] == final["latency"]["end_to_publish_ms"]
    assert 450 <= ms["END_TO_COMMIT"] < 2000  # the hangover
    assert 0 <= int(line["SCRIBED_ONSET_TO_GATE_MS"]) < 1500
    assert 0 <= int(line["SCRIBED_GATE_TO_FIRST_BYTE_MS"]) < 5000
    told = [one for one in ear.records() if one.get("SCRIBED_SEQ") and one["PRIORITY"] != "7"]
    assert [one["SCRIBED_EVENT"] for one in told] == ["published"]

    # Its whole story
    story = box.records(f"SCRIBED_UTTERANCE_ID={id_}")
    assert [one["SCRIBED_EVENT"] for one in sorted(story, key=step)] == [
        "utterance_opened",
        "utterance_sent",
        "utterance_closed",
        "utterance_answered",
        "published",
        "utterance_purged",
    ]
    assert [one["SCRIBED_REASON"] for one in story if "SCRIBED_REASON" in one] == ["commit"]

    # What every line is, and what no line has
    ours = [one for one in ear.records() if one.get("SYSLOG_IDENTIFIER") == "scribed"]
    by_id = {kind.id: kind for kind in kinds.KINDS.values()}
    for one in ours:
        kind = by_id[one["MESSAGE_ID"]]
        assert one["SCRIBED_EVENT"] == kind.event
        own = {name for name in one if name.startswith("SCRIBED_")}
        assert own <= {*kind.fields, "SCRIBED_EVENT", "SCRIBED_REPEATED"}
        assert "CODE_ARGS" not in one
    events = [one["SCRIBED_EVENT"] for one in ours]
    assert {"started", "device_hears", "link_up", "broker_up", "stopping"} <= set(events)
    assert events[-1] == "stopped"
    everything = str(ear.records())
    assert "depot" not in everything
    assert KEY not in everything

    # journalctl -x
    said = explained(ear)
    assert f"Subject: Utterance {final['seq']} has its text" in said
    assert f'It was published on "transcript" {ms["LATENCY"]} ms after its last voiced' in said
    assert f"end to commit {ms['END_TO_COMMIT']} ms" in said
    assert f'"systemctl status {ear.unit}" says how it is now' in said
    assert "@SCRIBED_" not in said


def explained(ear: Ear) -> str:
    """`journalctl -x`, as one line without the marks at the margin."""
    said = ear.box.run("journalctl", "-x", "-u", ear.unit, "--no-pager")
    return " ".join(
        line.removeprefix("░░").removeprefix("--").strip() for line in said.splitlines()
    )


ORDER = ("opened", "sent", "closed", "answered", "published", "purged")


def step(record: dict[str, Any]) -> int:
    """Threads tell it, each at its own moment: in the order of the steps."""
    return ORDER.index(record["SCRIBED_EVENT"].removeprefix("utterance_"))


def test_no_key_is_an_alert_that_says_what_to_do(listen: Listen) -> None:
    ear = listen("alerted", drop_ins=())
    ear.start()
    wait_until(lambda: one_of(ear, "alert"), 10)
    (alert,) = ear.box.records("-u", ear.unit, "SCRIBED_ALERT=auth_failed")
    assert (alert["MESSAGE_ID"], alert["SCRIBED_SEVERITY"]) == (kinds.ALERT.id, "error")
    said = explained(ear)
    assert "Subject: Alert auth_failed: a human is needed" in said
    assert f"What to do: {alert['SCRIBED_REMEDY']}." in said
