"""The vendor's JavaScript SDK: js/session.mjs in a Node process, driven by JSON lines."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.simulate.sockets import PATIENCE_S
from tests.simulate.vendor import Event

DIRECTORY = Path(__file__).parent / "js"
START_S = 30.0  # Node reads 5000 files of the SDK first: 1.2 s here


def missing() -> str | None:
    """Why there is no JavaScript SDK on this machine; None: there is."""
    if shutil.which("node") is None:
        return "Node is not installed (apt install nodejs npm, then scripts/setup)"
    if not (DIRECTORY / "node_modules" / "@elevenlabs").is_dir():
        return "the JavaScript SDK is not installed; scripts/setup does it where npm is"
    return None


needed = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def camel(name: str) -> str:
    """Return the SDK's name of a query parameter."""
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


class JavascriptSdk:
    """A `vendor.Sdk`."""

    def __init__(self, url: str, key: str) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            ["node", "session.mjs"],
            cwd=DIRECTORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, name="node")
        self._reader.start()
        self._order("client", baseUrl=url.replace("ws://", "http://"), apiKey=key)

    def __enter__(self) -> JavascriptSdk:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(PATIENCE_S)
            self._process.stdout.close()

    def mint(self) -> str:
        self._order("mint")
        return str(self.until("minted")["token"])

    def connect(self, **options: Any) -> None:
        wanted = {
            "model_id": "scribe_v2_realtime",
            "audio_format": "pcm_16000",
            "sample_rate": 16_000,
            "commit_strategy": "manual",
            **options,
        }
        self._order("connect", **{camel(name): value for name, value in wanted.items()})
        self.until("open")

    def send(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 3200):
            audio = base64.b64encode(pcm[start : start + 3200]).decode()
            self._order("send", audioBase64=audio)

    def commit(self) -> None:
        self._order("commit")

    def until(self, event: str, count: int = 1) -> Event:
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.events[event]) >= count, START_S)
            assert came, f"no {event}; there were {dict(self.events)}"
            return self.events[event][count - 1]

    def close(self) -> None:
        self._order("close")
        self.until("close")

    def _order(self, order: str, **options: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **options}) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._changed:
                self.events[said["event"]].append(said["data"] or {})
                self._changed.notify_all()
