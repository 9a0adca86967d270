"""Fast words: words of command, told as soon as a live text has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scribed.delivery import payloads
from scribed.delivery.moment import Moment
from scribed.delivery.parcels import Transient
from scribed.delivery.payloads import encode
from scribed.delivery.topics import WORD_EXPIRY_S
from scribed.model import Final, Identity, Partial, RobotDid, UtteranceId
from scribed.text import slug, words

CIRCUMSTANCES = frozenset(["robot_speaking", "robot_moving", "more_speech", "unsynced"])
"""Cautions that say how things were, not that the words may be others: "stop" is meant for a robot
that moves, and who shouts it again has not taken it back. A word is told with these, and with no
other."""
REMEMBERED = 64
"""Utterances of which is known what was told: more than are live at once."""


class FastWords:
    """The phrases that are looked for, and in which utterances they were told."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._told: dict[UtteranceId, set[str]] = {}
        self.choose(phrases)

    def choose(self, phrases: Iterable[str]) -> None:
        """Look for these from now on."""
        self._phrases = {slug(phrase): (phrase, words(phrase)) for phrase in phrases}

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def messages(
        self,
        said: Partial | Final,
        caution: list[str],
        robot: RobotDid,
        identity: Identity,
        moment: Moment,
        *,
        fresh_s: float = WORD_EXPIRY_S,
    ) -> Iterator[Transient]:
        """What to tell of `said`, a text that is live for `fresh_s` more: each word once in its
        utterance, none that is in doubt or that the robot said itself."""
        if not CIRCUMSTANCES.issuperset(caution):
            return
        text = said.answer.text if isinstance(said, Final) else said.text
        heard, own = words(text), [words(each) for each in robot.said]
        until = moment.now + min(fresh_s, WORD_EXPIRY_S)
        for level, (phrase, sought) in self._phrases.items():
            if not _has(heard, sought) or any(_has(each, sought) for each in own):
                continue
            if self._first(said.started.id, level):
                payload = encode(
                    payloads.word(said, phrase, identity, moment, caution=caution, until=until)
                )
                about = (said.started.id, said.started.seq)
                yield Transient(f"word/{level}", payload, until, about)

    def _first(self, id: UtteranceId, level: str) -> bool:
        """Whether this is the first time in this utterance; from now on it is not."""
        told = self._told.setdefault(id, set())
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        first = level not in told
        told.add(level)
        return first


def _has(heard: list[str], sought: list[str]) -> bool:
    """Whether the words `sought` are in `heard`, one after the other."""
    size = len(sought)
    return any(heard[at : at + size] == sought for at in range(len(heard) - size + 1))
