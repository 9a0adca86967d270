"""A thousand finals wait for the broker (G8, G9): each arrives, and a kill repeats at most one."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from scribed.model import (
    Answer,
    EarlierBoot,
    EndReason,
    Final,
    Provider,
    UtteranceEnded,
    UtteranceStarted,
)
from scribed.service.names import new_id
from scribed.store.ballast import Ballast
from scribed.store.ledger import Ledger
from tests.faults.asker import Asker
from tests.faults.bench import Bench

FINALS = 1000
PROVIDER = Provider("elevenlabs", "scribe_v2_realtime", "s")


def prepare(state: Path, first: int, count: int) -> dict[int, str]:
    """Finals of an earlier boot that no broker has; id by number."""
    boot = EarlierBoot("0" * 32, time.time() - 10_000, True)
    ids: dict[int, str] = {}
    items = []
    for seq in range(first, first + count):
        ids[seq] = id_ = new_id()
        started = UtteranceStarted(id_, seq, float(seq))
        ended = UtteranceEnded(id_, seq + 0.5, EndReason.COMMIT, 500)
        items.append(
            Final(
                started,
                ended,
                0,
                Answer(f"text {seq}"),
                "commit",
                1,
                PROVIDER,
                0.1,
                None,
                seq + 0.6,
            )
        )
    ledger = Ledger(state / "ledger.db", this_boot=lambda: boot, ballast=Ballast(state))
    ledger.settle(items)
    ledger.note_reserved(first + count)
    ledger.close()
    return ids


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_a_kill_between_publish_and_puback_repeats_one_final_at_most(
    tmp_path: Path, phrases: list[bytes], kills: int
) -> None:
    chance = random.Random(kills)
    with Bench(tmp_path, phrases, run=1, broker_proxy=True) as bench:
        bench.fresh()
        bench.settle()
        bench.stop()
        ids = prepare(bench.robot.state_directory, 100, FINALS)
        bench.broker.kill()
        bench.robot.start()
        bench.broker.start()

        def arrived() -> int:
            return len({m.payload["seq"] for m in bench.robot.on("late")})

        for _ in range(kills):
            enough = min(arrived() + chance.randrange(1, FINALS // (2 * kills)), FINALS - 1)
            bench.robot.wait_for(lambda: arrived() >= enough)  # noqa: B023
            bench.downlink.held_down = True
            seen = len(bench.robot.on("late"))
            bench.robot.subscriber.wait_for(lambda: len(bench.robot.on("late")) > seen, 0.3)  # noqa: B023
            bench.kill()
            bench.faults += 1
            bench.downlink.held_down = False
            bench.robot.start()
        bench.robot.subscriber.wait_for(lambda: arrived() == FINALS, 60)
        bench.microphone.listen()
        bench.fresh()
        late = [m.payload for m in bench.robot.on("late")]
        assert {p["seq"]: p["utterance_id"] for p in late} == ids
        first = list(dict.fromkeys(p["seq"] for p in late))
        assert first == sorted(first)
        again = sum(Counter(p["seq"] for p in late).values()) - FINALS
        bench.repeats = kills
        bench.conclude(f"broker: 1000 finals, {kills} kills", note=f"{again} repeats")
        assert again >= 1, "no acknowledgement was lost"


def test_restate_heals_a_broker_that_forgot_what_it_had_acknowledged(
    tmp_path: Path, phrases: list[bytes]
) -> None:
    sections = {"mqtt": {"commands": ["mute", "restate"]}}
    with Bench(tmp_path, phrases, run=1, sections=sections) as bench:
        for n in range(4):
            bench.say(n)
        bench.settle()
        bench.broker.kill()
        (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
        bench.broker.start()
        bench.faults = bench.repeats = 1
        bench.fresh()
        ids = {m.payload["seq"]: m.payload["utterance_id"] for m in bench.robot.finals}
        after = min(ids) - 1
        with Asker(bench.broker.port) as asker:
            assert asker.ask("restate", {"since_seq": after})["ok"]
            said = [m.payload for m in asker.on("reply") if "text" in m.payload]
        assert {p["seq"]: p["utterance_id"] for p in said} == ids
        assert all(p["restated"] for p in said)
        assert {p["late_reason"] for p in said} == {"restated"}
        bench.conclude("broker: forgot, restate", note=f"{len(said)} restated")
