"""Who commits, and when: early in a pause, or the service by itself."""

from __future__ import annotations

import tracemalloc

import pytest

from scribed.errors import Remedy
from scribed.model import UtteranceId, Word, pcm_bytes
from tests.uplink.test_elevenlabs import Dialogue, sizes_ms

NO_TIMES = {"include_timestamps": False}


def pausing(**options: object) -> Dialogue:
    """A second of an utterance was spoken, a second after the session began."""
    dialogue = Dialogue(elevenlabs={**NO_TIMES, **options}, answer_timeout_s=4).ready()
    return dialogue.begin("a").wait(1).audio(bytes(pcm_bytes(1000)))


def served(strategy: str = "vad", **options: object) -> Dialogue:
    """A session that leaves it to the service, after 0.5 s of silence."""
    chosen = {"commit_strategy": strategy, "vad_silence_threshold_secs": 0.5, **options}
    return Dialogue(elevenlabs={**NO_TIMES, **chosen}, answer_timeout_s=4).ready()


# Early commits


def test_a_pause_commits_what_there_is_to_the_last_sample() -> None:
    dialogue = pausing().audio(bytes(pcm_bytes(50)))
    assert dialogue.pause()
    assert sizes_ms(dialogue.sent) == [1000, 50]
    assert [message["commit"] for message in dialogue.sent] == [False, True]


def test_a_pause_is_not_taken_up_while_something_is_unanswered() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    assert not dialogue.wait(2).audio(bytes(pcm_bytes(1000))).pause()
    earlier = Dialogue().ready().say("a").begin("b").wait(2).audio(bytes(pcm_bytes(1000)))
    assert not earlier.pause()
    assert earlier.c("One.").t("One.").pause()


def test_there_is_no_pause_without_an_utterance() -> None:
    assert not Dialogue().ready().pause()
    assert not Dialogue().ready().say("a").pause()


def test_a_session_that_is_over_takes_up_no_pause() -> None:
    assert not pausing().hear("error", error="No.").pause()


def test_a_pause_is_not_taken_up_where_the_service_may_just_have_committed() -> None:
    dialogue = pausing().audio(bytes(pcm_bytes(34_500)))
    assert not dialogue.pause()
    dialogue.c("A long story")
    assert not dialogue.pause()  # nobody knows how much it left
    assert dialogue.audio(bytes(pcm_bytes(300))).pause()


def test_an_early_answer_of_nothing_is_told_too() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    assert dialogue.depart().c("").early == [("a", "")]
    assert dialogue.end(silent=True).texts == [("a", "")]


def test_the_same_words_after_a_pause_are_said_again() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    dialogue.depart().c("Stop.").wait(1).audio(bytes(pcm_bytes(1000)))
    assert dialogue.pause()
    dialogue.depart().c("Stop.")
    assert dialogue.early == [("a", "Stop."), ("a", "Stop. Stop.")]
    assert dialogue.end(silent=True).texts == [("a", "Stop. Stop.")]


def test_an_early_text_comes_with_its_first_half_and_the_final_waits_for_the_second() -> None:
    dialogue = pausing(include_timestamps=True)
    assert dialogue.pause()
    dialogue.depart().t("Go.", ("Go.", 0.1, 0.4))
    assert dialogue.early == [("a", "Go.")]
    dialogue.c("Go.").end(silent=True)
    assert dialogue.answers[0].words == (Word("Go.", 100, 400),)
    late = pausing(include_timestamps=True)
    assert late.pause()
    assert late.depart().c("Go.").end(silent=True).texts == []
    assert late.wait(0.05).texts == [("a", "Go.")]


def test_an_end_that_is_called_silent_and_is_not_commits() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    dialogue.depart().c("Turn").audio(bytes(pcm_bytes(400))).end(silent=True)
    assert dialogue.sent[-1]["commit"]
    assert dialogue.texts == []
    assert dialogue.depart().c("left.").texts == [("a", "Turn left.")]


def test_an_end_without_a_pause_is_never_silent() -> None:
    dialogue = Dialogue(elevenlabs=NO_TIMES).ready().begin("a").end(silent=True)
    assert sizes_ms(dialogue.sent) == [350]
    assert dialogue.depart().c("").texts == [("a", "")]


def test_an_end_of_nothing_is_nothing() -> None:
    assert Dialogue().ready().end().sent == []


def test_both_answers_are_waited_for_where_speech_ends_before_the_first() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    dialogue.depart().audio(bytes(pcm_bytes(400))).end().depart()
    assert dialogue.c("Turn").early == [("a", "Turn")]
    assert dialogue.c("left.").texts == [("a", "Turn left.")]


def test_an_early_commit_has_as_much_time_as_any() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    dialogue.wait(9).depart()
    assert not dialogue.wait(3.99).is_over
    assert dialogue.wait(0.01).failed.remedy is Remedy.RECONNECT


def test_while_speech_goes_on_after_an_early_answer_nothing_is_owed() -> None:
    dialogue = pausing()
    assert dialogue.pause()
    dialogue.depart().c("Turn").wait(60)
    assert not dialogue.is_over
    dialogue.end().depart()
    assert dialogue.wait(4).failed.remedy is Remedy.RECONNECT


def test_any_number_of_pauses_is_one_utterance() -> None:
    dialogue = pausing()
    for n in range(40):
        assert dialogue.wait(1).audio(bytes(pcm_bytes(500))).pause()
        dialogue.depart().c(str(n))
    assert len(dialogue.early) == 40
    assert dialogue.end(silent=True).texts == [("a", " ".join(map(str, range(40))))]


# Commits of the service's own


@pytest.mark.parametrize("strategy", ["vad", "turn_prediction"])
def test_behind_an_utterance_goes_enough_silence_in_chunks_of_a_second_at_most(
    strategy: str,
) -> None:
    dialogue = served(strategy, vad_silence_threshold_secs=3).begin("a")
    dialogue.audio(b"\1" * pcm_bytes(250)).end()
    assert sizes_ms(dialogue.sent) == [250, 875, 875, 875, 875]
    assert not any(message["commit"] for message in dialogue.sent)
    assert dialogue.session.sent_s() == pytest.approx(3.75)


def test_a_pause_is_left_to_the_service() -> None:
    dialogue = served().begin("a").wait(2).audio(bytes(pcm_bytes(2000)))
    assert not dialogue.pause()


def test_a_commit_before_the_end_has_left_is_a_part_and_no_answer() -> None:
    dialogue = served().begin("a").audio(bytes(pcm_bytes(1000))).end().wait(0.5).c("Turn")
    assert dialogue.wait(60).texts == []
    dialogue.depart().partial("left")
    assert dialogue.wait(0.5).c("left.").wait(0.25).texts == [("a", "Turn left.")]


def test_speech_that_is_sent_fast_is_not_over_with_the_first_commit() -> None:
    dialogue = served().say("a", duration_ms=18_000).wait(0.5).c("Turn").wait(3)
    assert dialogue.texts == []  # 16 s are heard in 4 s
    dialogue.wait(0.6).c("left.").wait(0.2)
    assert dialogue.wait(0.05).texts == [("a", "Turn left.")]


def test_an_open_partial_holds_the_answer_until_its_commit() -> None:
    dialogue = served().say("a").wait(0.1).c("Turn").wait(0.2).partial("left")
    assert dialogue.wait(0.5).texts == []
    assert dialogue.c("left.").wait(0.25).texts == [("a", "Turn left.")]


def test_the_next_utterance_is_not_sent_before_the_one_before_has_its_answer() -> None:
    dialogue = served().say("a").wait(0.1).c("One.").begin("b").audio(bytes(pcm_bytes(1000)))
    assert dialogue.partial("and").partials == [("a", "One. and")]  # it cannot be of the next
    assert dialogue.session.sent_s() == pytest.approx(2.0)
    assert dialogue.wait(0.2).c("and two.").wait(0.25).texts == [("a", "One. and two.")]
    assert dialogue.session.sent_s() == pytest.approx(3.0)


def test_what_is_held_back_is_sent_at_its_end_at_the_latest() -> None:
    dialogue = served().say("a", "b", "c")
    assert dialogue.session.sent_s() == pytest.approx(6.0)
    for text in ("One.", "Two.", "Three."):
        dialogue.wait(0.1).c(text).wait(0.25)
    assert dialogue.texts == [("a", "One."), ("b", "Two."), ("c", "Three.")]


def test_a_repeated_answer_is_the_same_word_once_more_and_its_partial_is_none() -> None:
    dialogue = served().begin("a").audio(bytes(pcm_bytes(1000))).c("Stop.").partial("Stop.")
    dialogue.end().wait(0.1).depart().wait(0.1).c("Stop.").wait(0.25)
    assert dialogue.partials == []
    assert dialogue.texts == [("a", "Stop. Stop.")]


def test_our_commit_is_padded_though_the_service_may_just_have_made_one() -> None:
    dialogue = served().say("a").wait(1.5)
    assert sizes_ms(dialogue.sent)[-1] == 350
    assert dialogue.sent[-1]["commit"]
    assert sum(message["commit"] for message in dialogue.wait(3).sent) == 1


def test_our_commit_puts_no_silence_into_the_next_utterance() -> None:
    dialogue = served().say("a").begin("b").audio(b"\1" * pcm_bytes(530)).wait(1.5)
    assert sizes_ms(dialogue.sent)[-2:] == [350, 530]
    assert [message["commit"] for message in dialogue.sent[-2:]] == [True, False]


def test_an_answer_to_our_commit_that_comes_second_is_nobodys() -> None:
    dialogue = served().say("a").wait(1.5).c("One.").wait(0.25)
    assert dialogue.texts == [("a", "One.")]
    dialogue.begin("b").audio(bytes(pcm_bytes(1000))).c("").end().wait(0.1).depart()
    assert dialogue.wait(0.5).c("Two.").wait(0.25).texts == [("a", "One."), ("b", "Two.")]


def test_an_empty_commit_of_the_services_is_no_answer() -> None:
    dialogue = served().say("a").wait(0.3).c("")
    assert dialogue.wait(1).texts == []
    assert dialogue.wait(0.2).sent[-1]["commit"]
    assert dialogue.wait(0.3).c("One.").wait(0.25).texts == [("a", "One.")]


def test_a_commit_of_a_later_utterance_is_told_by_its_words() -> None:
    dialogue = served(include_timestamps=True).say("a", "b")  # at 0 and at 2 s
    dialogue.wait(0.1).c("Two").t("Two", ("Two", 2.2, 2.5)).wait(0.4)
    assert dialogue.texts == []
    assert dialogue.wait(1).sent[-1]["commit"]
    dialogue.wait(0.3).c("").t("")
    assert dialogue.wait(0.25).texts == [("a", ""), ("b", "Two")]
    assert dialogue.answers[1].words == (Word("Two", 200, 500),)


def test_a_commit_over_two_utterances_is_cut_between_them() -> None:
    dialogue = served(include_timestamps=True).say("a", "b").wait(0.1).c("One. Two.")
    dialogue.t("One. Two.", ("One.", 0.2, 0.5), (" Two.", 2.2, 2.5)).wait(0.25)
    assert dialogue.texts == [("a", "One."), ("b", "Two.")]


def test_our_own_commit_may_have_the_words_of_another_alone() -> None:
    dialogue = served(include_timestamps=True).say("a", "b").wait(1.6).c("Two.")
    dialogue.t("Two.", ("Two.", 2.2, 2.5)).wait(0.25)
    assert dialogue.texts == [("a", ""), ("b", "Two.")]


def test_words_whose_times_contradict_themselves_stay_in_order() -> None:
    dialogue = served(include_timestamps=True).say("a").wait(0.1)
    dialogue.c("One.").t("One.", ("One.", 0.2, 0.9)).wait(0.25)
    dialogue.say("b").wait(0.1).c("Two.").t("Two.", ("Two.", 0.3, 0.6)).wait(0.25)
    assert dialogue.texts == [("a", "One."), ("b", "Two.")]


def test_without_words_a_commit_belongs_to_the_oldest_without_its_answer() -> None:
    dialogue = served().say("a").begin("b").audio(bytes(pcm_bytes(1000))).wait(0.1).c("One.")
    dialogue.wait(0.35).c("Two").end().wait(0.1).depart().wait(0.1).c("three.").wait(0.25)
    assert dialogue.texts == [("a", "One."), ("b", "Two three.")]


def test_a_service_that_commits_without_end_fails() -> None:
    dialogue = served().begin("a")
    for n in range(64):
        assert not dialogue.c(str(n)).is_over
    assert dialogue.c("x").failed.blamed == UtteranceId("a")


@pytest.mark.parametrize("timed", [True, False], ids=["words", "texts"])
def test_a_service_that_never_stops_talking_fills_no_memory(timed: bool) -> None:
    dialogue = served(include_timestamps=timed)
    tracemalloc.start()
    try:
        for n in range(500):
            if n % 5 == 0:
                dialogue.begin(f"u{n}").end().wait(0.01).depart()
            text = f"{n:03} " * 4500
            dialogue.c(text).t(text, *[("x", 1e-3 * n, 1e-3 * n)] * 500).wait(0.3)
            dialogue.events.clear()
            dialogue.sent.clear()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dialogue.session.timer() is not None, "it failed long before"
    assert left < 2 << 20
