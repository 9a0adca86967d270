"""The capture thread: what it hands on, in which order, what it loses, and what it can be asked."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scribed import clock
from scribed.capture.gate import Gate
from scribed.capture.hearing import SourceEnded
from scribed.capture.orders import Flush, Mute
from scribed.capture.sources.alsa import AlsaSource
from scribed.capture.sources.pcm import FileSource
from scribed.config import Audio
from scribed.errors import SourceError
from scribed.model import (
    RATE,
    EndReason,
    UtteranceAudio,
    UtteranceEnded,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
    pcm_bytes,
    seconds,
)
from tests.capture.rig import GATE, AnySound, PipedMicrophone, Rig, silence, until, voice, wav
from tests.parts.asound import Asound
from tests.parts.undisturbed import undisturbed

MUTED_WITHIN_S = 0.2
PAUSES = (UtterancePaused, UtteranceResumed)
SPOKEN = (UtteranceStarted, UtteranceAudio, UtteranceEnded)


@pytest.fixture
def live() -> Iterator[Rig]:
    """Hears a pipe that is taken for a live microphone."""
    with Rig(reopen=True) as rig:
        yield rig


def file_rig(path: Path, *, pace: str = "fast", **options: Any) -> Rig:
    audio = Audio(source="file", path=str(path), pace=pace)  # type: ignore[arg-type]
    return Rig(lambda: FileSource(audio), **options)


def on(command: Any) -> Mute:
    return Mute(True, command)


def off(command: Any) -> Mute:
    return Mute(False, command)


# What is handed on


def test_the_store_is_told_before_the_uplink_and_the_uplink_before_delivery() -> None:
    with Rig() as rig:
        rig.say(silence(200) + voice(300) + silence(400))
        until(lambda: rig.of("delivery", UtteranceEnded))
    order: dict[int, list[str]] = {}
    for who, item in rig.log:
        if isinstance(item, SPOKEN):
            order.setdefault(id(item), []).append(who)
    told = {type(item): order[id(item)] for _, item in rig.log if isinstance(item, SPOKEN)}
    assert told == {
        UtteranceStarted: ["store", "uplink", "delivery"],
        UtteranceAudio: ["store", "uplink"],
        UtteranceEnded: ["store", "uplink", "delivery"],
    }
    assert all(order[id(item)] == told[type(item)] for item in rig.of("store", *SPOKEN))


def test_what_was_read_is_handed_on_at_once(live: Rig) -> None:
    live.say(silence(100))
    live.hears(100)
    heard = 0
    for _ in range(10):  # never a whole chunk
        live.say(voice(60))
        heard += 60
        live.hears(100 + heard)
        until(lambda: len(live.audio()) in (0, pcm_bytes(100 + heard)))  # noqa: B023
    assert seconds(len(live.audio())) == pytest.approx(0.7)
    assert live.audio() == live.audio("uplink")


@pytest.mark.parametrize(("chunk_ms", "piece_ms"), [(1000, 100), (100, 100), (40, 40)])
def test_audio_comes_in_pieces_of_a_chunk_and_of_100_ms_at_most(
    chunk_ms: int, piece_ms: int
) -> None:
    spoken = silence(1000) + voice(900) + silence(900)
    with Rig(chunk_ms=chunk_ms) as rig:
        rig.say(spoken)
        until(lambda: rig.ends)
    pieces = [len(item.pcm) for item in rig.of("uplink", UtteranceAudio)]
    assert max(pieces) == pcm_bytes(piece_ms)
    assert rig.audio() == rig.audio("uplink") == silence(100) + voice(900) + silence(200)
    assert rig.budget.used == len(rig.audio())


def test_what_is_held_back_near_the_maximum_is_with_the_store_at_once() -> None:
    with Rig(reopen=True, gate=Gate(pre_roll_ms=100, max_utterance_s=5.0)) as rig:
        for heard in range(500, 5001, 500):
            rig.say(voice(500))
            rig.hears(heard)
            until(lambda: len(rig.audio()) == pcm_bytes(heard))  # noqa: B023
            assert len(rig.audio("uplink")) <= pcm_bytes(5000)
        assert len(rig.started) == 2
        assert rig.audio("uplink") == rig.audio("store")
    first, _ = rig.ends
    assert first.reason is EndReason.LENGTH


def test_the_uplink_alone_hears_of_a_pause_and_of_speech_that_goes_on() -> None:
    with Rig(reopen=True, gate=replace(GATE, early_commit_ms=100)) as rig:
        rig.say(voice(300) + silence(100))
        until(lambda: rig.of("uplink", UtterancePaused))
        assert rig.audio("uplink") == voice(300) + silence(100)
        rig.say(silence(60) + voice(100))
        until(lambda: rig.of("uplink", UtteranceResumed))
        assert not rig.ends
        rig.say(silence(200))
        until(lambda: rig.of("delivery", UtteranceEnded))
        assert len(rig.of("uplink", UtterancePaused)) == 2
        assert not [who for who, item in rig.log if who != "uplink" and isinstance(item, PAUSES)]


def test_each_block_is_marked_before_anything_comes_of_it(live: Rig) -> None:
    began = clock.now()
    for _ in range(6):
        live.say(voice(100))
        until(lambda: live.capture.report.samples % (RATE // 10) == 0)
    live.hears(600)
    live.stop()
    whos = [who for who, _ in live.log]
    assert whos.index("mark") < whos.index("store")
    marks = [item for who, item in live.log if who == "mark"]
    assert marks == sorted(marks)
    assert marks[-1] == live.capture.report.last_frame_at
    assert began < marks[0] <= clock.now()


def test_an_end_has_the_levels_of_its_utterance() -> None:
    with Rig() as rig:
        rig.say(silence(1000) + voice(500) + silence(400))
        (ended,) = until(lambda: rig.ends)
    assert ended.level_dbfs == pytest.approx(-10.3, abs=0.1)
    assert ended.snr_db == pytest.approx(80, abs=1)


def test_a_store_that_is_stuck_takes_nothing_from_the_uplink(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Rig(store_limit=3) as rig:
        rig.say(voice(1000) + silence(400))
        until(lambda: rig.of("uplink", UtteranceEnded))
    assert len(rig.of("store", *SPOKEN)) == 3
    assert rig.audio("uplink") == voice(1000) + silence(200)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "the store is stuck and takes nothing more: speech is lost to it"
    ]


# What was lost


def test_the_time_since_an_earlier_run_is_told_once_with_the_first_frame() -> None:
    with Rig(reopen=True, last_heard=clock.now() - 60) as rig:
        assert rig.gaps("restart") == []
        rig.say(silence(100))
        until(lambda: rig.gaps("restart"))
        rig.say(silence(100))
        rig.hears(200)
    (lost_ms,) = rig.gaps("restart")
    assert 59_800 <= lost_ms < 61_000  # to the first sample, which was heard before it arrived
    assert rig.capture.report.lost_samples == 0


def test_an_earlier_run_that_heard_until_now_lost_nothing() -> None:
    with Rig(reopen=True, last_heard=clock.now() + 1) as rig:
        rig.say(silence(100))
        rig.hears(100)
    assert rig.gaps("restart") == []


def test_a_file_lost_nothing_while_nobody_read_it(tmp_path: Path) -> None:
    with file_rig(wav(tmp_path / "a.wav", silence(500)), last_heard=0.0) as rig:
        rig.ended()
    assert rig.gaps("restart") == []


def test_a_start_that_is_muted_lost_nothing_that_was_to_be_heard() -> None:
    with Rig(reopen=True, last_heard=0.0, muted=True) as rig:
        assert rig.ask(off).answer().result == {"muted": False}
        rig.say(silence(100))
        rig.hears(100)
    assert rig.gaps("restart") == []


def test_a_mute_ends_the_time_that_a_restart_cost() -> None:
    with Rig(reopen=True, last_heard=clock.now() - 60) as rig:
        rig.ask(on).answer()
        (lost_ms,) = rig.gaps("restart")
        assert 60_000 <= lost_ms < 61_000


def test_sound_for_which_there_is_no_room_is_told_when_there_is_room_again() -> None:
    with Rig(reopen=True, budget=pcm_bytes(1000)) as rig:
        rig.say(voice(1000))
        rig.hears(1000)
        rig.say(voice(600))
        rig.hears(1600)  # half as much again as the budget, and one read
        for dropped_ms in (100, 200, 300):
            rig.say(voice(100))
            until(lambda: rig.capture.report.dropped_samples == dropped_ms * RATE // 1000)  # noqa: B023
        assert not rig.capture.report.is_open
        assert rig.gaps("no_room") == []
        rig.budget.refund(rig.budget.used)
        rig.say(voice(300))
        until(lambda: len(rig.started) == 2)
        assert rig.gaps("no_room") == [300]
    assert [end.reason for end in rig.ends] == [EndReason.GAP, EndReason.SHUTDOWN]
    assert rig.audio() == voice(1900)
    assert rig.gaps("overrun") == []


def test_what_was_dropped_until_the_end_is_told_too() -> None:
    with Rig(reopen=True, budget=pcm_bytes(100)) as rig:
        rig.say(voice(200))
        rig.hears(200)
        rig.say(voice(40))
        until(lambda: rig.capture.report.dropped_samples)
        rig.stop()
        assert rig.gaps("no_room") == [40]


def test_sound_that_the_device_lost_is_counted_and_told() -> None:
    with Rig(reopen=True) as rig:
        rig.say(silence(100))
        rig.hears(100)
        rig.sources[0].skipped = RATE // 4
        rig.say(silence(100))
        rig.hears(200)
    assert rig.gaps("overrun") == [250]
    assert rig.capture.report.lost_samples == RATE // 4


def test_a_suspend_is_told_once_and_its_jump_is_no_overrun() -> None:
    offset = [-5.0]  # it slept before
    with Rig(reopen=True, mono_offset=lambda: offset[0], stall_s=5.0) as rig:
        rig.say(voice(300))
        rig.hears(300)
        offset[0] -= 3600.0
        rig.sources[0].skipped = RATE * 3600 + RATE // 10
        until(lambda: rig.gaps("suspend"))
        rig.say(voice(300))
        rig.hears(600)
    assert rig.gaps("suspend") == [3_600_000]
    assert rig.gaps("overrun") == [100]  # what the device lost beyond it
    assert rig.events("device_lost") == []
    assert [end.reason for end in rig.ends] == [EndReason.GAP, EndReason.SHUTDOWN]


# Mute


def test_mute_closes_the_device_ends_the_utterance_and_says_so(asound: Asound) -> None:
    mic = asound.fault("mic")
    with undisturbed(), Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True) as rig:
        until(lambda: rig.capture.report.is_open)
        answer = rig.ask(on).answer(MUTED_WITHIN_S)
        assert answer.result == {"muted": True}
        assert not mic.is_open
        delivered = mic.delivered
        assert [end.reason for end in rig.ends] == [EndReason.MUTED]
        assert rig.capture.report.device.state == "muted"
        assert rig.capture.report.device.name == "mic"
        assert not rig.capture.report.is_open
        assert rig.capture.report.level_dbfs is None
        assert len(rig.audio()) == rig.capture.report.samples * 2
        told = len(rig.of("store", *SPOKEN))
        assert rig.ask(Flush).answer().result == {"flushed": False}
        assert rig.ask(on).answer().result == {"muted": True}
        assert mic.delivered == delivered
        assert len(rig.of("store", *SPOKEN)) == told

        assert rig.ask(off).answer().result == {"muted": False}
        until(lambda: len(rig.started) == 2)
        assert mic.is_open
        assert rig.capture.report.device.state == "open"
        assert rig.ask(off).answer().result == {"muted": False}
    assert len(rig.events("device_found")) == 1
    assert rig.events("device_lost") == []
    assert rig.events("audio_gap") == []
    states = [state for state, _ in itertools.groupby(rig.device_states)]
    assert states == ["open", "muted", "open"]


def test_what_was_heard_before_a_mute_is_in_no_later_utterance(live: Rig) -> None:
    live.say(voice(60) + silence(60))  # a pre-roll, and nearly a word
    live.hears(120)
    live.ask(on).answer()
    live.ask(off).answer()
    live.say(voice(300))
    until(lambda: live.started)
    live.stop()
    assert live.audio() == voice(300)


class Counting(AnySound):
    """Counts what it remembers."""

    remembered = 0

    def __call__(self, frame: bytes) -> bool:
        self.remembered += 1
        return super().__call__(frame)

    def reset(self) -> None:
        self.remembered = 0


def test_a_mute_leaves_nothing_of_what_was_heard_with_the_vad_either() -> None:
    vad = Counting()
    with Rig(reopen=True, vad=vad) as rig:
        rig.say(voice(300))
        rig.hears(300)
        assert vad.remembered == 15
        rig.ask(lambda command: Mute(True, command)).answer()
        assert vad.remembered == 0


def test_a_mute_that_is_lifted_at_once_still_closes_the_device(asound: Asound) -> None:
    asound.fault("mic")
    with Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True) as rig:
        until(lambda: rig.capture.report.is_open)
        asked = [rig.ask(on), rig.ask(on), rig.ask(Flush), rig.ask(off), rig.ask(Flush)]
        answers = [each.answer().result for each in asked]
        until(lambda: len(rig.sources) == 2)
        until(lambda: rig.capture.report.device.state == "open")
    assert answers[:2] == [{"muted": True}] * 2
    assert answers[3] == {"muted": False}
    assert rig.ends[0].reason is EndReason.MUTED


def test_a_start_that_is_muted_opens_nothing_until_it_is_lifted(asound: Asound) -> None:
    mic = asound.fault("mic")
    with Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True, muted=True) as rig:
        until(lambda: rig.device_states == ["muted"])
        assert rig.ask(on).answer().result == {"muted": True}
        assert not (mic.control / "delivered").exists()
        rig.ask(off).answer()
        until(lambda: rig.capture.report.is_open)
        assert rig.capture.report.device.state == "open"
        until(lambda: len(rig.events("device_found")) == 1)


def test_a_mute_without_a_device_is_answered_and_absence_is_told_again_after_it() -> None:
    def absent() -> PipedMicrophone:
        raise SourceError("no such thing")

    with undisturbed(), Rig(absent, reopen=True) as rig:
        until(lambda: rig.device_states == ["absent"])
        assert rig.ask(on).answer(MUTED_WITHIN_S).result == {"muted": True}
        assert rig.device_states == ["absent", "muted"]
        rig.ask(off).answer()
        until(lambda: rig.device_states == ["absent", "muted", "absent"])


def test_a_pipe_is_read_on_while_muted_and_what_it_brings_is_thrown_away() -> None:
    with undisturbed(), Rig() as rig:
        rig.say(voice(300))
        rig.hears(300)
        assert rig.ask(on).answer(MUTED_WITHIN_S).result == {"muted": True}
        assert rig.capture.report.device.state == "muted"
        for _ in range(4):  # more than a pipe holds, so that somebody must read it
            rig.say(voice(1000))
        until(lambda: not rig.unread)
        assert rig.ask(off).answer().result == {"muted": False}
        assert rig.capture.report.device.state == "open"
        rig.say(silence(200) + voice(200) + silence(300))
        until(lambda: len(rig.ends) == 2)
    assert [end.reason for end in rig.ends] == [EndReason.MUTED, EndReason.COMMIT]
    assert rig.audio() == voice(300) + silence(100) + voice(200) + silence(200)
    assert len(rig.events("device_found")) == 1


def test_a_pipe_that_ends_while_muted_has_ended() -> None:
    with Rig(muted=True) as rig:
        until(lambda: rig.device_states == ["muted"])
        rig.hang_up()
        rig.ended()
    assert rig.of("main", SourceEnded) == [SourceEnded(None)]


def test_a_file_stands_still_while_muted(tmp_path: Path) -> None:
    spoken = voice(300) + silence(700) + voice(700) + silence(300)
    with undisturbed(), file_rig(wav(tmp_path / "a.wav", spoken), pace="realtime") as rig:
        until(lambda: rig.ends)
        rig.ask(on).answer(MUTED_WITHIN_S)
        heard = rig.capture.report.samples
        assert rig.capture.report.device.state == "muted"
        assert rig.ask(on).answer().result == {"muted": True}
        rig.ask(off).answer()
        rig.ended()
    assert heard < rig.capture.report.samples == len(spoken) // 2
    assert [end.reason for end in rig.ends] == [EndReason.COMMIT, EndReason.COMMIT]


def test_a_muted_thread_stops_when_it_is_asked_to(asound: Asound) -> None:
    asound.fault("mic")
    with Rig(lambda: AlsaSource(Audio(device="mic")), reopen=True, muted=True) as rig:
        until(lambda: rig.device_states == ["muted"])
        rig.stop()


# Flush


def test_a_flush_ends_the_utterance_with_all_that_was_said_and_goes_on(live: Rig) -> None:
    live.say(voice(300))
    live.hears(300)
    live.say(voice(80))  # not read yet, perhaps
    assert live.ask(Flush).answer().result == {"flushed": True}
    (ended,) = live.ends
    assert (ended.reason, ended.audio_ms) == (EndReason.FLUSH, 380)
    assert live.audio() == voice(380)
    live.say(voice(300) + silence(300))
    until(lambda: len(live.ends) == 2)
    assert live.audio() == voice(680) + silence(200)


def test_a_flush_in_silence_changes_nothing(live: Rig) -> None:
    live.say(silence(200) + voice(80))  # a word begins
    live.hears(280)
    assert live.ask(Flush).answer().result == {"flushed": False}
    live.say(voice(220) + silence(300))
    (ended,) = until(lambda: live.ends)
    assert ended.reason is EndReason.COMMIT
    assert live.audio() == silence(100) + voice(300) + silence(200)


def test_what_is_asked_for_without_an_asker_is_done_too(live: Rig) -> None:
    live.say(voice(300))
    live.hears(300)
    live.capture.inbox.put(Flush())
    until(lambda: live.ends)
    live.capture.inbox.put(Mute(True))
    until(lambda: live.capture.report.device.state == "muted")


def test_what_is_asked_for_too_late_is_refused() -> None:
    with Rig() as rig:
        rig.hang_up()
        rig.ended()
    late = Rig()
    asked = [late.ask(Flush), late.ask(on)]
    with late:
        late.stop()
    for each in asked:
        reply = each.answer()
        assert reply.error is None or reply.error.code == "failed"


# Room


def test_a_file_waits_for_room_at_the_end_of_the_budget(tmp_path: Path) -> None:
    spoken = voice(60_000) + silence(1000)
    gate = Gate(pre_roll_ms=0, max_utterance_s=5.0)
    limit = (1 << 20) + pcm_bytes(5000)
    with file_rig(wav(tmp_path / "a.wav", spoken), gate=gate, budget=limit) as rig:
        until(lambda: rig.budget.used >= pcm_bytes(5000))
        waited_at = rig.capture.report.samples
        assert rig.ask(Flush).answer().result == {"flushed": True}  # it listens to us meanwhile
        assert rig.ask(on).answer().result == {"muted": True}
        assert rig.ask(off).answer().result == {"muted": False}
        assert rig.capture.report.samples - waited_at <= 2 * RATE
        most = 0
        while rig.capture.is_alive():
            most = max(most, rig.budget.used)
            rig.budget.refund(min(rig.budget.used, pcm_bytes(1000)))
            rig.capture.join(0.001)
    assert most <= limit
    assert rig.capture.report.samples == len(spoken) // 2
    assert rig.capture.report.dropped_samples == 0
    assert rig.audio().startswith(voice(60_000))
    assert rig.gaps("no_room") == []


def test_a_file_that_waits_for_room_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", voice(20_000))
    with file_rig(path, budget=(1 << 20) + pcm_bytes(2000)) as rig:
        until(lambda: rig.budget.used >= pcm_bytes(2000))
        rig.stop()
    assert rig.ends[-1].reason is EndReason.SHUTDOWN
