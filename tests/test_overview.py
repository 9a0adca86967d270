"""How the daemon is, in one word and in one line: the worst that is true comes first."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed import overview
from scribed.capture.hearing import Hearing
from scribed.capture.proof import Fault, Kind, Sound
from scribed.delivery.schemas import Backlog, State
from scribed.model import Device, Link, LinkState, pcm_bytes
from scribed.uplink.report import Tally, UplinkReport

NOW = 1000.0
CONSTANTS = overview.Constants(
    version="1.2", config_sha="abc", language="de", stall_s=1.5, frame_ms=20
)
IDLE = UplinkReport(link=Link())
HEARS = Hearing(Device("hw:CARD=Mic", 16000, 1, "open"), last_frame_at=NOW - 0.1)


@dataclass(frozen=True)
class Looked:
    """What the workers report, and what is made of it."""

    heard: Hearing = HEARS
    uplink: UplinkReport = IDLE
    last_final_at: float | None = None
    stopping: bool = False
    broker: bool = True
    broker_error: str | None = None
    mute_reasons: tuple[str, ...] = ()
    constants: overview.Constants = CONSTANTS

    @property
    def state(self) -> State:
        return overview.state(
            self.heard,
            self.uplink,
            self.last_final_at,
            self.constants,
            stopping=self.stopping,
            clock_synced=True,
            now=NOW,
            mute_reasons=self.mute_reasons,
        )

    @property
    def line(self) -> str:
        return overview.status_line(
            self.heard,
            self.uplink,
            self.state,
            broker=self.broker,
            broker_error=self.broker_error,
        )


def device(state: str, last_frame_s: float | None = 0.1) -> Hearing:
    """A microphone in this state, and how long ago its last frame was."""
    at = None if last_frame_s is None else NOW - last_frame_s
    return Hearing(replace(HEARS.device, state=state), at)


def link(
    state: LinkState, last_error: str | None = None, *, utterances: int = 0, seconds: float = 0.0
) -> UplinkReport:
    tally = Tally(utterances=utterances, nbytes=pcm_bytes(seconds * 1000))
    return UplinkReport(link=Link(state, 900.0, last_error), tally=tally)


# Whether fast words can work


@pytest.mark.parametrize(
    ("heard", "uplink", "said"),
    [
        (HEARS, IDLE, "ok"),
        (HEARS, link(LinkState.CONNECTING), "ok"),
        (HEARS, link(LinkState.BACKOFF), "link_down"),
        (HEARS, link(LinkState.REFUSED), "link_down"),
        (HEARS, IDLE._replace(shut=True), "link_down"),
        (device("absent"), link(LinkState.REFUSED), "deaf"),
        (device("open", None), IDLE, "deaf"),
        (HEARS._replace(deaf_to="robot_speaking"), IDLE, "deaf"),
    ],
)
def test_fast_words_need_ears_and_a_link(heard: Hearing, uplink: UplinkReport, said: str) -> None:
    looked = Looked(heard, uplink)
    assert looked.state.fast_words is None
    some = Looked(heard, uplink, constants=replace(CONSTANTS, fast_words=True))
    assert some.state.fast_words == said


# Whether it hears


@pytest.mark.parametrize(
    ("heard", "hears", "reason"),
    [
        (device("open", 0.1), True, "ok"),
        (device("open", None), None, "starting"),
        (device("closed", None), None, "starting"),
        (device("closed", 0.1), False, "not_listening"),
        (device("absent", None), False, "no_device"),
        (device("absent", 60.0), False, "no_device"),
        (device("lost", 0.1), False, "no_device"),
    ],
)
def test_it_hears_where_frames_came_from_an_open_device(
    heard: Hearing, hears: bool | None, reason: str
) -> None:
    state = Looked(heard).state
    assert (state.hearing, state.hearing_reason) == (hears, reason)


def test_frames_that_stay_away_for_longer_than_the_device_is_given_are_a_stall() -> None:
    assert Looked(device("open", 2.4)).state.hearing_reason == "ok"
    stalled = Looked(device("open", 2.6)).state
    assert (stalled.hearing, stalled.hearing_reason, stalled.state) == (False, "stalled", "stalled")


@pytest.mark.parametrize("reason", ["robot_speaking", "not_listening"])
def test_who_throws_away_what_is_heard_does_not_hear_and_says_why(reason: str) -> None:
    state = Looked(HEARS._replace(deaf_to=reason)).state
    assert (state.hearing, state.hearing_reason, state.state) == (False, reason, reason)
    gone = device("lost")._replace(deaf_to=reason)
    assert Looked(gone).state.hearing_reason == "no_device", "what is worse comes first"


DEAD = Sound(still_s=34.2, fault=Fault(Kind.DEAD, "digital silence for 5 s"))
OFFSET = Sound(fault=Fault(Kind.OFFSET, "a DC offset of 12% of full scale"))
QUIET = HEARS._replace(level_dbfs=-61.6, noise_floor_dbfs=-63.2)


def test_a_dead_microphone_is_not_heard_and_one_with_lesser_faults_is() -> None:
    dead = Looked(QUIET._replace(level_dbfs=-90.3, sound=DEAD)).state
    assert (dead.hearing, dead.hearing_reason, dead.state) == (
        False, "silent_device", "silent_device",
    )  # fmt: skip
    for kind in set(Kind) - {Kind.DEAD}:
        lesser = Looked(QUIET._replace(sound=Sound(fault=Fault(kind, "evidence")))).state
        assert (lesser.hearing, lesser.hearing_reason) == (True, "ok")


@pytest.mark.parametrize(("state", "reason"), [("muted", "muted"), ("lost", "no_device")])
def test_one_that_is_not_there_is_not_dead_as_well(state: str, reason: str) -> None:
    said = Looked(device(state)._replace(level_dbfs=-90.3, sound=DEAD)).state
    assert said.hearing_reason == reason
    assert said.heard is None


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (HEARS, None),
        (HEARS._replace(level_dbfs=-20.4, is_open=True), "speech, -20 dBFS"),
        (QUIET, "no speech, -62 dBFS over a noise floor of -63 dBFS"),
        (
            QUIET._replace(sound=OFFSET),
            "no speech, -62 dBFS over a noise floor of -63 dBFS; a DC offset of 12% of full scale",
        ),
        (QUIET._replace(sound=Sound(still_s=3.0)), "digital silence for 3 s"),
        (QUIET._replace(sound=Sound(still_s=3.0, still_at=-2)), "a stuck value (-2) for 3 s"),
        (QUIET._replace(sound=DEAD), "digital silence for 34 s"),
    ],
)
def test_what_is_heard_is_said_in_words(heard: Hearing, words: str | None) -> None:
    assert Looked(heard).state.heard == words


# The one word


@pytest.mark.parametrize(
    ("looked", "word"),
    [
        (Looked(), "listening"),
        (Looked(uplink=link(LinkState.IDLE)), "listening"),
        (Looked(uplink=link(LinkState.CONNECTING)), "listening"),
        (Looked(uplink=link(LinkState.CONNECTED)), "listening"),
        (Looked(uplink=link(LinkState.BACKOFF)), "degraded"),
        (Looked(uplink=link(LinkState.REFUSED)), "refused"),
        (Looked(device("absent"), link(LinkState.REFUSED)), "no_device"),
        (Looked(device("closed"), link(LinkState.BACKOFF)), "not_listening"),
        (Looked(device("open", None), link(LinkState.REFUSED)), "starting"),
        (Looked(device("absent"), link(LinkState.REFUSED), stopping=True), "stopping"),
    ],
)
def test_the_word_is_the_worst_that_is_true(looked: Looked, word: str) -> None:
    assert looked.state.state == word


# The payload


def test_the_state_is_what_the_workers_report() -> None:
    heard = HEARS._replace(level_dbfs=-31.2345, noise_floor_dbfs=-60.06)
    uplink = link(LinkState.CONNECTED, utterances=3, seconds=12.345)
    assert Looked(heard, uplink, last_final_at=NOW - 4.56).state == State(
        hearing=True,
        hearing_reason="ok",
        state="listening",
        link=Link(LinkState.CONNECTED, 900.0, None),
        device=HEARS.device,
        level_dbfs=-31.2,
        noise_floor_dbfs=-60.1,
        heard="no speech, -31 dBFS over a noise floor of -60 dBFS",
        last_frame_age_ms=100,
        last_final_age_s=4.6,
        backlog=Backlog(utterances=3, seconds=12.3),
        language="de",
        clock_synced=True,
        version="1.2",
        config_sha="abc",
        config_on_disk_differs=None,
    )


def test_a_muted_ear_says_so_and_why() -> None:
    said = Looked(device("muted"), mute_reasons=("local", "mqtt")).state
    assert (said.hearing, said.hearing_reason, said.state) == (False, "muted", "muted")
    assert said.mute_reasons == ("local", "mqtt")


def test_what_is_not_known_is_none() -> None:
    state = Looked(device("open", None)).state
    assert state.last_frame_age_ms is None
    assert state.last_final_age_s is None
    assert state.level_dbfs is None
    assert state.noise_floor_dbfs is None


def test_a_frame_is_never_younger_than_now() -> None:
    assert Looked(device("open", -0.05)).state.last_frame_age_ms == 0


# The status line


@pytest.mark.parametrize(
    ("looked", "line"),
    [
        (Looked(), "hears hw:CARD=Mic, link idle, broker up, no transcript yet"),
        (
            Looked(uplink=link(LinkState.CONNECTED), last_final_at=NOW - 61.4),
            "hears hw:CARD=Mic, link connected, broker up, last transcript 61 s ago",
        ),
        (
            Looked(uplink=link(LinkState.BACKOFF, "timed out", utterances=2), broker=False),
            "hears hw:CARD=Mic, link backoff (timed out), broker DOWN, 2 utterance(s) wait, "
            "no transcript yet",
        ),
        (
            Looked(uplink=link(LinkState.REFUSED, "auth_error: bad key")),
            "hears hw:CARD=Mic, link refused (auth_error: bad key), broker up, no transcript yet",
        ),
        (
            Looked(device("absent")),
            "DOES NOT HEAR (no_device), link idle, broker up, no transcript yet",
        ),
        (
            Looked(broker=False, broker_error="connection refused"),
            "hears hw:CARD=Mic, link idle, broker DOWN (connection refused), no transcript yet",
        ),
        (
            Looked(device("muted"), mute_reasons=("local",)),
            "DOES NOT HEAR (muted), link idle, broker up, no transcript yet",
        ),
        (
            Looked(QUIET),
            "hears hw:CARD=Mic (no speech, -62 dBFS over a noise floor of -63 dBFS), link idle, "
            "broker up, no transcript yet",
        ),
        (
            Looked(QUIET._replace(sound=DEAD)),
            "DOES NOT HEAR (silent_device: digital silence for 34 s), link idle, broker up, "
            "no transcript yet",
        ),
        (Looked(device("open", None)), "starting, link idle, broker up, no transcript yet"),
    ],
)
def test_the_status_line_says_what_an_operator_asks_first(looked: Looked, line: str) -> None:
    assert looked.line == line


def test_an_error_that_is_over_is_not_in_the_status_line() -> None:
    for state in (LinkState.IDLE, LinkState.CONNECTING, LinkState.CONNECTED):
        assert "timed out" not in Looked(uplink=link(state, "timed out")).line


@given(
    st.sampled_from(["open", "closed", "absent", "lost", "muted"]),
    st.none() | st.floats(0, 100),
    st.sampled_from(LinkState),
    st.booleans(),
    st.none() | st.floats(0, 1e6),
)
def test_whatever_is_reported_a_deaf_daemon_never_says_that_it_listens(
    state: str,
    last_frame_s: float | None,
    link_state: LinkState,
    stopping: bool,
    age_s: float | None,
) -> None:
    last_final_at = None if age_s is None else NOW - age_s
    looked = Looked(device(state, last_frame_s), link(link_state), last_final_at, stopping)
    said = looked.state
    assert (said.state in ("listening", "degraded", "refused")) <= (said.hearing is True)
    assert looked.line.startswith("hears ") == (said.hearing is True)
    assert len(looked.line.splitlines()) == 1


# The figures


def test_frames_per_second_are_counted_from_look_to_look() -> None:
    rate = overview.FrameRate(NOW)
    rate.look(HEARS._replace(samples=3200), 20, NOW + 0.2)
    assert rate.per_s is None  # too soon to say
    rate.look(HEARS._replace(samples=16_000), 20, NOW + 1.0)
    assert rate.per_s == pytest.approx(50)
    rate.look(HEARS._replace(samples=16_000 + 8_000), 20, NOW + 2.0)
    assert rate.per_s == pytest.approx(25)  # half of it is missing
    rate.look(HEARS._replace(samples=24_000), 20, NOW + 17.0)
    assert rate.per_s == 0


@pytest.mark.parametrize(
    ("state", "expected"), [("open", 50), ("absent", 50), ("lost", 50), ("muted", 0), ("closed", 0)]
)
def test_frames_are_expected_of_whatever_should_be_heard(state: str, expected: float) -> None:
    figures = overview.hearing_metrics(device(state), 20, 49.98, hears=None)
    assert figures["scribed_frames_per_second_expected"] == expected
    assert figures["scribed_frames_per_second"] == 49.98


def test_what_is_heard_is_in_figures_and_what_is_not_known_is_left_out() -> None:
    measured = Sound(peak_dbfs=-3.5, clipped=0.0125, dc=-0.125, fault=OFFSET.fault)
    assert overview.hearing_metrics(QUIET._replace(sound=measured), 20, None, hears=True) == {
        "scribed_hearing": 1,
        "scribed_frames_per_second_expected": 50,
        "scribed_level_dbfs": -61.6,
        "scribed_noise_floor_dbfs": -63.2,
        "scribed_peak_dbfs": -3.5,
        "scribed_clipped_ratio": 0.0125,
        "scribed_dc_offset_ratio": -0.125,
        "scribed_still_seconds": 0,
        "scribed_microphone_dead": 0,
        "scribed_microphone_deaf": 0,
        "scribed_microphone_clipping": 0,
        "scribed_microphone_offset": 1,
    }
