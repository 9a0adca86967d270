"""Golden dialogues with ElevenLabs: each file says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from scribed.uplink.providers.elevenlabs_extras import FOLLOWING
from scribed.uplink.providers.elevenlabs_messages import KINDS, REFUSALS
from tests.uplink.dialogues import load, paths, play

PATHS = paths("elevenlabs")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_dialogue_goes_as_it_is_written(path: Path) -> None:
    dialogue = load(path)
    play(dialogue, ElevenLabsSession(dialogue.settings, "s3cret", **dialogue.given))


@pytest.mark.parametrize(
    "kind", sorted({*KINDS, *REFUSALS, *FOLLOWING, "warning", "speakers_merged"})
)
def test_every_message_of_the_service_is_in_a_dialogue(kind: str) -> None:
    said = f'"message_type":"{kind}"'
    assert any(said in path.read_text(encoding="utf-8") for path in PATHS)
