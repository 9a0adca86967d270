"""Why a machine should not act on a text without asking. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

from scribed.delivery import answers
from scribed.delivery.moment import Moment
from scribed.echo import repeats
from scribed.model import EndReason, Final, Partial, RobotDid

NOTHING_KNOWN = RobotDid()
CLOCK_WAS_SET = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
"""A wall clock that is before this was plainly never set."""


def of_final(
    final: Final,
    moment: Moment,
    *,
    more_speech: bool,
    languages: Collection[str] = (),
    robot: RobotDid = NOTHING_KNOWN,
) -> list[str]:
    """Why a machine should not act on this text without asking; empty: nothing speaks against.

    `more_speech` is whether a younger utterance has started by now; `languages` are those that are
    spoken here, none: any; `robot` is what the robot did meanwhile.
    """
    return [
        name
        for name, applies in (
            ("cut", final.ended.reason is not EndReason.COMMIT),
            ("guessed", final.answer.guessed),
            ("audio_lost", final.ended.lost_ms > 0),
            ("robot_speaking", bool(robot.speaking)),
            ("robot_moving", bool(robot.moving)),
            ("echo_text", repeats(final.answer.text, robot.said)),
            ("language", answers.is_foreign(final.answer, languages)),
            ("more_speech", more_speech),
            ("unsynced", moment.there(final.started).unix(final.ended.at) < CLOCK_WAS_SET),
        )
        if applies
    ]


def of_partial(said: Partial, moment: Moment, robot: RobotDid, *, more_speech: bool) -> list[str]:
    """What speaks against a text that may still change, as far as that is known yet."""
    found = {
        "robot_speaking": bool(robot.speaking),
        "robot_moving": bool(robot.moving),
        "echo_text": repeats(said.text, robot.said),
        "more_speech": more_speech,
        "unsynced": moment.unix(said.started.at) < CLOCK_WAS_SET,
    }
    return [name for name, applies in found.items() if applies]
