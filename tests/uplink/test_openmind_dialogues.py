"""The golden dialogues with OpenMind's proxy, and the player that holds sessions to such."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.uplink.providers.openmind import OpenMindSession
from tests.uplink.dialogues import load, paths, play
from tests.uplink.dialogues.expected import Mismatch

KEY = "om1_live_/s3cret+1"
FOLLOWED = """
# An utterance.
with {"openmind": {"trailing_silence_ms": 50}}
< {"type":"connection","clientId":"1-a"}
= Ready {"session_id": "1-a"}
start a
audio 100
> 1x {"audio": "<100 ms>"}
pause no
end
> {"audio": "<50 ms silence>"}
departed a
< {"asr_reply":"Stop."}
at 0.25
= Committed {"id": "a", "text": "~^Stop"}
"""


@pytest.mark.parametrize("path", paths("openmind"), ids=lambda path: path.stem)
def test_the_session_keeps_to_the_dialogue(path: Path) -> None:
    dialogue = load(path)
    play(dialogue, OpenMindSession(dialogue.settings, KEY, **dialogue.given))


def perform(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.txt"
    path.write_text(text, encoding="utf-8")
    dialogue = load(path)
    play(dialogue, OpenMindSession(dialogue.settings, KEY))


def test_a_dialogue_that_is_kept_to_passes(tmp_path: Path) -> None:
    perform(tmp_path, FOLLOWED)


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ('= Ready {"session_id": "1-a"}', "", "it.txt:6: not expected: .*Ready"),
        ('"session_id": "1-a"', '"session_id": "1-b"', "it.txt:5: expected Ready"),
        ('{"session_id": "1-a"}', '{"session": null}', "it.txt:5: expected Ready"),
        ("= Ready", "= Failed", "it.txt:5: expected Failed.*\n.*got Ready"),
        ("100 ms>", "120 ms>", "it.txt:8: expected"),
        ("<100 ms>", "<100 ms silence>", "it.txt:8: expected"),
        ("1x", "2x", "it.txt:8: expected .*\n.*sent nothing"),
        (">", ">b", r"it.txt:8: expected .*\n.*sent '\{"),
        ('> {"audio": "<50 ms silence>"}', "", "it.txt: after line 15: sent besides"),
        ("pause no", "pause", "it.txt:9: .*says no"),
        ("0.25", "0.24", "it.txt:15: expected Committed.*\n.*got nothing"),
        ("0.25", "-1", "it.txt:14: time does not run backwards"),
        ('= Committed {"id": "a", "text": "~^Stop"}', "", "after line 14: not expected"),
        ("~^Stop", "~Stop$", "it.txt:15: expected Committed"),
        ("pause no", "shout", "it.txt:9: no such step"),
        ("departed a", "with {}", "it.txt:12: with stands behind the first step"),
        ("pause no", "close soon", "it.txt:9: ValueError"),
    ],
)
def test_a_dialogue_that_is_not_kept_to_fails_with_its_line(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    assert line in FOLLOWED
    with pytest.raises(Mismatch, match=complaint):
        perform(tmp_path, FOLLOWED.replace(line, instead, 1))
