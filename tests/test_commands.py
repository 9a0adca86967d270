"""What the daemon is asked for goes to whoever carries it out; what is refused is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scribed import clock
from scribed.capture.orders import Flush, Listen, Mute, Robot
from scribed.changes import with_values
from scribed.commands import MUTE_FACT, TEXT_CHARS, Commands, mute_reasons
from scribed.config import Config
from scribed.delivery.commands import COMMANDS, LOG_MS
from scribed.delivery.schemas import Muted
from scribed.errors import ConfigError, ScribedError
from scribed.model import Command, CommandError, Outcome, Reply, RobotDoes
from scribed.recording import Record
from scribed.store.worker import Remember
from scribed.uplink.waiting import Purge
from scribed.worker import Mailbox


class Written:
    """What the configuration says, and what counts instead."""

    def __init__(self) -> None:
        self.config = Config()
        self.overrides: list[tuple[str, object]] = []
        self.levels: list[str | None] = []
        self.fault: ScribedError | None = None

    def override(self, key: str, value: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.overrides.append((key, value))
        if value is not None:
            self.config = with_values(self.config, {key: value})

    def set_log_level(self, level: str | None) -> None:
        self.levels.append(level)


class Office:
    """Commands, and the mailboxes of those who carry them out."""

    def __init__(self, muted: tuple[str, ...] = ()) -> None:
        self.mailboxes: dict[str, Mailbox[Any]] = {
            name: Mailbox()
            for name in ("main", "capture", "uplink", "store", "delivery", "answers")
        }
        self.written = Written()
        self.commands = Commands(
            mailbox=self.mailboxes["main"],
            capture=self.mailboxes["capture"],
            uplink=self.mailboxes["uplink"],
            store=self.mailboxes["store"],
            delivery=self.mailboxes["delivery"],
            state=lambda: {"hearing": True},
            reloading=self.written,
            muted=muted,
        )

    def ask(self, name: str, args: dict[str, Any] | None = None, *, local: bool = True) -> Command:
        command = Command(name, args or {}, local, self.mailboxes["answers"], 7)
        self.commands.take(command)
        return command

    def mail(self, name: str) -> list[Any]:
        return self.mailboxes[name].drain()

    def close_the_microphone(self) -> Mute:
        """Capture does as it is told; what it was told."""
        (order,) = self.mail("capture")
        assert isinstance(order, Mute)
        order.done()
        self.relay()
        return order

    def relay(self) -> None:
        for reply in self.mail("main"):
            self.commands.carried_out(reply)

    @property
    def refusal(self) -> str:
        (reply,) = self.mail("answers")
        assert isinstance(reply, Reply)
        assert reply.error is not None
        return reply.error.code

    def close(self) -> None:
        for mailbox in self.mailboxes.values():
            mailbox.close()


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def test_a_mute_is_answered_when_the_microphone_is_closed_and_it_is_remembered(
    office: Office,
) -> None:
    command = office.ask("mute", {"on": True})
    assert office.mail("answers") == []
    assert office.close_the_microphone().on
    assert office.mail("answers") == [], "it must survive a power cut first"
    assert office.mail("store") == [Remember(MUTE_FACT, '["local"]', command)]
    assert office.mail("delivery") == [Muted(on=True, reasons=("local",))]
    assert office.commands.muted == ("local",)


def test_what_was_remembered_is_read_again_and_nonsense_leaves_the_ear_open() -> None:
    assert mute_reasons('["local","mqtt"]') == ("local", "mqtt")
    assert mute_reasons(None) == ()
    assert mute_reasons("no list") == ()


def test_a_mute_set_on_the_machine_is_lifted_only_there(office: Office) -> None:
    office.ask("mute", {"on": True})
    office.close_the_microphone()
    office.mail("answers")
    office.ask("mute", {"on": False}, local=False)
    assert office.refusal == "not_allowed"
    assert office.mail("capture") == []
    office.ask("mute", {"on": False})
    assert not office.close_the_microphone().on
    assert office.commands.muted == ()


def test_a_mute_from_the_broker_is_lifted_from_either_side() -> None:
    for local in (True, False):
        office = Office(muted=("mqtt",))
        office.ask("mute", {"on": False}, local=local)
        assert not office.close_the_microphone().on
        office.close()


def test_a_mute_can_drop_what_waits_too(office: Office) -> None:
    office.ask("mute", {"on": True, "purge": True}, local=False)
    assert office.mail("uplink") == [Purge(None, Outcome.MUTED)]


@pytest.mark.parametrize("args", [{}, {"on": "perhaps"}, {"on": 1}])
def test_a_mute_that_says_not_what_changes_nothing(office: Office, args: dict[str, Any]) -> None:
    office.ask("mute", args)
    assert office.refusal == "malformed"
    assert office.mail("capture") == []


def test_a_microphone_that_can_no_longer_be_closed_is_told(office: Office) -> None:
    office.ask("mute", {"on": True})
    (order,) = office.mail("capture")
    order.too_late()
    for reply in office.mail("main"):
        office.commands.carried_out(reply)
    assert office.refusal == "failed"


def test_each_command_goes_to_whoever_carries_it_out(office: Office) -> None:
    flush = office.ask("flush")
    assert office.mail("capture") == [Flush(flush)]
    ls, restate = office.ask("spool", {"verb": "ls"}), office.ask("restate", {"since_seq": 3})
    assert office.mail("store") == [ls, restate]
    office.ask("state")
    assert office.mail("answers") == [Reply(7, {"hearing": True})]


def test_what_the_robot_does_goes_to_those_who_hear_and_those_who_tell(office: Office) -> None:
    before = clock.now()
    asked = {"on": True, "id": "tts-42", "ttl_ms": 1500, "text": "x" * 5000}
    command = office.ask("robot_speaking", asked, local=False)
    (order,) = office.mail("capture")
    (does,) = office.mail("delivery")
    assert order == Robot(does, command)
    assert before <= does.at <= clock.now()
    text = "x" * TEXT_CHARS
    assert does == RobotDoes("speaking", True, does.at, "tts-42", 1.5, text)
    office.ask("robot_moving", {"on": False})
    (does,) = office.mail("delivery")
    assert does == RobotDoes("moving", False, does.at)


def test_the_robot_s_signal_is_known_once_it_was_given(office: Office) -> None:
    assert office.commands.echo_signal == "never"
    office.ask("robot_moving", {"on": True})
    office.ask("robot_speaking", {"on": "perhaps"})
    assert office.commands.echo_signal == "never"
    office.ask("robot_speaking", {"on": False})
    assert office.commands.echo_signal == "ok"


def test_a_window_is_opened_from_when_it_was_asked_for(office: Office) -> None:
    before = clock.now()
    command = office.ask("listen", {"ttl_ms": 0})
    (order,) = office.mail("capture")
    assert before <= order.at <= clock.now()
    assert order == Listen(order.at, 0.0, command)
    office.ask("listen")
    assert office.mail("capture")[0].ttl_s is None


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("robot_speaking", {}),
        ("robot_speaking", {"on": True, "ttl_ms": 0}),
        ("robot_moving", {"on": True, "id": 7}),
        ("listen", {"ttl_ms": "long"}),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    office: Office, name: str, args: dict[str, Any]
) -> None:
    office.ask(name, args)
    assert office.refusal == "malformed"
    assert office.mail("capture") == office.mail("delivery") == []


def test_a_purge_is_the_uplink_s_since_it_owns_what_waits(office: Office) -> None:
    some = office.ask("spool", {"verb": "purge", "ids": ["01A", 5]})
    all_ = office.ask("spool", {"verb": "purge", "ids": None})
    first, second = office.mail("uplink")
    assert (first.ids, first.outcome) == (frozenset({"01A", "5"}), Outcome.EVICTED)
    first.command.answer.put(Reply(first.command.token, {"purged": 1}))
    office.relay()
    (aside,) = office.mail("store")  # what is set aside is the store's, where it is named
    assert aside.args == some.args
    aside.answer.put(Reply(aside.token, {"purged": 1}))
    office.relay()
    assert office.mail("answers") == [Reply(7, {"purged": 2})]
    assert second.ids is None
    second.command.answer.put(Reply(second.command.token, {"purged": 3}))
    office.relay()
    assert office.mail("store") == []
    assert office.mail("answers") == [Reply(all_.token, {"purged": 3})]
    office.ask("spool", {"verb": "purge", "ids": "all"})
    assert office.refusal == "malformed"


def test_what_does_not_exist_is_refused_with_what_does(office: Office) -> None:
    office.ask("dance")
    (reply,) = office.mail("answers")
    assert reply.error.code == "unknown"
    assert ", ".join((*COMMANDS, "spool")) in reply.error.message


def test_a_recording_is_made_by_who_hears(office: Office) -> None:
    command = office.ask("record")
    assert office.mail("capture") == [Record("command", "", command)]


def test_what_counts_instead_of_the_configuration_is_told(office: Office) -> None:
    office.ask("set_language", {"language": "fr"})
    office.ask("set_keyterms", {"keyterms": ["docking station"]})
    assert office.written.overrides == [
        ("provider.language", "fr"),
        ("provider.elevenlabs.keyterms", ("docking station",)),
    ]
    assert office.mail("answers") == [
        Reply(7, {"language": "fr"}),
        Reply(7, {"keyterms": ("docking station",)}),
    ]
    office.ask("set_language", {"language": None})
    assert office.written.overrides[-1] == ("provider.language", None)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set_language", {}),
        ("set_language", {"language": "french"}),
        ("set_keyterms", {"keyterms": "one"}),
        ("set_keyterms", {"keyterms": [1]}),
        ("log_level", {"level": "loud"}),
        ("log_level", {"level": "debug", "ttl_ms": 0}),
    ],
)
def test_what_cannot_count_changes_nothing(office: Office, name: str, args: dict[str, Any]) -> None:
    office.ask(name, args)
    assert office.refusal == "malformed"
    assert not office.written.overrides
    assert not office.written.levels


def test_what_the_configuration_does_not_take_is_refused_in_its_words(office: Office) -> None:
    office.written.fault = ConfigError(["provider.elevenlabs.keyterms: 51 are too many"])
    office.ask("set_keyterms", {"keyterms": ["word"] * 51})
    (reply,) = office.mail("answers")
    assert reply.error == CommandError("malformed", "provider.elevenlabs.keyterms: 51 are too many")
    office.written.fault = ScribedError("provider.ca_file: gone")
    office.ask("set_language", {"language": "fr"})
    assert office.refusal == "failed"


def test_a_service_without_keyterms_says_so(office: Office) -> None:
    office.written.config = with_values(Config(), {"provider.name": "openmind"})
    office.ask("set_keyterms", {"keyterms": ["word"]})
    assert office.refusal == "failed"
    assert office.written.overrides == []


def test_a_level_of_the_log_lasts_its_time_and_no_longer(office: Office) -> None:
    office.ask("log_level", {"level": "debug", "ttl_ms": 5000})
    until = office.commands.wake_at
    assert clock.now() + 4 < until <= clock.now() + 5
    assert office.mail("answers") == [Reply(7, {"level": "debug", "ttl_ms": 5000})]
    assert not office.commands.keep_time(until - 0.1)
    assert office.written.levels == ["debug"]
    assert office.commands.keep_time(until)
    assert office.written.levels == ["debug", None]
    assert not office.commands.keep_time(until + 100)


def test_a_level_of_the_log_can_be_ended_at_once(office: Office) -> None:
    office.ask("log_level", {"level": "debug"})
    office.ask("log_level", {"level": None})
    assert office.written.levels == ["debug", None]
    assert office.mail("answers") == [
        Reply(7, {"level": "debug", "ttl_ms": LOG_MS}),
        Reply(7, {"level": "info", "ttl_ms": None}),
    ]
    assert not office.commands.keep_time(clock.now() + 1e6)
