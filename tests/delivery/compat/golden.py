"""What other stacks are told of one utterance, as it was when it was tried on them.

`python -m tests.delivery.compat.golden` writes the files anew: then try them again
(`pytest -m slow tests/delivery/compat`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scribed.delivery import payloads
from scribed.delivery.compat import home_assistant, ros
from scribed.delivery.compat.hermes import Hermes
from scribed.delivery.moment import Moment
from scribed.delivery.schemas import Transcript
from scribed.delivery.topics import Route
from scribed.model import Answer, Partial, Word
from tests.delivery.peers import IDENTITY, PROVIDER, final, started, uid

FOLDER = Path(__file__).with_name("golden")
NOW = Moment(now=812_347.011, wall=1_780_306_202.011, clock_synced=True)
ANSWER = Answer(
    "Turn left, please.",
    (
        Word("Turn", 40, 210, 0.95),
        Word("left,", 220, 480, None),
        Word("please.", 500, 900, 0.9),
    ),
    "en",
    "detected",
    0.93,
)


def transcript(answer: Answer = ANSWER) -> Transcript:
    """A final, said 371 ms ago."""
    spoken = final(7, at=812_346.640, answer=answer)
    route = Route("transcript", None, 4)
    return payloads.transcript(spoken, IDENTITY, NOW, route, more_speech=False)


def partial() -> Transcript:
    said = Partial(started(7, 812_346.0), 1, "Turn le", PROVIDER)
    return payloads.partial(said, IDENTITY, NOW)


def goldens() -> dict[str, Any]:
    """Each golden's name and what it is now: topic and payload."""
    site = Hermes(IDENTITY)
    up, down = (site.speech(uid(7), active=active) for active in (True, False))
    discovery = home_assistant.address("homeassistant", IDENTITY)
    said: dict[str, tuple[str, bytes]] = {
        "hermes_text": site.text(transcript()),
        "hermes_partial": site.partial(partial()),
        "hermes_up": up,
        "hermes_down": down,
        "ros_final": (f"{IDENTITY.base}/{ros.TOPIC}", ros.live_speech(transcript())),
        "ros_partial": (f"{IDENTITY.base}/{ros.TOPIC}", ros.live_speech(partial())),
        **{
            f"home_assistant_{name}": (
                discovery,
                home_assistant.document(IDENTITY, texts=name == "text", may_mute=name == "text"),
            )
            for name in ("status", "text")
        },
    }
    return {
        name: {"topic": topic, "payload": json.loads(payload)}
        for name, (topic, payload) in said.items()
    }


def frozen(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


if __name__ == "__main__":
    for each, now_is in goldens().items():
        text = json.dumps(now_is, indent=1, ensure_ascii=False)
        (FOLDER / f"{each}.json").write_text(text + "\n")
