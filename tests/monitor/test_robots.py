"""How a robot is, from what it says: golden messages of the contract, and hostile ones."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scribed.contract.examples import payloads_of
from scribed.delivery.bases import Address
from scribed.monitor import lines, screen
from scribed.monitor.messages import NotUnderstood
from scribed.monitor.robots import FINE, ROBOTS, TROUBLE, WARNING, Look, Microphone, Microphones
from scribed.monitor.safe import shown

NOW, WALL = 1000.0, 1_780_306_204.0
EXAMPLES = payloads_of()


def took(*said: tuple[str, bytes], retained: bool = False) -> Microphone:
    microphone = Microphone("r7/mic")
    for below, payload in said:
        microphone.take(below, payload, retained=retained, now=NOW, wall=WALL)
    return microphone


def example(topic: str, **other: object) -> bytes:
    """The contract's own message with other values."""
    return json.dumps({**json.loads(EXAMPLES[topic][0]), **other}).encode()


ONLINE = ("status", b"online")
STATE = ("state", EXAMPLES["state"][0])


def test_every_message_of_the_contract_is_understood() -> None:
    for topic, payloads in EXAMPLES.items():
        for payload in payloads:
            microphone = took((topic if topic != "alert" else "alert/no_device", payload))
            assert microphone.odd == 0


@pytest.mark.parametrize(
    ("said", "words", "trouble"),
    [
        ([], "not known to be online", TROUBLE),
        ([ONLINE], "online, no state yet", WARNING),
        ([ONLINE, STATE], "hears", FINE),
        ([("status", b"offline"), STATE], "OFFLINE", TROUBLE),
        (
            [ONLINE, ("state", example("state", hearing=False, hearing_reason="stalled"))],
            "DOES NOT HEAR (stalled)",
            TROUBLE,
        ),
        (
            [ONLINE, ("state", example("state", hearing=False, hearing_reason="muted"))],
            "DOES NOT HEAR (muted)",
            WARNING,
        ),
        ([ONLINE, ("state", example("state", hearing=None))], "starting", WARNING),
        (
            [ONLINE, ("state", example("state", link={"state": "refused"}))],
            "hears, link refused",
            TROUBLE,
        ),
    ],
)
def test_its_health_is_the_worst_thing_that_is_true(
    said: list[tuple[str, bytes]], words: str, trouble: int
) -> None:
    health = took(*said).health(NOW)
    assert (health.words, health.trouble) == (words, trouble)


def test_an_online_robot_whose_state_does_not_come_any_more_is_in_trouble() -> None:
    assert took(ONLINE, STATE).health(NOW + 40).trouble == FINE
    assert took(ONLINE, STATE).health(NOW + 90).words == "SILENT: its state is 90 s old"


def test_the_age_of_what_was_retained_is_by_its_own_time() -> None:
    fresh, kept = took(STATE), took(STATE, retained=True)
    assert fresh.age_s(NOW) == 0
    assert kept.age_s(NOW) == pytest.approx(1.989)
    assert kept.last_text_age_s(NOW) == pytest.approx(3.2 + 1.989)
    assert took(("state", example("state", t="yesterday")), retained=True).age_s(NOW) is None


def test_a_partial_grows_until_its_final_comes() -> None:
    microphone = took(("speech", EXAMPLES["speech"][0]))
    assert microphone.utterance(NOW) == ""
    microphone.take("partial", EXAMPLES["partial"][0], retained=False, now=NOW, wall=WALL)
    assert microphone.utterance(NOW) == "Turn le"
    assert microphone.utterance(NOW + 61) is None
    microphone.take("transcript", EXAMPLES["transcript"][0], retained=False, now=NOW, wall=WALL)
    assert microphone.utterance(NOW) is None
    assert lines.words(microphone.finals[-1]) == "#1841 Turn left, please."


def test_why_not_to_act_stands_beside_the_text() -> None:
    microphone = took(
        ("late", EXAMPLES["late"][0]), ("transcript", example("transcript", caution=["cut"]))
    )
    late, cut = map(lines.words, microphone.finals)
    assert late == "#1841 Turn left, please.  [stale, more_speech]"
    assert cut == "#1841 Turn left, please.  [cut]"


def test_what_comes_twice_is_listed_once() -> None:
    said = ("transcript", EXAMPLES["transcript"][0])
    assert len(took(said, said).finals) == 1


def test_an_alert_stands_until_it_is_emptied() -> None:
    microphone = took(ONLINE, STATE, ("alert/no_device", EXAMPLES["alert"][0]))
    assert microphone.trouble(NOW) == TROUBLE
    assert "plug one in" in lines.alert_words("no_device", microphone.alerts["no_device"])
    microphone.take("alert/no_device", b"", retained=False, now=NOW, wall=WALL)
    assert microphone.trouble(NOW) == FINE


def test_the_worst_come_first() -> None:
    everybody = Microphones()
    for name, said in (("a/mic", [ONLINE, STATE]), ("b/mic", [ONLINE]), ("c/mic", [])):
        microphone = everybody.named(name)
        assert microphone is not None
        for below, payload in said:
            microphone.take(below, payload, retained=False, now=NOW, wall=WALL)
    assert [each.name for each in everybody.sorted(NOW)] == ["c/mic", "b/mic", "a/mic"]


def test_changes_are_told_once() -> None:
    microphone, changes = took(ONLINE, STATE), lines.Changes()
    assert changes.since([microphone], NOW) == [("r7/mic", "state      hears")]
    assert changes.since([microphone], NOW) == []
    (silent,) = changes.since([microphone], NOW + 90)
    assert "SILENT" in silent[1]
    assert changes.since([microphone], NOW + 91) == []


def test_there_is_a_bound_to_how_many_are_kept() -> None:
    everybody = Microphones()
    kept = [everybody.named(f"r{n}/mic") for n in range(ROBOTS + 2)]
    assert kept.count(None) == 2
    assert everybody.too_many


def test_an_event_is_told_with_what_belongs_to_it() -> None:
    assert lines.line("event", EXAMPLES["event"][0], None) == (
        'event      audio_gap lost_ms: 120, cause: "overrun"'
    )


TOPICS = st.sampled_from([*EXAMPLES, "alert/x", "word/\x1b[2J", "later/version"])
HOSTILE = st.text() | st.sampled_from(["\x1b]0;x\x07", "[red]", "\u202eabc", "a" + "\u0301" * 99])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=8,
)


@given(TOPICS, st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_whatever_are_more_than_not_understood(topic: str, payload: bytes) -> None:
    microphone, why = Microphone("r7/mic"), ""
    try:
        microphone.take(topic, payload, retained=False, now=NOW, wall=WALL)
    except NotUnderstood as exc:
        why = shown(str(exc))
    assert is_plain(why)
    assert microphone.odd == bool(why)


@given(st.sampled_from([t for t in EXAMPLES if "/" not in t]), st.data())
def test_no_value_of_a_stranger_s_reaches_the_terminal_as_it_is(
    topic: str, data: st.DataObject
) -> None:
    try:
        said = json.loads(EXAMPLES[topic][0])
    except ValueError:
        return  # plain text: either of two words, or not shown
    if not isinstance(said, dict):
        return
    field = data.draw(st.sampled_from(sorted(said)))
    payload = json.dumps({**said, field: data.draw(VALUES)}).encode()
    microphone = Microphone(data.draw(HOSTILE))
    below = "alert/" + data.draw(HOSTILE) if topic == "alert" else topic
    try:
        passed = microphone.take(below, payload, retained=False, now=NOW, wall=WALL)
        line = lines.line(below, payload, passed)
    except NotUnderstood as exc:
        line = shown(str(exc))
    assert is_plain(lines.stamped(WALL, microphone.name, line or ""))
    for in_full in (True, False):
        picture = drawn(Look("hub", "lost \x1b[2J", [microphone], in_full, NOW))
        assert all(map(is_plain, picture.splitlines()))


@given(TOPICS, st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_line_of_json_is_ascii_and_json(topic: str, payload: bytes) -> None:
    line = lines.as_json(Address("r7\x1b", "mic", topic), payload, retained=False)
    assert is_plain(line)
    assert line.isascii()
    assert json.loads(line)["topic"] == topic


def test_markup_is_text() -> None:
    microphone = took(ONLINE, STATE, ("transcript", example("transcript", text="[bold]x[/bold]")))
    picture = drawn(Look("hub", None, [microphone], True, NOW))
    assert "[bold]x[/bold]" in picture


def test_a_picture_has_what_a_person_wants_to_know() -> None:
    microphone = took(
        ONLINE,
        STATE,
        ("alert/no_device", EXAMPLES["alert"][0]),
        ("late", EXAMPLES["late"][0]),
        ("partial", example("partial", seq=1842)),
    )
    full = drawn(Look("hub:1883", None, [microphone], True, NOW))
    for words in (
        "hears",
        "-52 dBFS over a noise floor of -58",
        "connected",
        "… Turn le",
        "what to do: plug one in",
        "late #1841 Turn left, please.  [stale, more_speech]",
        "last transcript 3 s ago",
    ):
        assert words in full
    deaf = took(
        ONLINE, ("state", example("state", hearing=False, hearing_reason="stalled", heard=None))
    )
    assert "the microphone is open and gives nothing" in drawn(Look("", None, [deaf], True, NOW))
    table = drawn(Look("hub:1883", None, [microphone], False, NOW))
    assert "r7/mic" in table
    assert "hears, no_device" in table


def test_a_small_terminal_says_how_many_are_not_shown() -> None:
    robots = [Microphone(f"r{n}/mic") for n in range(30)]
    assert "… 24 more" in drawn(Look("hub", None, robots, False, NOW), height=10)


def drawn(look: Look, height: int = 40) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120, height=height, force_terminal=True, color_system=None)
    console.print(screen.drawn(look, height))
    return out.getvalue()


def is_plain(line: str) -> bool:
    """Whether a terminal only prints it."""
    return not any(
        unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp")
        or (unicodedata.category(c) == "Cf" and c not in "\u200c\u200d")
        for c in line
    )


def test_a_robot_whose_bridge_is_down_may_say_online_and_is_in_trouble() -> None:
    known = Microphones()
    known.bridged("r7", b"0")
    cut_off, other = known.named("r7/mic", "r7"), known.named("r8/mic", "r8")
    assert cut_off is not None
    assert other is not None
    for each in (cut_off, other):
        for below, payload in (ONLINE, STATE):
            each.take(below, payload, retained=False, now=NOW, wall=WALL)
    said = cut_off.health(NOW + 5)
    assert (said.words, said.trouble) == ("BRIDGE DOWN: its state is 5 s old", TROUBLE)
    assert other.health(NOW).words == "hears"
    known.bridged("r7", b"nonsense")
    assert cut_off.is_cut_off
    known.bridged("r7", b"1")
    assert cut_off.health(NOW).words == "hears"
    known.bridged("r8", b"0")
    known.disconnected()
    assert not other.is_cut_off
