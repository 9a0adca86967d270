"""In which words a parcel is said, where and until when: chosen each time it is offered. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from scribed.config import TranscriptSection
from scribed.delivery import cautions, payloads
from scribed.delivery.accounts import Accounts
from scribed.delivery.finals import Durable
from scribed.delivery.fits import Fits
from scribed.delivery.moment import Moment
from scribed.delivery.offers import Offer
from scribed.delivery.parcels import Address, Again, Answer, Parcel, Raised, Retained, Transient
from scribed.delivery.payloads import encode
from scribed.delivery.schemas import Transcript
from scribed.delivery.topics import RESTATED, RULES, Message, Route, route
from scribed.intervals import Doings, together
from scribed.model import Closed, Final, Identity, Outcome, Partial, RobotDid


class Wording:
    """The `publisher`'s; it looks at the accounts, at what the robot did and at who else listens.

    Earlier runs have delivered nothing above `highest_seq`. What is left out as too large for the
    broker is counted in `dropped`.
    """

    def __init__(
        self,
        identity: Identity,
        config: TranscriptSection,
        languages: Collection[str],
        *,
        accounts: Accounts,
        robot: Doings,
        fits: Fits,
        dropped: Counter[str],
        highest_seq: int,
    ) -> None:
        self.highest_seq = highest_seq  #: on `transcript`
        self.max_payload: int | None = None  #: that this broker takes
        self._dropped, self._text_seq = dropped, 0
        self._accounts, self._robot, self._fits = accounts, robot, fits
        self.retune(identity, config, languages)

    def retune(
        self, identity: Identity, config: TranscriptSection, languages: Collection[str]
    ) -> None:
        """Go by these from now on."""
        self._identity, self._languages = identity, languages
        self._stale_after_s = config.stale_after_s
        self._drop_late = config.late == "drop"  # then what would go to `late` ends as expired

    # What waits for its turn

    def offer(self, parcel: Parcel, moment: Moment, *, lean: bool, address: Address) -> Offer:
        """How to say `parcel` now: `lean` only if it has to be, or else the broker takes no more.

        `address` is where to say again what was asked for.
        """
        offer = self._offer(parcel, moment, address, lean=lean)
        if offer.too_large and not lean and isinstance(parcel, (Final, Again)):
            return self._offer(parcel, moment, address, lean=True)
        return offer

    def written(self, offer: Offer) -> None:
        """A final was written."""
        seq = offer.parcel.started.seq if isinstance(offer.parcel, Final) else 0
        if offer.message.topic == "transcript":
            self.highest_seq = seq
        if offer.text is not None:
            self._text_seq = seq

    def _offer(self, parcel: Parcel, moment: Moment, address: Address, *, lean: bool) -> Offer:
        text = None
        match parcel:
            case Final():
                message, text = self._final(parcel, moment, lean=lean)
            case Again():
                message = self._restated(parcel.item, moment, address, lean=lean)
            case _:
                message = self._plain(parcel, moment)
        limit = self.max_payload
        return Offer(parcel, message, text, limit is not None and message.size > limit)

    def _final(self, final: Final, moment: Moment, *, lean: bool) -> tuple[Message, Message | None]:
        seq, way = final.started.seq, self.route(final, moment)
        if way.topic == "late" and self._drop_late:
            end = Closed(final.started, final.ended, Outcome.EXPIRED)
            return self._end(end, moment), None
        said = self._transcript(final, moment, way, lean=lean)
        text, about = None, (final.started.id, seq)
        first = seq > self._text_seq and self._accounts.began_here(final.started.id)
        if way.topic == "transcript" and not said.caution and first:
            # Only what nobody can have said before: a plain text has no `seq` to tell.
            beside = self._small(self._fits.text(said, way.expiry_s))
            payload = said.text.encode()
            text = Message("text", payload, way.expiry_s, beside=beside, utterance=about)
        return Message(way.topic, encode(said), way.expiry_s, utterance=about), text

    def _restated(self, item: Durable, moment: Moment, to: Address, *, lean: bool) -> Message:
        if isinstance(item, Closed):
            end = self._end(item, moment)
            return end._replace(address=to.topic, correlation=to.correlation)
        said = self._transcript(item, moment, RESTATED, lean=lean)
        about = (item.started.id, item.started.seq)
        return Message("late", encode(said), None, to.topic, to.correlation, utterance=about)

    def _transcript(self, final: Final, moment: Moment, way: Route, *, lean: bool) -> Transcript:
        return payloads.transcript(
            final,
            self._identity,
            moment,
            way,
            more_speech=self.more_speech(final.started.seq),
            languages=self._languages,
            robot=self.robot_during(final),
            lean=lean,
        )

    def _plain(self, parcel: Closed | Transient | Retained | Answer, moment: Moment) -> Message:
        """The message of what is always said in the same words."""
        match parcel:
            case Closed():
                return self._end(parcel, moment)
            case Transient():
                left_s, about = _left_s(parcel.until, moment), parcel.utterance
                return Message(parcel.topic, parcel.payload, left_s, utterance=about)
            case Answer():
                left_s, address = _left_s(parcel.until, moment), parcel.address
                return Message("reply", parcel.payload, left_s, address.topic, address.correlation)
            case Retained():
                said = parcel.payload
                if isinstance(said, Raised):
                    said = encode(payloads.alert(said.alert, said.since, self._identity, moment))
                return Message(parcel.topic, said)

    def _end(self, closed: Closed, moment: Moment) -> Message:
        about = (closed.started.id, closed.started.seq)
        payload = encode(payloads.ended(closed, self._identity, moment))
        return Message("ended", payload, utterance=about)

    # What is written at once or never

    def partial(self, said: Partial, moment: Moment) -> Message | None:
        """A text that may still change; None: the broker does not take so much."""
        robot = self._robot.during(said.started.at, moment.now)
        told = payloads.partial(said, self._identity, moment, robot)
        expiry_s, about = RULES["partial"].expiry_s, (said.started.id, said.started.seq)
        beside = self._small(self._fits.partial(told))
        payload = encode(told)
        return self._if_small(Message("partial", payload, expiry_s, beside=beside, utterance=about))

    def metrics(self, values: dict[str, float], moment: Moment) -> Message | None:
        """Figures; None: the broker does not take so many."""
        payload = encode(payloads.metrics(values, self._identity, moment))
        return self._if_small(Message("metrics", payload, RULES["metrics"].expiry_s))

    def _if_small(self, message: Message) -> Message | None:
        return message if self._small((message,)) else None

    def _small(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Those that this broker takes."""
        limit = self.max_payload
        small = tuple(m for m in messages if limit is None or m.size <= limit)
        self._dropped["too_large"] += len(messages) - len(small)
        return small

    # What a text is judged by

    def route(self, final: Final, moment: Moment) -> Route:
        """Where it goes if it is written now."""
        return route(final, moment.now, self.highest_seq, self._stale_after_s)

    def more_speech(self, seq: int) -> bool:
        """Whether somebody has begun to speak since."""
        return self._accounts.youngest > seq

    def robot_during(self, final: Final) -> RobotDid:
        """What was known when the utterance ended, and what the robot has said since then."""
        started, ended = final.started, final.ended
        if started.boot is not None:  # by another clock
            return ended.robot
        return together(ended.robot, self._robot.during(started.at, ended.at))

    def cautions(self, final: Final, moment: Moment, robot: RobotDid) -> list[str]:
        """Why not to act on it."""
        more = self.more_speech(final.started.seq)
        return cautions.of_final(
            final, moment, more_speech=more, languages=self._languages, robot=robot
        )


def _left_s(until: float, moment: Moment) -> int:
    """The expiry of a message that nobody wants after `until`."""
    return max(round(until - moment.now), 1)
