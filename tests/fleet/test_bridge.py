"""Two real brokers and a bridge, through losses of each: no final is lost, none is old.

The configurations are those of docs/examples/fleet; the daemon's delivery is the real one.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scribed.model import Final, Reply, Restated
from tests.delivery.peers import Rig, final, started, wait_for
from tests.fleet.brokers import Client, Fleet

TRANSCRIPT, LATE = "/transcript", "/late"
COMMANDS = "scribed/r7/mic/cmd"


def says(rig: Rig, seqs: range) -> list[Final]:
    """Deliver a final of each number, and wait until the robot's broker has them."""
    now = rig.now()
    finals = [final(seq, now, f"number {seq}") for seq in seqs]
    for each in finals:
        rig.post(started(each.started.seq, now - 1), each)
    rig.delivers(len(finals))
    return finals


def seqs(client: Client, *ends: str) -> list[int]:
    """What came, in order, each once: as a consumer that remembers the highest has it."""
    found: dict[int, None] = {}
    for message in list(client.received):
        if message.topic.endswith(ends):
            found.setdefault(message.payload["seq"])
    return list(found)


def restates(rig: Rig, finals: list[Final]) -> None:
    """Answer a `restate` as the store would."""
    command = rig.asked()
    assert command.name == "restate"
    since = command.args["since_seq"]
    kept = tuple(each for each in finals if each.started.seq > since)
    command.answer.put(Restated(command.token, kept))


def test_what_a_site_needs_crosses_the_bridge_and_bare_words_do_not(fleet: Fleet) -> None:
    with (
        fleet.at_edge("stack", "scribed/#") as stack,
        fleet.at_site("recorder", "scribed/#") as recorder,
        fleet.at_site("control", "scribed/r7/mic/reply") as control,
        fleet.daemon(stale_after_s=5.0) as rig,
    ):
        says(rig, range(1, 2))
        stack.waits_for(lambda: stack.of("/text"), "the text on the robot")
        recorder.waits_for(lambda: recorder.of(TRANSCRIPT), "the transcript at the site")
        (said,) = recorder.of(TRANSCRIPT)
        assert said.expiry_s is not None
        assert 1 <= said.expiry_s <= 5
        assert control.says(f"{COMMANDS}/flush", '{"req": "r-1"}') == "Success"
        command = rig.asked()
        assert command.name == "flush"
        command.answer.put(Reply(command.token, {"flushed": False}))
        control.waits_for(lambda: control.received, "the reply at the site")
        assert control.received[0].payload["req"] == "r-1"
        recorder.waits_for(lambda: recorder.of("/reply"), "the reply, to each who reads it")
    recorder_heard = {m.topic.removeprefix("scribed/r7/mic/") for m in recorder.received}
    assert {"status", "transcript", "reply"} <= recorder_heard
    assert not {name for name in recorder_heard if name.split("/")[0] in ("text", "word")}


def test_home_assistant_at_the_site_finds_the_robot_and_is_heard_by_it(fleet: Fleet) -> None:
    device = "homeassistant/device/scribed-r7/mic/config"
    with (
        fleet.at_site("home", "homeassistant/device/#") as home,
        fleet.daemon(home_assistant="status") as rig,
    ):
        rig.online()
        home.waits_for(lambda: home.last(device), "the device")
        assert home.says("homeassistant/status", "online") == "Success"
        home.waits_for(lambda: len(home.of("/config")) == 2, "the device, once more")
        wait_for(lambda: rig.delivery.report.metrics()["scribed_mqtt_home_assistant_total"] == 2)
        assert home.says(f"{COMMANDS}/mute", '{"on": true}') == "Success"
        assert rig.asked().name == "mute"


def test_who_speaks_hermes_on_the_robot_is_heard_and_told(fleet: Fleet) -> None:
    with fleet.at_edge("stack", "hermes/#") as stack, fleet.daemon(hermes=True, ros=True) as rig:
        rig.online()
        says(rig, range(1, 2))
        stack.waits_for(lambda: stack.of("/textCaptured"), "the text")
        stack.waits_for(lambda: stack.of("/vadUp"), "the start of speech")
        told = rig.delivery.report.metrics
        wait_for(
            lambda: (
                (told()["scribed_mqtt_hermes_total"], told()["scribed_mqtt_ros_total"]) == (2, 1)
            )
        )
        assert stack.says("hermes/asr/toggleOff", '{"siteId": "r7-mic"}') == "Success"
        assert rig.asked().name == "mute"


def test_a_link_that_breaks_again_and_again_loses_and_reorders_nothing(fleet: Fleet) -> None:
    with fleet.at_site("recorder", "scribed/#") as recorder, fleet.daemon() as rig:
        for begin in (1, 41, 81):
            says(rig, range(begin, begin + 20))
            fleet.link.cut()
            says(rig, range(begin + 20, begin + 40))
        recorder.waits_for(lambda: len(seqs(recorder, TRANSCRIPT)) == 120, "all of them")
        assert seqs(recorder, TRANSCRIPT) == list(range(1, 121))


def stop_site(fleet: Fleet) -> Callable[[], None]:
    fleet.site.stop()
    return fleet.site.start


def restart_the_robots_broker_meanwhile(fleet: Fleet) -> Callable[[], None]:
    fleet.site.stop()

    def back() -> None:
        fleet.edge.restart()
        fleet.site.start()

    return back


@pytest.mark.parametrize("fault", [stop_site, restart_the_robots_broker_meanwhile])
def test_finals_wait_at_the_robot_until_the_site_is_back(
    fleet: Fleet, fault: Callable[[Fleet], Callable[[], None]]
) -> None:
    with (
        fleet.at_site("recorder", "scribed/#", name="recorder") as recorder,
        fleet.daemon() as rig,
    ):
        says(rig, range(1, 11))
        recorder.waits_for(lambda: len(seqs(recorder, TRANSCRIPT)) == 10, "the first")
        back = fault(fleet)
        says(rig, range(11, 51))
        back()
        rig.online()
        says(rig, range(51, 61))
        recorder.waits_for(lambda: len(seqs(recorder, TRANSCRIPT)) == 60, "all of them")
        assert seqs(recorder, TRANSCRIPT) == list(range(1, 61))


def test_what_waited_for_too_long_is_never_an_order_and_comes_when_it_is_asked_for(
    fleet: Fleet,
) -> None:
    with (
        fleet.at_site("control", "scribed/#", name="control") as control,
        fleet.daemon(stale_after_s=1.0) as rig,
    ):
        fleet.site.stop()
        finals = says(rig, range(1, 11))
        over_at = rig.now() + 2.5  # the expiry is 1 s, and brokers count whole ones
        wait_for(lambda: rig.now() > over_at)
        fleet.site.start()
        control.waits_for(lambda: control.last("fleet/r7/bridge") != 0, "the bridge")
        wait_for(lambda: _crosses(rig, control, finals), "a final across the bridge", 20)
        heard = seqs(control, TRANSCRIPT)
        assert heard
        assert min(heard) > 10
        assert control.says(f"{COMMANDS}/restate", '{"since_seq": 0}') == "Success"
        restates(rig, finals)
        control.waits_for(lambda: len(seqs(control, LATE)) == len(finals), "the old ones")
        assert seqs(control, LATE) == [each.started.seq for each in finals]
        assert {m.payload["late_reason"] for m in control.of(LATE)} == {"restated"}


def _crosses(rig: Rig, control: Client, finals: list[Final]) -> bool:
    """Whether a final that is said now comes to the site in time."""
    finals += says(rig, range(len(finals) + 1, len(finals) + 2))
    newest = finals[-1].started.seq
    return control.wait_for(lambda: newest in seqs(control, TRANSCRIPT), 0.5)


@pytest.mark.parametrize("killed", ["edge", "site"])
def test_what_a_broker_forgot_that_was_killed_is_healed_by_one_command(
    fleet: Fleet, killed: str
) -> None:
    with fleet.at_site("control", "scribed/#", name="control") as control, fleet.daemon() as rig:
        finals = says(rig, range(1, 11))
        control.waits_for(lambda: len(seqs(control, TRANSCRIPT)) == 10, "the first")
        if killed == "edge":
            fleet.site.stop()
        else:
            fleet.site.kill()
        finals += says(rig, range(11, 31))
        if killed == "edge":
            fleet.edge.kill()
            fleet.edge.start()
        fleet.site.start()
        rig.online()
        wait_for(lambda: _crosses(rig, control, finals), "a final across the bridge", 20)
        assert seqs(control, TRANSCRIPT) == sorted(seqs(control, TRANSCRIPT))
        assert control.says(f"{COMMANDS}/restate", '{"since_seq": 10}') == "Success"
        restates(rig, finals)
        all_of_them = {each.started.seq for each in finals}
        control.waits_for(
            lambda: set(seqs(control, TRANSCRIPT, LATE)) == all_of_them, "all of them"
        )
        assert rig.delivery.report.balance == 0


def test_a_robot_whose_bridge_is_down_is_told_from_one_that_is_online(fleet: Fleet) -> None:
    with (
        fleet.at_site("dashboard", "fleet/#") as fleets,
        fleet.at_site("dashboard", "scribed/+/+/status") as robots,
        fleet.daemon() as rig,
    ):
        rig.online()
        robots.waits_for(lambda: robots.last("scribed/r7/mic/status") == "online", "online")
        fleet.edge.kill()
        fleets.waits_for(lambda: fleets.last("fleet/r7/bridge") == 0, "the bridge's will")
        assert robots.last("scribed/r7/mic/status") == "online"
        fleet.edge.start()
        fleets.waits_for(lambda: fleets.last("fleet/r7/bridge") == 1, "the bridge")
