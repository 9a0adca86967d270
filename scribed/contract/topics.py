"""What each topic is for, and how its messages travel: with `delivery.topics`' rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from scribed.config import Mqtt, TranscriptSection
from scribed.contract.asked import ASKS, Ask
from scribed.delivery.commands import MAX_BYTES
from scribed.delivery.topics import COMMANDS, RULES, Rule

BASE = Mqtt().topic
"""The base topic, where the configuration names no other."""
FRESH_S = TranscriptSection().stale_after_s
LEFT_OF_FRESHNESS = ("transcript", "text")
"""Topics whose messages expire with what is left of `transcript.stale_after_s`."""

_SAYS = {
    "status": "Whether the daemon runs; `offline` is also its will.",
    "state": "How the daemon is: on change and every 30 s. Valid only while `status` is `online`.",
    "transcript": "A committed, fresh text, `seq` rising: the one topic to act on, where `caution` "
    "is empty. Remember the highest `seq` that you acted on and ignore the rest.",
    "text": "The text alone of a `transcript` whose `caution` is empty.",
    "late": "A committed text that came too late, with its `late_reason`: never to be obeyed.",
    "partial": "A text that may still change; the last one replaces all before it.",
    "word": "One of `transcript.fast_words`, once per utterance, as soon as a text has it, even "
    "one that may still change. Never late.",
    "speech": "The local start and end of human speech.",
    "ended": "The end of an utterance that has no text, and why.",
    "event": "Something happened.",
    "alert": "Something that a human must see, until it is cleared: then the payload is empty.",
    "muted": "Whether the microphone is closed on purpose.",
    "metrics": "The figures of the daemon, every 15 s.",
    "reply": "What became of a command that named no response topic.",
}


_LEVELS = {"alert": "alert/{code}", "word": "word/{word}"}


class Topic(NamedTuple):
    """One topic below the base."""

    address: str  #: with its parameters, as "alert/{code}"
    says: str
    rule: Rule  #: of what is published; of a command: as it is best sent
    command: bool = False


def _short(ask: Ask) -> str:
    """How the command may be said without JSON."""
    if ask.bare:
        return "A bare ON or OFF will do, in any case."
    return "An empty payload will do." if "{}" in ask.examples else ""


TOPICS: Mapping[str, Topic] = {
    **{name: Topic(_LEVELS.get(name, name), _SAYS[name], rule) for name, rule in RULES.items()},
    **{
        f"{COMMANDS}/{name}": Topic(
            f"{COMMANDS}/{name}",
            " ".join(filter(None, (ask.does, _short(ask), f"At most {MAX_BYTES} bytes."))),
            Rule(1, retain=False),
            command=True,
        )
        for name, ask in ASKS.items()
    },
}
"""Every topic, by its name: what is below the base, without parameters."""
