"""The vendor's own client, the official Python SDK, takes the simulator for the service."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from typing import Any

import pytest
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.realtime import (
    AudioFormat,
    CommitStrategy,
    RealtimeAudioOptions,
    RealtimeConnection,
    RealtimeEvents,
)

from scribed.simulate.recognizers.pocketsphinx import PocketSphinx
from scribed.simulate.recognizers.script import Script
from scribed.simulate.server import Server
from tests.simulate.sockets import PATIENCE_S, speech

OPTIONS: RealtimeAudioOptions = {
    "model_id": "scribe_v2_realtime",
    "audio_format": AudioFormat.PCM_16000,
    "sample_rate": 16_000,
    "commit_strategy": CommitStrategy.MANUAL,
}
Events = defaultdict[str, list[dict[str, Any]]]


class Listener:
    """Collects what the SDK hands to its callbacks."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.events: Events = defaultdict(list)
        self._news = asyncio.Condition()
        self._notifying: set[asyncio.Task[None]] = set()
        for event in RealtimeEvents:
            connection.on(event, lambda data=None, name=event.value: self._take(name, data))

    def _take(self, name: str, data: dict[str, Any] | None) -> None:
        self.events[name].append(data or {})
        task = asyncio.ensure_future(self._notify())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, event: RealtimeEvents) -> dict[str, Any]:
        """Wait for the first of these events."""
        async with self._news:
            await asyncio.wait_for(
                self._news.wait_for(lambda: bool(self.events[event.value])), PATIENCE_S
            )
        return self.events[event.value][0]


async def connect(server: Server, key: str = "a key", **options: Any) -> RealtimeConnection:
    client = AsyncElevenLabs(api_key=key, base_url=server.url.replace("ws://", "http://"))
    wanted: Any = {**OPTIONS, **options}
    connection: RealtimeConnection = await client.speech_to_text.realtime.connect(wanted)
    return connection


async def say(connection: RealtimeConnection, pcm: bytes) -> None:
    for start in range(0, len(pcm), 3200):
        chunk = base64.b64encode(pcm[start : start + 3200]).decode()
        await connection.send({"audio_base_64": chunk})
    await connection.commit()


def converse(server: Server, pcm: bytes, **options: Any) -> Events:
    """Say one utterance, wait for both frames of its commit and the echo, and hang up."""

    async def story() -> Events:
        connection = await connect(server, **options)
        listener = Listener(connection)
        await listener.until(RealtimeEvents.SESSION_STARTED)
        await say(connection, pcm)
        await listener.until(RealtimeEvents.COMMITTED_TRANSCRIPT_WITH_TIMESTAMPS)
        await listener.until(RealtimeEvents.PARTIAL_TRANSCRIPT)
        await connection.close()
        await listener.until(RealtimeEvents.CLOSE)
        return listener.events

    return asyncio.run(story())


def test_the_sdk_gets_partials_and_both_committed_transcripts() -> None:
    with Server(recognizer=Script(["turn left now please"]), answer_s=0.3) as server:
        events = converse(
            server,
            bytes(3 * 32_000),
            include_timestamps=True,
            keyterms=["turn left", "stop"],
            vad_threshold=0.5,
            no_verbatim=True,
        )
    (started,) = events["session_started"]
    assert started["config"]["keyterms"] == ["turn left", "stop"]
    assert started["config"]["vad_threshold"] == 0.5
    assert started["config"]["no_verbatim"] is True
    assert [event["text"] for event in events["committed_transcript"]] == ["turn left now please"]
    (stamped,) = events["committed_transcript_with_timestamps"]
    assert [word["text"] for word in stamped["words"]] == [
        *("turn", " ", "left", " "),
        *("now", " ", "please"),
    ]
    assert events["partial_transcript"][0]["text"].startswith("turn left")
    assert events["error"] == []


def test_the_sdk_gets_real_words_for_real_speech() -> None:
    pcm = speech("goforward")
    with Server(recognizer=PocketSphinx()) as server:
        events = converse(server, pcm, include_timestamps=True, include_language_detection=True)
    assert events["committed_transcript"][0]["text"] == "go forward ten meters"
    (stamped,) = events["committed_transcript_with_timestamps"]
    assert stamped["language_code"] == "en"
    words = [word for word in stamped["words"] if word["type"] == "word"]
    assert [word["text"] for word in words] == ["go", "forward", "ten", "meters"]
    assert 0.3 < words[0]["start"] < words[-1]["end"] < len(pcm) / 32_000
    assert events["error"] == []


@pytest.mark.parametrize(
    ("key", "options", "event", "close"),
    [
        ("wrong", {}, RealtimeEvents.AUTH_ERROR, {"code": 1000, "reason": ""}),
        (
            "right",
            {"model_id": "scribe_realtime_v2"},
            RealtimeEvents.INVALID_REQUEST,
            {"code": 1008, "reason": "invalid_request"},
        ),
    ],
)
def test_the_sdk_understands_a_refusal(
    key: str, options: dict[str, Any], event: RealtimeEvents, close: dict[str, Any]
) -> None:
    async def story(server: Server) -> dict[str, Any]:
        listener = Listener(await connect(server, key, **options))
        assert (await listener.until(event))["error"]
        return await listener.until(RealtimeEvents.CLOSE)

    with Server(recognizer=Script(["stop"]), key="right") as server:
        assert asyncio.run(story(server)) == close


def test_the_sdk_understands_a_throttled_commit() -> None:
    async def story(server: Server) -> dict[str, Any]:
        connection = await connect(server)
        listener = Listener(connection)
        await connection.commit()
        refusal = await listener.until(RealtimeEvents.COMMIT_THROTTLED)
        assert "only 0.00s of uncommitted audio" in refusal["error"]
        return await listener.until(RealtimeEvents.CLOSE)

    with Server(recognizer=Script(["stop"])) as server:
        assert asyncio.run(story(server)) == {"code": 1000, "reason": "commit_throttled"}
