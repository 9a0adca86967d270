"""Real recorded speech, from a microphone, a pipe or a file to MQTT: the words, and every field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from scribed.demo.account import words_right
from scribed.demo.microphone import NullSinkMicrophone
from scribed.demo.subscriber import Received
from scribed.simulate.server import Server
from tests.e2e import contract, recordings
from tests.e2e.recordings import WORDS
from tests.e2e.witness import WatchedRobot, assert_accounted
from tests.parts.asound import Asound
from tests.parts.robot import Listener, Robot, silence

pytestmark = recordings.needed

HANGOVER_MS = 500
ANSWER_MS = 250
"""Of the stand-in, and longer where it still recognises."""
STALE_S = PATIENCE_S = 60
"""The recogniser is a real one and has to share the machine: an answer in seconds is none too late,
and is not asked for once more."""
RECALL = 0.6
"""Of the words of a passage, in their order. Measured: 6 of 8 in each, by each way in."""


@dataclass(frozen=True)
class Heard:
    """All that a robot received while the recordings were played to its microphone."""

    received: list[Received]
    late_comer: list[Received]  #: what somebody receives who subscribes afterwards
    boot_id: str

    def on(self, *topics: str) -> list[Received]:
        return [message for message in self.received if message.topic in topics]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [message.payload for message in self.on("transcript")]


@pytest.fixture(scope="module")
def heard(listening_service: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    """The recordings, each played once into a sound server whose monitor ALSA captures, and each
    when the one before has its text: on a busy machine it would be more speech."""
    directory = tmp_path_factory.mktemp("heard")
    wavs = [
        recordings.write_wav(directory / f"{name}.wav", recordings.conversation([name]))
        for name in WORDS
    ]
    room = recordings.write_wav(directory / "room.wav", recordings.room(2 * PATIENCE_S))
    with NullSinkMicrophone() as microphone:
        sections = {
            "audio": {"device": microphone.device},
            "provider": provider(listening_service),
            "transcript": {"stale_after_s": STALE_S},
        }
        with WatchedRobot(directory, sections, environment=microphone.environment()) as robot:
            microphone.play(room)
            robot.wait_until_it_hears()
            for count, wav in enumerate(wavs, 1):
                microphone.play(wav).wait(60)
                robot.wait_for_texts(count, PATIENCE_S)
            robot.wait_for(lambda: len(robot.on("text")) == len(WORDS))
            with Listener(robot.broker.port, name="late comer") as late_comer:
                assert late_comer.wait_for(lambda: late_comer.on("state"), 10)
                status, _ = robot.stop()
            assert status == 0, robot.log
            robot.wait_for(lambda: robot.status == "offline")
            assert_accounted(robot)
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            yield Heard(
                list(robot.subscriber.received),
                [m for m in late_comer.received if m.payload != "offline"],
                boot_id.replace("-", ""),
            )


def provider(service: Server) -> dict[str, Any]:
    return {"url": service.url, "answer_timeout_s": PATIENCE_S}


def assert_words(texts: list[str], names: list[str]) -> None:
    """The command exactly, the passages as well as they are recognised."""
    assert len(texts) == len(names), texts
    for name, text in zip(names, texts, strict=True):
        if name == "goforward":
            assert text == WORDS[name]
        assert words_right(WORDS[name], text) / len(WORDS[name].split()) >= RECALL, text


def test_each_sentence_comes_out_of_mqtt_in_its_words(heard: Heard) -> None:
    assert_words([final["text"] for final in heard.finals], list(WORDS))
    assert heard.finals[0]["norm"] == "go forward ten meters"


def test_every_message_is_as_the_contract_has_it(heard: Heard) -> None:
    for message in heard.received:
        contract.check(message, stale_after_s=STALE_S)
    seen = {message.topic.partition("/")[0] for message in heard.received}
    # Partials are live or nothing: a recogniser that is too slow to hear along gives none.
    assert seen - {"partial"} == {
        *("status", "state", "muted", "alert", "event", "metrics"),
        *("speech", "transcript", "text"),
    }


def test_speech_is_never_retained_and_the_daemon_s_condition_is(heard: Heard) -> None:
    assert {message.topic for message in heard.late_comer} == {"status", "state", "muted"}
    assert {m.payload for m in heard.late_comer if m.topic == "status"} == {"online"}


def test_after_connecting_come_online_the_state_and_an_emptied_alert_for_each_code(
    heard: Heard,
) -> None:
    first = [message.topic for message in heard.received[:25]]
    assert first[0] == "status"
    assert heard.received[0].payload == "online"
    assert {"state", "muted", "alert/auth_failed", "alert/provider_keeps_data"} <= set(first)
    alerts = [m.payload for m in heard.received if m.topic.startswith("alert/")]
    assert [raised for raised in alerts if raised != ""] == []


def test_all_messages_are_of_this_robot_and_of_one_run(heard: Heard) -> None:
    payloads = [m.payload for m in heard.received if isinstance(m.payload, dict)]
    assert {(p["robot"], p["source"]) for p in payloads} == {("r7", "mic")}
    assert len({p["run_id"] for p in payloads}) == 1
    for message in heard.received:
        if isinstance(message.payload, dict):
            said_at = datetime.fromisoformat(message.payload["t"].replace("Z", "+00:00"))
            assert message.payload["t"].endswith("Z")
            assert abs(said_at.timestamp() - message.at) < 5


def test_seq_and_rev_rise_and_join_the_messages_of_an_utterance(heard: Heard) -> None:
    finals = heard.finals
    assert [f["seq"] for f in finals] == list(range(finals[0]["seq"], finals[0]["seq"] + 3))
    assert len({f["utterance_id"] for f in finals}) == 3
    for final in finals:
        of_it = [
            m
            for m in heard.on("speech", "partial", "transcript")
            if m.payload["utterance_id"] == final["utterance_id"]
        ]
        assert {m.payload["seq"] for m in of_it} == {final["seq"]}
        assert [m.payload["active"] for m in of_it if m.topic == "speech"] == [True, False]
        revs = [m.payload["rev"] for m in of_it if m.topic != "speech"]
        assert revs == list(range(len(revs)))
        assert of_it[0].topic == "speech"
        assert of_it[-1].topic == "transcript"


def test_a_final_that_ended_in_silence_may_be_acted_on(heard: Heard) -> None:
    for final in heard.finals:
        assert final["caution"] == []
        assert final["final_reason"] == "commit"
        assert (final["late_reason"], final["restated"], final["continues"]) == (None, False, None)
        assert (final["attempt"], final["audio_lost_ms"], final["trigger"]) == (1, 0, "always")
    assert [m.payload for m in heard.on("text")] == [final["text"] for final in heard.finals]


def test_what_is_not_known_is_null(heard: Heard) -> None:
    for message in heard.on("partial", "transcript"):
        payload = message.payload
        assert (payload["while_robot_speaking"], payload["while_robot_moving"]) == (None, None)
        assert (payload["language"], payload["language_source"]) == (None, None)
    for message in heard.on("partial"):
        assert (message.payload["words"], message.payload["confidence"]) == (None, None)
        assert set(message.payload["latency"].values()) == {None}


def test_the_words_have_their_times_within_the_utterance(heard: Heard) -> None:
    for final in heard.finals:
        assert [word["text"] for word in final["words"]] == final["text"].split()
        assert final["words"][-1]["end_ms"] <= final["audio_ms"] + HANGOVER_MS
        assert all(0 < word["confidence"] <= 1 for word in final["words"])
        assert 0 < final["confidence"] <= 1
    spoken_ms = heard.finals[0]["words"][-1]["end_ms"] - heard.finals[0]["words"][0]["start_ms"]
    assert 1200 < spoken_ms < 2200  # "go forward ten meters" takes him 1.7 s


def test_an_utterance_is_as_long_as_it_was_spoken(heard: Heard) -> None:
    for final in heard.finals:
        lasted_ms = final["end_unix_ms"] - final["start_unix_ms"]
        assert abs(lasted_ms - final["audio_ms"]) <= 100  # a sound server's blocks jitter
        recording_ms = len(recordings.pcm(list(WORDS)[final["seq"] - heard.finals[0]["seq"]])) / 32
        assert recording_ms * 0.5 < final["audio_ms"] < recording_ms + 600


def test_age_and_expiry_say_how_fresh_it_is(heard: Heard) -> None:
    for message in heard.on("transcript"):
        final = message.payload
        emitted_ms, age_ms = final["emit_unix_ms"], final["age_ms"]
        assert age_ms >= HANGOVER_MS + ANSWER_MS - 50
        assert abs(emitted_ms - final["end_unix_ms"] - age_ms) < 50  # by another clock
        assert final["end_unix_ms"] < emitted_ms <= message.at * 1000 + 1
        expires = datetime.fromisoformat(final["expires_at"].replace("Z", "+00:00"))
        emitted = datetime.fromtimestamp(final["emit_unix_ms"] / 1000, timezone.utc)
        left = expires - emitted
        assert timedelta(seconds=1) <= left
        assert left <= timedelta(milliseconds=STALE_S * 1000 - age_ms + 2)
        assert message.expiry_s is not None
        assert message.expiry_s <= left.total_seconds() + 0.01


def test_latencies_are_those_of_this_utterance(heard: Heard) -> None:
    for final in heard.finals:
        latency = final["latency"]
        assert latency["provider_ms"] >= ANSWER_MS - 50
        assert latency["provider_ms"] + HANGOVER_MS - 50 <= latency["end_to_publish_ms"]
        had_partials = any(
            m.payload["utterance_id"] == final["utterance_id"] for m in heard.on("partial")
        )
        assert (latency["first_partial_ms"] is not None) == had_partials


def test_the_clocks_are_those_of_this_machine(heard: Heard) -> None:
    for message in heard.on("transcript"):
        final = message.payload
        assert final["boot_id"] == heard.boot_id
        assert final["provider"]["name"] == "elevenlabs"
        assert final["provider"]["model"] == "scribe_v2_realtime"
        assert final["provider"]["session_id"]
        assert final["level_dbfs"] < 0 < final["snr_db"]


def test_the_state_follows_what_is_really_heard(heard: Heard) -> None:
    states = [message.payload for message in heard.on("state")]
    assert (states[0]["hearing"], states[0]["hearing_reason"]) == (None, "starting")
    listening = next(state for state in states if state["hearing"])
    assert listening["state"] == "listening"
    assert listening["device"]["rate"] == 16_000
    assert listening["device"]["state"] == "open"
    assert "connected" in {state["link"]["state"] for state in states}
    assert states[-1]["state"] == "stopping"
    told = [m.payload["event"] for m in heard.on("event")]
    comings = {"device_found", "device_lost", "link_up", "link_down"}
    assert [event for event in told if event in comings] == ["device_found", "link_up"]


# Other ways in


def test_a_pipe_is_heard_to_its_end(listening_service: Server, tmp_path: Path) -> None:
    sections = {"audio": {"source": "stdin"}, "provider": provider(listening_service)}
    with WatchedRobot(tmp_path, sections) as robot:
        robot.speak(recordings.conversation(), pace=2.0)
        assert robot.end_of_input(PATIENCE_S) == 0, robot.log
        assert_words(robot.wait_for_texts(len(WORDS)), list(WORDS))
        robot.wait_for(lambda: robot.status == "offline")
        assert_accounted(robot)


@pytest.mark.parametrize(
    ("pace", "names"),
    [("realtime", ["goforward"]), ("fast", list(WORDS))],
    ids=["realtime", "fast"],
)
def test_a_file_is_heard_to_its_end(
    listening_service: Server, tmp_path: Path, pace: str, names: list[str]
) -> None:
    wav = recordings.write_wav(tmp_path / "all.wav", recordings.conversation(names))
    audio = {"source": "file", "path": wav, "pace": pace}
    with WatchedRobot(tmp_path, {"audio": audio, "provider": provider(listening_service)}) as robot:
        assert robot.process.wait(PATIENCE_S) == 0, robot.log
        assert_words(robot.wait_for_texts(len(names)), names)
        robot.wait_for(lambda: robot.status == "offline")
        assert_accounted(robot)


def test_speech_that_the_end_of_a_file_cuts_is_answered_too(
    listening_service: Server, tmp_path: Path
) -> None:
    wav = recordings.write_wav(tmp_path / "cut.wav", recordings.pcm("goforward")[:-16_000])
    audio = {"source": "file", "path": wav, "pace": "fast"}
    with WatchedRobot(tmp_path, {"audio": audio, "provider": provider(listening_service)}) as robot:
        assert robot.process.wait(PATIENCE_S) == 0, robot.log
        robot.wait_for_texts(1)
        (final,) = robot.finals
        assert final.payload["text"].startswith("go forward")
        assert (final.payload["final_reason"], final.payload["caution"]) == ("flush", ["cut"])
        assert robot.on("text") == []


# The device "auto"


def raw(path: Path, pcm: bytes, *, rate: int = 16_000, channels: int = 1) -> Path:
    """`pcm` as a device of this kind would give it, after a second of silence."""
    sound = np.frombuffer(silence(1.0) + pcm, np.int16)
    if rate != 16_000:
        sound = soxr.resample(sound, 16_000, rate)
    path.write_bytes(np.repeat(sound[:, None], channels, axis=1).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    ("rate", "channels"), [(16_000, 1), (48_000, 2)], ids=["16 kHz mono", "48 kHz stereo"]
)
def test_auto_takes_the_only_card_whatever_its_rate(
    listening_service: Server, tmp_path: Path, asound: Asound, rate: int, channels: int
) -> None:
    audio = raw(tmp_path / "mic.raw", recordings.pcm("goforward"), rate=rate, channels=channels)
    asound.card("Mic", audio=audio, rates=[rate], channels=[channels])
    sections = {"provider": provider(listening_service)}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        assert robot.wait_for_texts(1) == [WORDS["goforward"]]
        device = robot.state["device"]
        assert (device["name"], device["rate"]) == ("hw:CARD=Mic", rate)
        assert device["channels"] == channels
        assert robot.stop()[0] == 0, robot.log


def test_auto_with_several_cards_says_which_there_are(
    listening_service: Server, tmp_path: Path, asound: Asound
) -> None:
    asound.card("Front")
    asound.card("Rear")
    sections = {"provider": provider(listening_service)}
    with WatchedRobot(tmp_path, sections, environment=asound.environment()) as robot:
        robot.wait_for(lambda: robot.alert("no_device"))
        assert_names_both_cards(robot)
        robot.wait_for(lambda: robot.state.get("hearing") is False)
        assert robot.state["hearing_reason"] == "no_device"
        assert robot.stop()[0] == 0, robot.log


def assert_names_both_cards(robot: Robot) -> None:
    alert = robot.alert("no_device")
    assert alert is not None
    assert "card:Front, card:Rear" in alert["message"]
    assert "audio.device" in alert["remedy"]
