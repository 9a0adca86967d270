"""Run by a Python that has rhasspy-hermes: reads our goldens as Rhasspy does, writes its own asks.

`argv[1]` is the folder of the goldens. What it writes is read by the test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rhasspyhermes.asr import (
    AsrStartListening,
    AsrStopListening,
    AsrTextCaptured,
    AsrToggleOff,
    AsrToggleOn,
    AsrToggleReason,
)

SITE = "r7-mic"


def read(folder: Path) -> dict[str, Any]:
    """The text as Rhasspy has it, and what it makes of it again."""
    golden = json.loads((folder / "hermes_text.json").read_text())
    assert AsrTextCaptured.is_topic(golden["topic"])
    said = AsrTextCaptured.from_dict(golden["payload"])
    assert said.asr_tokens
    places = [said.text[token.range_start : token.range_end] for token in said.asr_tokens[0]]
    assert places == [token.value for token in said.asr_tokens[0]] == said.text.split()
    return {
        "text": said.text,
        "likelihood": said.likelihood,
        "site_id": said.site_id,
        "session_id": said.session_id,
        "payload": said.to_dict(),
    }


def asks() -> list[list[str]]:
    """Topic and payload of what a dialogue manager asks."""
    said = [AsrToggleOff(site_id=SITE, reason=reason) for reason in AsrToggleReason]
    said += [AsrToggleOn(site_id=SITE, reason=reason) for reason in AsrToggleReason]
    said += [AsrStartListening(site_id=SITE, session_id="s-1"), AsrStopListening(site_id=SITE)]
    return [[message.topic(), str(message.payload())] for message in said]


sys.stdout.write(json.dumps({"read": read(Path(sys.argv[1])), "asks": asks()}))
