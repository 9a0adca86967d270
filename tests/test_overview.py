"""How the daemon is, in one word and in one line: the worst that is true comes first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed import overview
from scribed.capture.worker import Hearing
from scribed.delivery.schemas import Backlog, State
from scribed.model import Device, Link, LinkState, pcm_bytes
from scribed.uplink.waiting import Tally
from scribed.uplink.worker import UplinkReport

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

    @property
    def state(self) -> State:
        return overview.state(
            self.heard,
            self.uplink,
            self.last_final_at,
            CONSTANTS,
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
