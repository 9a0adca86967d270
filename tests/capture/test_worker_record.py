"""The capture thread is asked for a recording: the store gets it, and capture goes on."""

from __future__ import annotations

from typing import Any

from scribed.capture.orders import Mute
from scribed.capture.recorder import Recorder
from scribed.recording import KeepRecording, Record, RecordingKept
from tests.capture.rig import Rig, silence, until, voice

TRIGGERS = ("command", "false_opening")


def on_command(command: Any) -> Record:
    return Record("command", "", command)


def recorder() -> Recorder:
    return Recorder(2.0, TRIGGERS, {"audio.frame_ms": 20}, "1.2.3")


def kept(rig: Rig) -> list[KeepRecording]:
    return rig.of("store", KeepRecording)


def test_what_was_heard_goes_to_the_store_with_its_decisions() -> None:
    with Rig(reopen=True, recorder=recorder()) as rig:
        rig.say(silence(200) + voice(300) + silence(400))
        until(lambda: rig.ends)
        asked = rig.ask(on_command)
        until(lambda: kept(rig))
        assert asked.replies == [], "it is for the store to answer"
        (keep,) = kept(rig)
        assert keep.command is asked.command
        decisions = keep.recording.decisions
        assert decisions.voices.count("#") == 15
        assert [words.split()[0] for _, words in decisions.notes][-2:] == ["open", "end"]
        assert rig.ask(on_command).answer().error is not None, "one at a time"
        rig.capture.inbox.put(RecordingKept())
        rig.ask(on_command)
        until(lambda: len(kept(rig)) == 2)


def test_a_mute_wipes_what_was_heard_and_nothing_is_kept_meanwhile() -> None:
    with Rig(reopen=True, recorder=recorder()) as rig:
        rig.say(voice(300))
        rig.hears(300)
        assert rig.ask(lambda command: Mute(True, command)).answer().error is None
        error = rig.ask(on_command).answer().error
        assert error is not None
        assert "muted" in error.message
    assert kept(rig) == []


def test_without_a_recorder_it_is_said_how_to_get_one() -> None:
    with Rig(reopen=True) as rig:
        rig.say(voice(300))
        error = rig.ask(on_command).answer().error
        assert error is not None
        assert "recorder.seconds" in error.message


def test_a_false_opening_that_is_out_of_memory_is_not_recorded() -> None:
    with Rig(reopen=True, recorder=recorder()) as rig:
        rig.say(voice(300))
        rig.hears(300)
        rig.capture.inbox.put(Record("false_opening", "1", since=0.0))
        rig.ask(on_command)
        until(lambda: kept(rig))
        assert [keep.recording.trigger for keep in kept(rig)] == ["command"]
