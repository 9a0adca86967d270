"""The vendor's Python SDK, in an event loop of a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import defaultdict
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from elevenlabs.client import AsyncElevenLabs
from elevenlabs.realtime import (
    AudioFormat,
    CommitStrategy,
    RealtimeConnection,
    RealtimeEvents,
)

from tests.simulate.sockets import PATIENCE_S
from tests.simulate.vendor import Event

T = TypeVar("T")


class PythonSdk:
    """A `vendor.Sdk`."""

    def __init__(self, url: str, key: str) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sdk")
        self._thread.start()
        self._client = AsyncElevenLabs(api_key=key, base_url=url.replace("ws://", "http://"))
        self._connection: RealtimeConnection | None = None

    def __enter__(self) -> PythonSdk:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def mint(self) -> str:
        return str(self._run(self._client.tokens.single_use.create("realtime_scribe")).token)

    def connect(self, **options: Any) -> None:
        wanted = {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16_000,
            **options,
            "commit_strategy": CommitStrategy(options.get("commit_strategy", "manual")),
        }
        self._run(self._connect(wanted))

    def send(self, pcm: bytes) -> None:
        self._run(self._send(pcm))

    def commit(self) -> None:
        assert self._connection is not None
        self._run(self._connection.commit())

    def until(self, event: str, count: int = 1) -> Event:
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.events[event]) >= count, PATIENCE_S)
            assert came, f"no {event}; there were {sorted(self.events)}"
            return self.events[event][count - 1]

    def close(self) -> None:
        assert self._connection is not None
        self._run(self._connection.close())
        self.until("close")

    async def _connect(self, options: Any) -> None:
        # No await between the two: who comes later misses events.
        self._connection = await self._client.speech_to_text.realtime.connect(options)
        for event in RealtimeEvents:
            self._connection.on(event, lambda data=None, name=event.value: self._take(name, data))

    async def _send(self, pcm: bytes) -> None:
        assert self._connection is not None
        for start in range(0, len(pcm), 3200):
            audio = base64.b64encode(pcm[start : start + 3200]).decode()
            await self._connection.send({"audio_base_64": audio})

    async def _leave(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        # The SDK has no way to close its HTTP client but this.
        await self._client._client_wrapper.httpx_client.httpx_client.aclose()

    def _take(self, name: str, data: Event | None) -> None:
        with self._changed:
            self.events[name].append(data or {})
            self._changed.notify_all()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)
