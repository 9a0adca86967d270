"""Another configuration while capture hears: from between two utterances on, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from scribed.capture.gate import Gate
from scribed.capture.orders import Mute, Retune
from scribed.capture.retuning import RETUNE_S
from scribed.capture.sources.pcm import StdinSource
from scribed.config import Audio, Echo, Listen, Motion
from scribed.model import Device, Retuned
from tests.capture.rig import GATE, AnySound, Rig, silence, until, voice


def retune(number: int = 1, gate: Gate = GATE, listen: Listen | None = None) -> Retune:
    return Retune(
        number,
        gate=gate,
        echo=Echo(),
        motion=Motion(),
        listen=listen or Listen(),
        chunk_bytes=3200,
        stall_s=60.0,
        silent_s=None,
        gate_settings={"audio.frame_ms": 20},
    )


def is_taken(rig: Rig, number: int = 1) -> Callable[[], bool]:
    return lambda: Retuned("capture", number) in rig.of("main", Retuned)


LONGER = replace(GATE, hangover_ms=800)


def test_an_open_utterance_ends_by_the_settings_that_it_began_with() -> None:
    with Rig() as rig:
        rig.say(silence(300) + voice(400))
        until(lambda: rig.started)
        rig.capture.inbox.put(retune(gate=LONGER))
        rig.say(silence(100))
        rig.hears(800)
        assert not is_taken(rig)()
        rig.say(silence(200))
        until(lambda: rig.ends)
        until(is_taken(rig))
        rig.say(voice(400) + silence(500) + voice(400) + silence(1000))
        until(lambda: len(rig.ends) == 2)
        assert rig.ends[1].audio_ms > 1300


def test_the_pre_roll_of_before_is_not_lost() -> None:
    with Rig() as rig:
        rig.say(silence(300))
        rig.hears(300)
        rig.capture.inbox.put(retune(gate=replace(GATE, hangover_ms=400)))
        until(is_taken(rig))
        rig.say(voice(400) + silence(600))
        until(lambda: rig.ends)
        assert rig.ends[0].audio_ms == 500
        assert rig.audio().startswith(silence(100) + voice(100))


def test_the_newest_of_two_counts_and_what_the_first_wanted_anew_is_made() -> None:
    made = []

    def new_vad() -> AnySound:
        made.append(AnySound())
        return made[-1]

    with Rig() as rig:
        rig.say(silence(300) + voice(400))
        until(lambda: rig.started)
        rig.capture.inbox.put(replace(retune(1), new_vad=new_vad))
        rig.capture.inbox.put(retune(2, gate=LONGER))
        rig.say(silence(300))
        until(is_taken(rig, 2))
        assert rig.of("main", Retuned) == [Retuned("capture", 2)]
        assert len(made) == 1


def test_another_device_is_opened_between_two_utterances() -> None:
    with Rig(reopen=True) as rig:
        rig.say(silence(300) + voice(400))
        until(lambda: rig.started)

        class Other(StdinSource):
            live = True

            def __init__(self) -> None:
                super().__init__(Audio(source="stdin"), rig._reading)
                self.device = Device("other", 16_000, 1)

        rig.capture.inbox.put(replace(retune(), open_source=Other))
        rig.say(silence(100))
        rig.hears(800)
        assert len(rig.sources) == 1
        assert rig.capture.report.device.name != "other"
        rig.say(silence(200))
        until(is_taken(rig))
        rig.say(voice(400) + silence(400))
        until(lambda: len(rig.ends) == 2)
        assert rig.capture.report.device.name == "other"
        assert [end.reason.value for end in rig.ends] == ["commit", "commit"]


def test_a_microphone_that_is_muted_is_tuned_at_once() -> None:
    with Rig(reopen=True) as rig:
        rig.ask(lambda command: Mute(True, command)).answer()
        rig.capture.inbox.put(retune(gate=LONGER))
        until(is_taken(rig))


def test_from_now_on_it_listens_on_request_only() -> None:
    with Rig() as rig:
        rig.say(silence(300))
        rig.hears(300)
        rig.capture.inbox.put(retune(listen=Listen(mode="on_request")))
        until(is_taken(rig))
        rig.say(voice(400) + silence(400))
        until(lambda: rig.capture.report.deaf_to == "not_listening")
        assert rig.started == []


@pytest.mark.slow  # as long as RETUNE_S
def test_a_noise_that_holds_the_gate_open_does_not_keep_it_from_being_mended() -> None:
    with Rig(gate=replace(GATE, max_utterance_s=28.0)) as rig:
        rig.say(silence(300) + voice(400))
        until(lambda: rig.started)
        rig.capture.inbox.put(retune(gate=LONGER))
        begun = time.monotonic()
        while not is_taken(rig)():
            assert time.monotonic() < begun + RETUNE_S + 5
            rig.say(voice(100))
            time.sleep(0.1)
        assert rig.ends[-1].reason.value == "flush"
        assert time.monotonic() >= begun + RETUNE_S - 1
