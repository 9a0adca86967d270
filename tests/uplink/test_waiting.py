"""What becomes of utterances that wait: each ends once, and store and delivery both hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from scribed import clock
from scribed.config import Config
from scribed.errors import Remedy
from scribed.interfaces import Committed, EarlyText, Failed
from scribed.model import (
    Answer,
    Closed,
    Command,
    EarlierBoot,
    EndReason,
    Event,
    Final,
    Gone,
    Kept,
    LinkWell,
    Load,
    Loaded,
    Outcome,
    Partial,
    Provider,
    Recovered,
    Reply,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtterancePaused,
    UtteranceResumed,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.uplink.entry import Audio, Begin, End, Fetch, Pause, Step
from scribed.uplink.troubles import Troubles
from scribed.uplink.waiting import RAM_BYTES, Purge, Waiting
from scribed.worker import Budget, Mailbox

WHO = Provider("elevenlabs", "m", "s")


class Desk:
    """The utterances of one uplink, and what its neighbours are told."""

    def __init__(self, **sections: dict[str, Any]) -> None:
        self.store: Mailbox[Any] = Mailbox()
        self.delivery: Mailbox[Any] = Mailbox()
        self.supervisor: Mailbox[Any] = Mailbox()
        self.budget = Budget(32 << 20)
        self.now, self.synced = clock.now(), True
        self.waiting = Waiting(
            msgspec.convert(sections, Config),
            store=self.store,
            delivery=self.delivery,
            budget=self.budget,
            supervisor=self.supervisor,
            troubles=Troubles(self.supervisor),
            clock_synced=lambda: self.synced,
        )

    def close(self) -> None:
        for mailbox in (self.store, self.delivery, self.supervisor):
            mailbox.close()

    def say(
        self,
        n: int,
        *,
        ago: float = 0.0,
        seconds: float = 1.0,
        reason: EndReason = EndReason.COMMIT,
    ) -> UtteranceId:
        who = UtteranceId(f"u{n}")
        at = self.now - ago
        self.begin(n, at - seconds)
        self.hear(who, seconds)
        self.take(UtteranceEnded(who, at, reason, round(seconds * 1000)))
        return who

    def begin(self, n: int, at: float) -> UtteranceId:
        who = UtteranceId(f"u{n}")
        self.take(UtteranceStarted(who, n, at))
        return who

    def hear(self, who: UtteranceId, seconds: float) -> None:
        pcm = bytes(pcm_bytes(seconds * 1000))
        self.budget.charge(len(pcm))
        self.take(UtteranceAudio(who, pcm))

    def take(self, item: Any) -> None:
        self.waiting.take(item, self.now)

    def pass_time(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.waiting.pass_time(self.now)
        self.waiting.ends.count()

    def send(self) -> list[Step]:
        """Hand over what may be handed over."""
        steps: list[Step] = []
        while (step := self.waiting.backlog.next(self.now)) is not None:
            steps.append(step)
            if isinstance(step, Fetch):
                self.waiting.fetch(step.entry.id)
        return steps

    def answer(self, who: UtteranceId, text: str = "go") -> bool:
        return self.waiting.texts.committed(Committed(who, Answer(text)), WHO, self.now)

    def ends(self) -> list[tuple[int, str]]:
        """The finals and ends that delivery was given; the store was given the same before."""
        told = [item for item in self.delivery.drain() if isinstance(item, (Final, Closed))]
        stored = [item for item in self.store.drain() if isinstance(item, (Final, Closed))]
        assert told == stored
        return [
            (item.started.seq, item.outcome.value if isinstance(item, Closed) else "final")
            for item in told
        ]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def test_an_answer_is_a_final_and_an_answer_of_nothing_an_end(desk: Desk) -> None:
    first, second = desk.say(1), desk.say(2)
    desk.send()
    assert desk.answer(first)
    assert desk.answer(second, "(coughs)")
    assert not desk.answer(second), "it has its end"
    assert desk.ends() == [(1, "final"), (2, "no_speech")]
    assert desk.budget.used == 0


def test_what_a_mute_cut_off_ends_as_muted_and_is_not_heard(desk: Desk) -> None:
    desk.say(1, reason=EndReason.MUTED)
    desk.send()
    assert desk.ends() == [(1, "muted")]
    assert not desk.waiting.ends.torn


def test_a_mute_in_the_middle_of_sending_gives_the_connection_up(desk: Desk) -> None:
    who = UtteranceId("u1")
    desk.take(UtteranceStarted(who, 1, desk.now))
    desk.send()
    desk.take(UtteranceEnded(who, desk.now, EndReason.MUTED, 0))
    assert desk.waiting.ends.torn


def test_old_speech_can_be_dropped_without_being_paid_for() -> None:
    desk = Desk(transcript={"late": "drop"})
    desk.say(1, ago=6.0)
    desk.say(2, ago=1.0)
    desk.pass_time()
    desk.send()
    assert desk.ends() == [(1, "expired")]
    assert [entry.attempt for entry in desk.waiting.backlog] == [1]
    desk.close()


def test_old_speech_that_is_already_being_sent_is_not_dropped() -> None:
    desk = Desk(transcript={"late": "drop"})
    who = desk.say(1)
    desk.send()
    desk.pass_time(6.0)
    assert desk.answer(who)
    assert desk.ends() == [(1, "final")]
    desk.close()


def test_what_is_older_than_max_age_h_expires() -> None:
    desk = Desk(spool={"max_age_h": 1.0})
    desk.say(1, ago=3601.0)
    desk.say(2, ago=3599.0)
    desk.pass_time()
    assert desk.ends() == [(1, "expired")]
    desk.close()


def test_a_delay_is_told_once_and_the_store_secures_what_waits(desk: Desk) -> None:
    who = desk.say(1)
    desk.pass_time(3.9)
    assert desk.supervisor.drain() == []
    assert desk.waiting.wake_at() == pytest.approx(desk.now + 0.1)
    desk.pass_time(0.1)
    desk.pass_time(10.0)
    delays = [item for item in desk.supervisor.drain() if isinstance(item, Event)]
    assert [(d.event, d.detail) for d in delays] == [
        ("utterance_delayed", {"utterance_id": who, "seq": 1})
    ]
    assert LinkWell(False) in desk.store.drain()
    desk.send()
    desk.answer(who)
    assert LinkWell(True) in desk.store.drain()


def test_more_than_two_minutes_of_audio_rest_in_the_store_s_files_only(desk: Desk) -> None:
    ids = [desk.say(n, seconds=28.0) for n in range(1, 11)]
    desk.pass_time()
    assert desk.waiting.ends.tally.ram_bytes > RAM_BYTES, "the store has none of it yet"
    for who in ids:
        desk.take(Kept(who))
    desk.pass_time()
    assert desk.waiting.ends.tally.ram_bytes <= RAM_BYTES
    assert desk.waiting.ends.tally.seconds == pytest.approx(280.0)
    assert desk.budget.used == desk.waiting.ends.tally.ram_bytes
    desk.send()
    assert Load(ids[0]) in desk.store.drain()
    desk.take(Loaded(ids[0], bytes(pcm_bytes(28_000))))
    assert isinstance(desk.waiting.backlog.next(desk.now), Begin)


def test_without_room_in_memory_or_files_the_oldest_goes_first() -> None:
    desk = Desk(spool={"durability": "memory"})
    desk.budget.limit = pcm_bytes(2500)
    for n in (1, 2, 3):
        desk.say(n)
    desk.pass_time()
    assert desk.ends() == [(1, "evicted")]
    assert desk.budget.used == pcm_bytes(2000)
    desk.close()


def test_an_utterance_whose_file_is_gone_ends_unless_it_is_under_way(desk: Desk) -> None:
    first, second = desk.say(1), desk.say(2)
    step = desk.waiting.backlog.next(desk.now)
    assert isinstance(step, Begin)
    assert step.entry.id == first
    desk.take(Gone(first, Outcome.EVICTED))
    desk.take(Gone(second, Outcome.EVICTED))
    assert desk.ends() == [(2, "evicted")]


def test_a_file_that_cannot_be_read_ends_its_utterance(desk: Desk) -> None:
    found = recovered(1, ended_at=desk.now - 60.0)
    desk.take(found)
    desk.pass_time()
    desk.send()
    assert desk.store.drain() == [Load(found.started.id)]
    desk.take(Gone(found.started.id, Outcome.QUARANTINED))
    assert desk.ends() == [(1, "quarantined")]


def recovered(n: int, *, ended_at: float, boot: EarlierBoot | None = None) -> Recovered:
    who = UtteranceId(f"u{n}")
    started = UtteranceStarted(who, n, ended_at - 1.0, boot=boot)
    ended = UtteranceEnded(who, ended_at, EndReason.COMMIT, 1000)
    return Recovered(started, ended, pcm_bytes(1000))


def test_speech_of_this_boot_is_as_old_as_it_is(desk: Desk) -> None:
    desk.take(recovered(1, ended_at=desk.now - 2.0))
    desk.take(recovered(2, ended_at=desk.now - 1.0))
    desk.pass_time()
    assert desk.waiting.backlog.fresh == 2


@pytest.mark.parametrize(
    ("unix_ago", "synced", "now_synced", "expired"),
    [
        (7200.0, True, True, True),
        (60.0, True, True, False),
        (7200.0, False, True, False),
        (7200.0, True, False, False),
    ],
)
def test_speech_of_an_earlier_boot_is_old_and_its_age_counts_where_the_clock_was_set(
    unix_ago: float, synced: bool, now_synced: bool, expired: bool
) -> None:
    desk = Desk(spool={"max_age_h": 1.0})
    desk.synced = now_synced
    boot = EarlierBoot("b0", clock.wall() - unix_ago - 500.0, synced)
    desk.take(recovered(1, ended_at=500.0, boot=boot))
    desk.pass_time()
    assert desk.waiting.backlog.fresh == 0
    assert desk.ends() == ([(1, "expired")] if expired else [])
    desk.close()


def test_a_purge_ends_what_is_sealed_and_says_how_many_there_were(desk: Desk) -> None:
    for n in (1, 2, 3):
        desk.say(n)
    desk.take(UtteranceStarted(UtteranceId("u4"), 4, desk.now))
    answers: Mailbox[Reply] = Mailbox()
    desk.take(
        Purge(frozenset({"u1", "3"}), Outcome.EVICTED, Command("spool", {}, True, answers, 7))
    )
    assert desk.ends() == [(1, "evicted"), (3, "evicted")]
    desk.take(Purge(None, Outcome.MUTED))
    assert desk.ends() == [(2, "muted")]
    assert answers.drain() == [Reply(7, {"purged": 2})]
    assert len(desk.waiting.backlog) == 1, "somebody is speaking"
    answers.close()


def test_a_refusal_of_the_account_is_charged_to_no_utterance(desk: Desk) -> None:
    desk.say(1)
    for _ in range(20):
        desk.waiting.charge(Failed(Remedy.REFUSED, "quota_exceeded", alert="quota"), desk.now)
    assert desk.ends() == []


def test_an_utterance_that_is_refused_again_and_again_for_its_own_sake_fails() -> None:
    desk = Desk(provider={"max_attempts": 2})
    bad = desk.say(1)
    desk.waiting.charge(Failed(Remedy.BACK_OFF, "no", blamed=bad), desk.now)
    desk.answer(desk.say(2))
    assert desk.ends() == [(2, "final")]
    desk.waiting.charge(Failed(Remedy.BACK_OFF, "no", blamed=bad), desk.now)
    desk.pass_time()
    assert desk.ends() == [(1, "failed")]
    desk.close()


def test_an_end_that_was_begun_is_counted_as_sent_again(desk: Desk) -> None:
    who = desk.say(1)
    desk.send()
    desk.waiting.backlog.rewind()
    desk.send()
    step = desk.waiting.backlog.next(desk.now)
    assert not isinstance(step, End)
    desk.answer(who)
    assert desk.waiting.ends.tally.repeated == 1


# Early commits


def pause(desk: Desk) -> UtteranceId:
    """Somebody says a second, and pauses; the text so far is asked for."""
    who = desk.begin(1, desk.now)
    desk.hear(who, 1.0)
    desk.take(UtterancePaused(who))
    desk.hear(who, 0.2)
    steps = desk.send()
    assert [type(step) for step in steps] == [Begin, Audio, Pause]
    desk.waiting.backlog.handed_over(who, desk.now)
    return who


def early(desk: Desk, who: UtteranceId, text: str) -> None:
    desk.waiting.texts.early(EarlyText(who, text), WHO, desk.now)


def told(desk: Desk) -> list[tuple[str, str]]:
    """What delivery was given: partials and finals."""
    texts = []
    for item in desk.delivery.drain():
        if isinstance(item, Partial):
            texts.append(("partial", item.text))
        elif isinstance(item, Final):
            texts.append(("final", item.answer.text))
    return texts


def test_an_early_text_is_told_nobody_until_the_pause_has_become_the_end(desk: Desk) -> None:
    who = pause(desk)
    desk.now += 0.3
    early(desk, who, "turn left")
    assert told(desk) == []
    desk.now += 0.2
    desk.take(UtteranceEnded(who, desk.now - 0.5, EndReason.COMMIT, 1000))
    (step,) = desk.send()
    assert isinstance(step, End)
    assert step.silent
    assert desk.answer(who, "turn left")
    final = next(item for item in desk.delivery.drain() if isinstance(item, Final))
    assert final.answer.text == "turn left"
    assert final.provider_s == pytest.approx(0.3), "the hangover is not the provider's time"


def test_where_speech_goes_on_an_early_text_is_a_partial(desk: Desk) -> None:
    who = pause(desk)
    early(desk, who, "turn")
    desk.take(UtteranceResumed(who))
    assert told(desk) == [("partial", "turn")]
    desk.hear(who, 0.5)
    steps = desk.send()
    assert sum(len(step.pcm) for step in steps if isinstance(step, Audio)) == pcm_bytes(700)
    desk.now += 1.0
    desk.take(UtteranceEnded(who, desk.now, EndReason.COMMIT, 1700))
    (end,) = desk.send()
    assert isinstance(end, End)
    assert not end.silent
    desk.waiting.backlog.handed_over(who, desk.now)
    desk.now += 0.25
    desk.answer(who, "turn left")
    final = next(item for item in desk.delivery.drain() if isinstance(item, Final))
    assert (final.answer.text, final.rev) == ("turn left", 1)
    assert final.provider_s == pytest.approx(0.25)


def test_the_fast_words_of_an_early_text_are_looked_for_at_once() -> None:
    desk = Desk(transcript={"fast_words": ["stop"]})
    early(desk, pause(desk), "stop")
    (said,) = [item for item in desk.delivery.drain() if isinstance(item, Partial)]
    assert (said.text, said.shown) == ("stop", False)
    desk.close()


@pytest.mark.parametrize(("fast_words", "shown"), [(["stop"], [False]), ([], [])])
def test_without_partials_texts_are_handed_on_only_for_fast_words(
    fast_words: list[str], shown: list[bool]
) -> None:
    desk = Desk(transcript={"partials": False, "fast_words": fast_words})
    desk.waiting.texts.partial(desk.say(1), "stop", WHO, desk.now)
    found = [item.shown for item in desk.delivery.drain() if isinstance(item, Partial)]
    assert found == shown
    desk.close()


def test_an_early_text_that_comes_when_speech_has_gone_on_is_a_partial_at_once(desk: Desk) -> None:
    who = pause(desk)
    desk.take(UtteranceResumed(who))
    early(desk, who, "turn")
    assert told(desk) == [("partial", "turn")]


def test_no_other_commit_goes_out_before_the_early_one_is_answered(desk: Desk) -> None:
    who = pause(desk)
    desk.take(UtteranceResumed(who))
    desk.hear(who, 0.5)
    desk.take(UtteranceEnded(who, desk.now, EndReason.COMMIT, 1700))
    assert [type(step) for step in desk.send()] == [Audio]
    early(desk, who, "turn")
    assert [type(step) for step in desk.send()] == [End]


def test_an_end_in_the_pause_need_not_wait_for_the_early_text(desk: Desk) -> None:
    who = pause(desk)
    desk.take(UtteranceEnded(who, desk.now, EndReason.COMMIT, 1000))
    second = desk.begin(2, desk.now)
    desk.hear(second, 1.0)
    assert [type(step) for step in desk.send()] == [End, Begin, Audio]
    desk.now += 0.4
    early(desk, who, "turn left")
    desk.answer(who, "turn left")
    assert told(desk) == [("final", "turn left")]


def test_where_no_early_commit_can_be_made_the_utterance_goes_on_as_ever(desk: Desk) -> None:
    who = pause(desk)
    desk.waiting.backlog.cannot_pause(who)
    assert [type(step) for step in desk.send()] == [Audio]
    desk.take(UtteranceEnded(who, desk.now, EndReason.COMMIT, 1000))
    (end,) = desk.send()
    assert isinstance(end, End)
    assert not end.silent


def test_an_early_text_of_a_lost_connection_is_forgotten(desk: Desk) -> None:
    who = pause(desk)
    early(desk, who, "turn")
    desk.waiting.backlog.rewind()
    desk.take(UtteranceResumed(who))
    assert told(desk) == []
    assert [type(step) for step in desk.send()] == [Begin, Audio, Audio]


def test_a_pause_that_lasts_is_committed_early_on_the_next_connection_too(desk: Desk) -> None:
    pause(desk)
    desk.waiting.backlog.rewind()
    assert [type(step) for step in desk.send()] == [Begin, Audio, Pause]


def test_an_early_text_of_what_was_given_up_is_nobody_s(desk: Desk) -> None:
    who = pause(desk)
    desk.take(UtteranceEnded(who, desk.now, EndReason.MUTED, 0))
    assert desk.waiting.ends.torn
    early(desk, who, "turn")
    assert told(desk) == []


# Who ended it


@pytest.mark.parametrize(
    ("reason", "said", "final_reason"),
    [
        (EndReason.COMMIT, None, "commit"),
        (EndReason.COMMIT, "provider", "provider"),
        (EndReason.COMMIT, "no_commit", "no_commit"),
        (EndReason.LENGTH, "provider", "length"),
        (EndReason.SHUTDOWN, "no_commit", "shutdown"),
    ],
)
def test_a_cut_is_one_whoever_committed_it(
    desk: Desk, reason: EndReason, said: str | None, final_reason: str
) -> None:
    who = desk.say(1, reason=reason)
    desk.send()
    desk.waiting.texts.committed(Committed(who, Answer("go"), final_reason=said), WHO, desk.now)
    final = next(item for item in desk.delivery.drain() if isinstance(item, Final))
    assert final.final_reason == final_reason


def test_where_speech_is_given_up_what_was_begun_is_not(desk: Desk) -> None:
    first, _ = desk.say(1), desk.say(2)
    desk.send()
    desk.waiting.backlog.rewind()
    desk.waiting.backlog.next(desk.now)
    desk.begin(3, desk.now)
    desk.waiting.gives_up = True
    desk.pass_time()
    assert desk.ends() == [(2, "expired")]
    assert [entry.id for entry in desk.waiting.backlog] == [first, "u3"]
