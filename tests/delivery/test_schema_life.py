"""One life of the daemon, as a robot hears it: every message is what the documents say it is."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scribed import clock
from scribed.contract import asyncapi, examples
from scribed.contract.topics import LEFT_OF_FRESHNESS, TOPICS
from scribed.delivery.commands import COMMANDS
from scribed.demo.voice import speak
from tests.delivery.peers import Received, Robot, wait_for
from tests.delivery.schema_check import assert_valid
from tests.e2e import contract
from tests.parts import robot as parts
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import silence

PARTIAL = json.dumps({"message_type": "partial_transcript", "text": "go"})
STALE_S = 2
METRICS_S = 40.0
"""They come every 15 s."""

DOINGS = (
    ("robot_speaking", '{"on": true, "id": "tts-1", "ttl_ms": 1}'),
    ("robot_moving", '{"on": false}'),
    ("listen", "{}"),
    ("devices", "{}"),
)
INSTEAD = (
    ("set_keyterms", '{"keyterms": null}'),
    ("set_language", '{"language": "fr"}'),
    ("log_level", '{"level": "debug", "ttl_ms": 60000}'),
)
OF_UTTERANCES = {"transcript", "late", "partial", "word", "speech", "ended"}
DOCUMENT = asyncapi.document()


def said(audio: bytes) -> str:
    """Has a fast word: a partial that its answer follows at once may be told by nobody."""
    return f"heard {len(audio)} bytes"


@dataclass
class Life:
    """A daemon, the service that it talks to, and the robot that it talks to."""

    daemon: parts.Robot
    cloud: Cloud
    robot: Robot
    command: bytes

    def speak(self) -> None:
        self.daemon.speak(silence(0.2) + self.command + silence(0.8), pace=4.0)

    def hears(self, topic: str, **fields: Any) -> None:
        """Wait for a message on `topic` in which all `fields` are so."""

        def heard() -> bool:
            return any(m.payload and fields.items() <= m.json.items() for m in self.robot.on(topic))

        wait_for(heard, f"{fields} on {topic}")

    def asks(self, name: str, payload: str, **how: Any) -> None:
        """Ask on `cmd/<name>`, and wait for one more reply."""
        where = how.get("answer_on") or "reply"
        replies = len(self.replies(where))
        self.robot.says(f"cmd/{name}", payload, **how)
        wait_for(lambda: len(self.replies(where)) > replies, f"the reply to {name}")

    def replies(self, where: str) -> list[Received]:
        return [m for m in self.robot.on(where) if m.json["schema"] == "stt.reply/1"]

    def words(self) -> None:
        """Words, no words, words that are cut."""
        self.cloud.always = Behaviour(say_at_commit=[PARTIAL], answer=said)
        self.speak()
        self.hears("transcript", final_reason="commit")
        self.cloud.always = Behaviour(answer=lambda _: "")
        self.daemon.start()  # a new connection, which behaves like that
        self.hears("state", hearing=None)
        self.speak()
        self.hears("ended", outcome="no_speech")

    def commands(self) -> None:
        """All that may be asked for, and what may not."""
        self.daemon.speak(silence(0.2) + self.command[: len(self.command) // 2], pace=4.0)
        wait_for(lambda: self.robot.on("speech")[-1].json["active"])
        self.asks("record", "{}")
        self.asks("mute", "ON")
        self.hears("ended", outcome="muted")
        self.asks("mute", '{"on": false, "req": "r-1"}')
        for name, payload in DOINGS:
            self.asks(name, payload)
        self.asks("flush", "")
        self.asks("state", "{}")
        self.asks("restate", '{"since_seq": 0}')
        self.asks("restate", '{"since_seq": 0}', answer_on="answers/1", correlation=b"7")
        for name, payload in (("dance", ""), ("mute", "perhaps"), ("flush", "x" * 70_000)):
            self.asks(name, payload)
        for name, payload in INSTEAD:
            self.asks(name, payload)
        self.hears("state", overrides={"provider.language": "fr", "log.level": "debug"})

    def outage(self) -> None:
        """The service is away for so long that what was said meanwhile comes too late."""
        self.cloud.always = Behaviour(http_status=503)
        self.daemon.start()
        self.speak()
        wait_for(lambda: any(m.payload for m in self.robot.on("alert/backend_down")), "the alert")
        over = self.robot.on("speech")[-1]
        wait_for(lambda: clock.now() > over.at + STALE_S, "what was said to grow old")
        self.cloud.always = Behaviour(answer=said)
        self.hears("late", late_reason="stale")
        wait_for(lambda: not self.robot.on("alert/backend_down")[-1].payload)

    def end(self) -> None:
        self.robot.hears("metrics", timeout=METRICS_S)
        assert self.daemon.stop()[0] == 0, self.daemon.log
        wait_for(lambda: self.robot.on("status")[-1].payload == b"offline")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Received]]:
    """All that the robot heard in that life."""
    directory = tmp_path_factory.mktemp("life")
    speak("go forward ten meters", directory / "command.wav")
    with wave.open(str(directory / "command.wav")) as file:
        command = file.readframes(file.getnframes())
    cloud = Cloud()
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url, "answer_timeout_s": 1.0},
        "retry": {"initial_s": 0.05, "max_s": 1.0},
        "transcript": {"stale_after_s": STALE_S, "fast_words": ["go", "heard"]},
        "mqtt": {"commands": list(COMMANDS)},
        "recorder": {"seconds": 5},
        "shutdown": {"grace_s": 0.5},
    }
    try:
        with parts.Robot(directory, sections) as daemon, Robot(daemon.broker.port) as robot:
            life = Life(daemon, cloud, robot, command)
            life.words()
            life.commands()
            life.outage()
            life.end()
            yield list(robot.heard)
    finally:
        cloud.close()


def name_of(message: Received) -> str:
    """The name of the message in `TOPICS`; of what came on a response topic, by its schema."""
    if message.topic.startswith("answers/"):
        kind = message.json["schema"].removeprefix("stt.").partition("/")[0]
        return "late" if kind == "transcript" else str(kind)
    root = message.topic.partition("/")[0]
    return message.topic if root == "cmd" else root


def published(heard: list[Received]) -> list[Received]:
    """What is the daemon's."""
    return [message for message in heard if not message.topic.startswith("cmd/")]


def test_every_topic_of_the_document_was_heard_and_no_other(heard: list[Received]) -> None:
    ours = {name for name, topic in TOPICS.items() if not topic.command}
    assert {name_of(message) for message in published(heard)} == ours


def test_every_payload_is_as_its_schema_says(heard: list[Received]) -> None:
    for message in published(heard):
        if message.payload or name_of(message) != "alert":
            assert_valid(name_of(message), examples.value(message.payload))


def test_every_message_travelled_as_the_document_says(heard: list[Received]) -> None:
    for message in published(heard):
        name = name_of(message)
        if message.topic.startswith("answers/"):
            continue  # as it is asked for
        binding = DOCUMENT["operations"][f"send_{name}"]["bindings"]["mqtt"]
        assert (message.qos, message.retain) == (binding["qos"], binding["retain"]), message
        expiry = STALE_S if name in LEFT_OF_FRESHNESS else binding.get("messageExpiryInterval")
        if expiry is None:
            assert message.expiry_s is None, message
        else:
            assert message.expiry_s is not None, message
            assert 1 <= message.expiry_s <= expiry, message


def test_what_was_heard_is_the_hand_written_table_of_the_contract(heard: list[Received]) -> None:
    """The document is made of what publishes: held against it alone both could be wrong."""
    ours = [message for message in published(heard) if not message.topic.startswith("answers/")]
    assert {name_of(message) for message in ours} == contract.RULES.keys()
    for message in ours:
        qos, retained, expiry = contract.RULES[name_of(message)]
        assert (message.qos, message.retain) == (qos, retained), message
        assert (message.expiry_s is None) is (expiry is None), message
        assert expiry is None or expiry[0] <= (message.expiry_s or 0) <= expiry[1], message


def test_each_kind_of_message_is_of_the_schema_that_the_contract_names(
    heard: list[Received],
) -> None:
    named = {name_of(m): m.json["schema"] for m in published(heard) if m.payload.startswith(b"{")}
    transcripts = dict.fromkeys(("transcript", "late", "partial"), "stt.transcript/1")
    others = ("word", "speech", "ended", "event", "alert", "state", "metrics", "reply")
    assert named == transcripts | {name: f"stt.{name}/1" for name in others}
    plain = {name_of(m): m.payload for m in published(heard) if not m.payload.startswith(b"{")}
    assert plain.keys() == {"status", "muted", "text", "alert"}
    assert plain["alert"] == b"", "cleared"


def test_a_connection_begins_with_online_and_every_alert_of_the_contract(
    heard: list[Received],
) -> None:
    """After each of its three starts, before anything is said of what it hears."""
    starts = [at for at, m in enumerate(heard) if (m.topic, m.payload) == ("status", b"online")]
    assert len(starts) == 3
    for begun, ended in zip(starts, [*starts[1:], len(heard)], strict=True):
        first = heard[begun : min(ended, begun + 40)]
        assert {m.topic.removeprefix("alert/") for m in first} >= contract.ALERTS
        assert {m.topic for m in first} >= {"state", "muted"}


def test_who_reads_no_payload_knows_what_it_is_and_of_which_utterance(
    heard: list[Received],
) -> None:
    of_utterances = set()
    for message in published(heard):
        said = examples.value(message.payload) if message.payload else ""
        if not isinstance(said, dict):
            assert message.about.keys() <= {"utterance_id", "seq"}
            assert ("seq" in message.about) is (message.topic == "text")
            continue
        assert message.about["schema"] == said["schema"]
        assert message.about.get("utterance_id") == said.get("utterance_id")
        assert message.about.get("seq") == (str(said["seq"]) if "seq" in said else None)
        of_utterances |= {name_of(message)} & OF_UTTERANCES
    assert of_utterances == OF_UTTERANCES


def test_every_message_has_the_content_type_of_the_document(heard: list[Received]) -> None:
    said = [message for message in published(heard) if message.payload]
    for message in (m for m in said if m.payload != b"offline"):
        kind = DOCUMENT["components"]["messages"][name_of(message)]
        assert message.content_type == kind["contentType"], message
        assert message.utf8


def test_the_daemon_s_messages_are_also_as_the_hand_written_contract_has_them(
    heard: list[Received],
) -> None:
    for message in published(heard):
        name, value = name_of(message), examples.value(message.payload)
        match name:
            case "transcript" | "late" | "partial":
                contract.check_transcript(value, final=name != "partial")
                contract.check_lateness(value, late=name == "late")
            case "reply":
                contract.check_reply(value)
            case "metrics":
                contract.check_metrics(value)
            case "state":
                contract.check_state(value)
            case _:
                pass  # nothing but fields and types, which the schema has


def test_alerts_are_raised_and_cleared_on_the_topics_of_the_document(heard: list[Received]) -> None:
    codes = DOCUMENT["channels"]["alert"]["parameters"]["code"]["enum"]
    alerts = [message for message in heard if name_of(message) == "alert"]
    assert {message.topic for message in alerts} == {f"alert/{code}" for code in codes}
    for message in alerts:
        assert not message.payload or message.topic == f"alert/{message.json['code']}"


def test_replies_have_the_result_that_the_document_names(heard: list[Received]) -> None:
    replies = [message.json for message in heard if name_of(message) == "reply"]
    done = {reply["cmd"]: reply["result"] for reply in replies if reply["ok"]}
    assert done.keys() == set(COMMANDS)
    for command in done.keys() - {"state"}:
        description = DOCUMENT["operations"][f"receive_cmd_{command}"]["description"]
        assert set(re.findall("`([a-z_]+)`: ", description)) == done[command].keys()
    state = dict(done["state"])
    assert state.pop("status_line")
    assert_valid("state", state)
    refused = [reply["error"]["code"] for reply in replies if not reply["ok"]]
    assert refused == ["unknown", "malformed", "too_large"]
    (answer,) = (m for m in heard if m.topic == "answers/1" and name_of(m) == "reply")
    assert answer.correlation == b"7"
