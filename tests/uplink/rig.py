"""An uplink on real sockets, and what it hands on."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from scribed import clock
from scribed.config import Config, Cost, ProviderSection, Retry, Spool, TranscriptSection
from scribed.interfaces import Request, Session
from scribed.model import (
    Closed,
    EndReason,
    Final,
    Partial,
    UtteranceAudio,
    UtteranceEnded,
    UtteranceId,
    UtteranceStarted,
    pcm_bytes,
)
from scribed.uplink.connection import Connection, tls_context
from scribed.uplink.providers.elevenlabs import ElevenLabsSession
from scribed.uplink.worker import Drain, Uplink
from scribed.worker import Budget, Crashed, Mailbox
from tests.parts.cloud import spoken

PIECE = pcm_bytes(100)


def utterance(
    n: int, duration_s: float = 1.0, at: float | None = None
) -> Iterator[UtteranceStarted | UtteranceAudio | UtteranceEnded]:
    """What capture posts for utterance `n`."""
    at = clock.now() - duration_s if at is None else at
    identity = UtteranceId(f"id-{n}")
    yield UtteranceStarted(identity, n, at)
    audio = spoken(n, duration_s)
    for i in range(0, len(audio), PIECE):
        yield UtteranceAudio(identity, audio[i : i + PIECE])
    yield UtteranceEnded(identity, at + duration_s, EndReason.COMMIT, int(duration_s * 1000))


class Rig:
    """Use as a context manager: it ends the thread and checks that it was no bug."""

    def __init__(
        self,
        url: str,
        *,
        retry: Retry | None = None,
        budget: int = 32 << 20,
        spool: Spool | None = None,
        tls: ssl.SSLContext | None = None,
        new_session: Callable[[str], Session] | None = None,
        check: Callable[[], object] = lambda: None,
        cost: Cost | None = None,
        spent: tuple[str, float] = ("", 0.0),
        transcript: TranscriptSection | None = None,
        **provider: Any,
    ) -> None:
        self.config = Config(
            provider=self.settings(url, **provider),
            retry=retry or Retry(initial_s=0.05, max_s=1.0, refused_s=1.0),
            spool=spool or Spool(),
            cost=cost or Cost(),
            transcript=transcript or TranscriptSection(),
        )
        self.delivered: Mailbox[Any] = Mailbox()
        self.stored: Mailbox[Any] = Mailbox()
        self.supervisor: Mailbox[Any] = Mailbox()
        self.budget = Budget(budget)
        self.told: list[Any] = []
        self.partials: list[Partial] = []
        self.remembered: list[tuple[str, float]] = []
        context = tls or tls_context("")

        def connect(request: Request) -> Connection:
            timeout_s = self.config.provider.connect_timeout_s
            return Connection(request, timeout_s=timeout_s, tls=context)

        self.uplink = Uplink(
            config=self.config,
            new_session=new_session or self.new_session,
            connect=connect,
            store=self.stored,
            delivery=self.delivered,
            budget=self.budget,
            supervisor=self.supervisor,
            clock_synced=lambda: True,
            check=check,
            remember=lambda day, seconds: self.remembered.append((day, seconds)),
            spent=spent,
        )

    @staticmethod
    def settings(url: str, **provider: Any) -> ProviderSection:
        """A provider's settings with short times, for a test."""
        times = {"connect_timeout_s": 2.0, "answer_timeout_s": 1.0}
        return msgspec.convert({"url": url, **times, **provider}, ProviderSection)

    def new_session(self, context: str) -> Session:
        return ElevenLabsSession(self.config.provider, "k3y", previous_text=context)

    def __enter__(self) -> Rig:
        self.uplink.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drain(0.0)
        for mailbox in (self.uplink.inbox, self.stored, self.delivered, self.supervisor):
            mailbox.close()

    def say(self, n: int, duration_s: float = 1.0, at: float | None = None) -> None:
        """Post a whole utterance at once."""
        for event in utterance(n, duration_s, at):
            self.post(event)

    def post(self, event: Any) -> None:
        if isinstance(event, UtteranceAudio):
            self.budget.charge(len(event.pcm))
        self.uplink.inbox.put(event)

    def drain(self, timeout: float) -> None:
        """Say that nothing more comes, and wait for the thread's end."""
        self.uplink.inbox.put(Drain(clock.now() + timeout))
        self.uplink.join(timeout + 15)
        assert not self.uplink.is_alive()
        crashed = [item for item in self.news() if isinstance(item, Crashed)]
        if crashed:
            raise crashed[0].exception

    def answers(self, count: int, timeout: float = 10.0) -> list[Final | Closed]:
        """Wait for so many finals and ends; partials go to `partials`."""
        found: list[Final | Closed] = []
        deadline = time.monotonic() + timeout
        while len(found) < count and (left := deadline - time.monotonic()) > 0:
            item = self.delivered.get(left)
            if isinstance(item, Partial):
                self.partials.append(item)
            elif item is not None:
                found.append(item)
        assert len(found) == count, f"{len(found)} of {count} answers; news: {self.news()}"
        return found

    def texts(self, count: int, timeout: float = 10.0) -> list[str]:
        """The texts of so many finals."""
        finals = self.answers(count, timeout)
        assert all(isinstance(final, Final) for final in finals), finals
        return [final.answer.text for final in finals if isinstance(final, Final)]

    def news(self) -> list[Any]:
        """What the supervisor was told so far."""
        self.told += self.supervisor.drain()
        return self.told

    def wait_for_news(self, wanted: Callable[[Any], bool], timeout: float = 10.0) -> Any:
        """Wait until the supervisor was told something for which `wanted` holds."""
        deadline = time.monotonic() + timeout
        while True:
            if (found := next((item for item in self.told if wanted(item)), None)) is not None:
                return found
            item = self.supervisor.get(deadline - time.monotonic())
            assert item is not None, f"not told in time; told: {self.told}"
            self.told.append(item)
