"""How the daemon is, in the words of `state` and of the unit's status line. Pure.

Made of what the workers report, so that it follows frames really captured and answers really given.
"""

from __future__ import annotations

from msgspec import Struct

from scribed.capture.hearing import Hearing
from scribed.capture.proof import Fault, Kind, still
from scribed.delivery.schemas import Backlog, State
from scribed.errors import Remedy
from scribed.model import RATE, Link, LinkState
from scribed.store.worker import Report as StoreReport
from scribed.uplink.report import UplinkReport


class Constants(Struct, frozen=True):
    """What does not change while the daemon runs."""

    version: str
    config_sha: str
    language: str | None
    stall_s: float
    frame_ms: int
    fast_words: bool = False  #: there are some


STILL_S = 1.0
"""Digital silence is worth a word from then on."""
RATE_OVER_S = 1.0
"""Frames per second are counted over so long at least."""


class FrameRate:
    """How many frames a second really come, from one look to the next."""

    def __init__(self, now: float) -> None:
        self._samples, self._at = 0, now
        self.per_s: float | None = None  #: None: nobody has looked yet

    def look(self, heard: Hearing, frame_ms: int, now: float) -> None:
        """Count what came since the last look."""
        elapsed_s, came_s = now - self._at, (heard.samples - self._samples) / RATE
        if elapsed_s < RATE_OVER_S:
            return
        self._samples, self._at = heard.samples, now
        self.per_s = came_s * 1000 / frame_ms / elapsed_s


_NOT_HEARD = {"muted": "muted", "absent": "no_device", "lost": "no_device"}
"""`hearing_reason` by the state of a device that cannot be heard."""


def hearing(heard: Hearing, now: float, stall_s: float) -> tuple[bool | None, str]:
    """`hearing` and `hearing_reason`: whether frames really come."""
    if reason := _NOT_HEARD.get(heard.device.state):
        return False, reason
    if heard.last_frame_at is None:
        return None, "starting"
    if heard.device.state == "closed":
        return False, "not_listening"
    if now - heard.last_frame_at > stall_s + 1.0:
        return False, "stalled"
    if heard.sound.is_dead:
        return False, "silent_device"
    return heard.deaf_to is None, heard.deaf_to or "ok"


def fast_words(hears: bool | None, uplink: UplinkReport) -> str:
    """Whether fast words can work, as in `state`."""
    if not hears:
        return "deaf"
    down = uplink.shut or uplink.link.state in (LinkState.BACKOFF, LinkState.REFUSED)
    return "link_down" if down else "ok"


def sound(heard: Hearing) -> str | None:
    """What is heard, in words; None: nothing yet, or it is muted."""
    measured = heard.sound
    if heard.level_dbfs is None:
        return None
    if measured.is_dead or measured.still_s >= STILL_S:
        return still(measured.still_s, measured.still_at)
    words = f"{'speech' if heard.is_open else 'no speech'}, {heard.level_dbfs:.0f} dBFS"
    if heard.noise_floor_dbfs is not None:
        words += f" over a noise floor of {heard.noise_floor_dbfs:.0f} dBFS"
    return words if measured.fault is None else f"{words}; {measured.fault.evidence}"


def state(
    heard: Hearing,
    uplink: UplinkReport,
    last_final_at: float | None,
    constants: Constants,
    *,
    stopping: bool,
    clock_synced: bool | None,
    now: float,
    mute_reasons: tuple[str, ...] = (),
    echo_signal: str = "never",
    overrides: dict[str, object] | None = None,
    config_differs: bool | None = None,
) -> State:
    """The `state` payload, but for its header."""
    hears, reason = hearing(heard, now, constants.stall_s)
    age = None if heard.last_frame_at is None else max(0.0, now - heard.last_frame_at)
    return State(
        hearing=hears,
        hearing_reason=reason,
        state=_word(hears, reason, uplink.link, stopping=stopping),
        mute_reasons=mute_reasons,
        link=uplink.link,
        device=heard.device,
        level_dbfs=_rounded(heard.level_dbfs),
        noise_floor_dbfs=_rounded(heard.noise_floor_dbfs),
        heard=sound(heard) if hears or reason == "silent_device" else None,
        last_frame_age_ms=None if age is None else round(age * 1000),
        last_final_age_s=None if last_final_at is None else round(now - last_final_at, 1),
        backlog=Backlog(utterances=uplink.tally.utterances, seconds=round(uplink.tally.seconds, 1)),
        echo_signal=echo_signal,
        fast_words=fast_words(hears, uplink) if constants.fast_words else None,
        language=constants.language,
        overrides=overrides or {},
        clock_synced=clock_synced,
        version=constants.version,
        config_sha=constants.config_sha,
        config_on_disk_differs=config_differs,
    )


def _word(hears: bool | None, reason: str, link: Link, *, stopping: bool) -> str:
    """One word for dashboards: the worst thing that is true."""
    if stopping:
        return "stopping"
    if hears is None:
        return "starting"
    if not hears:
        return reason
    if link.state is LinkState.REFUSED:
        return "refused"
    if link.state is LinkState.BACKOFF:
        return "degraded"
    return "listening"


def _rounded(level: float | None) -> float | None:
    return None if level is None else round(level, 1)


def status_line(
    heard: Hearing, uplink: UplinkReport, said: State, *, broker: bool, broker_error: str | None
) -> str:
    """One line for `systemctl status`: hearing, link, broker, backlog, the last transcript."""
    ears = {
        True: f"hears {heard.device.name}" + (f" ({said.heard})" if said.heard else ""),
        False: f"DOES NOT HEAR ({said.hearing_reason}{f': {said.heard}' if said.heard else ''})",
        None: "starting",
    }[said.hearing]
    parts = [ears, f"link {uplink.link.state.value}", "broker " + ("up" if broker else "DOWN")]
    if uplink.link.last_error and uplink.link.state in (LinkState.BACKOFF, LinkState.REFUSED):
        parts[1] += f" ({uplink.link.last_error})"
    if not broker and broker_error:
        parts[2] += f" ({broker_error})"
    if uplink.tally.utterances:
        parts.append(f"{uplink.tally.utterances} utterance(s) wait")
    if said.last_final_age_s is None:
        parts.append("no transcript yet")
    else:
        parts.append(f"last transcript {said.last_final_age_s:.0f} s ago")
    return ", ".join(parts)


def hearing_metrics(
    heard: Hearing, frame_ms: int, per_s: float | None, *, hears: bool | None
) -> dict[str, float]:
    """What is heard, in figures; those that are not known are left out."""
    measured = heard.sound
    silent = heard.device.state in ("muted", "closed")
    figures = {
        "scribed_hearing": hears,
        "scribed_frames_per_second": per_s,
        "scribed_frames_per_second_expected": 0.0 if silent else 1000 / frame_ms,
        "scribed_level_dbfs": heard.level_dbfs,
        "scribed_noise_floor_dbfs": heard.noise_floor_dbfs,
        "scribed_peak_dbfs": measured.peak_dbfs,
        "scribed_clipped_ratio": measured.clipped,
        "scribed_dc_offset_ratio": measured.dc,
        "scribed_still_seconds": measured.still_s,
        **{f"scribed_microphone_{kind.value}": _is(measured.fault, kind) for kind in Kind},
    }
    return {name: round(float(value), 5) for name, value in figures.items() if value is not None}


def _is(fault: Fault | None, kind: Kind) -> float:
    return float(fault is not None and fault.kind is kind)


def metrics(heard: Hearing, uplink: UplinkReport, store: StoreReport) -> dict[str, float]:
    """The figures for `metrics`, by their Prometheus names; delivery adds its own."""
    tally = uplink.tally
    return {
        "scribed_captured_seconds_total": round(heard.samples / RATE, 3),
        "scribed_lost_seconds_total": round(heard.lost_samples / RATE, 3),
        "scribed_dropped_seconds_total": round(heard.dropped_samples / RATE, 3),
        "scribed_gate_openings_total": heard.detected,
        "scribed_gate_refused_frames_total": heard.refused_frames,
        "scribed_backlog_utterances": tally.utterances,
        "scribed_backlog_seconds": round(tally.seconds, 3),
        "scribed_backlog_memory_bytes": tally.ram_bytes,
        "scribed_committed_total": tally.committed,
        "scribed_without_text_total": tally.without_text,
        "scribed_sent_again_total": tally.repeated,
        "scribed_sent_seconds_total": round(uplink.audio_sent_s, 3),
        "scribed_billed_seconds_today": round(uplink.billed_s, 1),
        "scribed_cost_today": round(uplink.cost, 4),
        "scribed_early_commits_total": uplink.early_commits,
        "scribed_connects_total": uplink.connects,
        "scribed_rotations_total": uplink.rotations,
        "scribed_messages_ignored_total": uplink.ignored,
        **{
            f"scribed_link_ended_{remedy.value}_total": uplink.reconnects.get(remedy.value, 0)
            for remedy in Remedy
        },
        "scribed_connections_abandoned_total": uplink.abandoned,
        "scribed_link_connected": float(uplink.link.state is LinkState.CONNECTED),
        "scribed_spool_runtime_bytes": store.runtime_bytes,
        "scribed_spool_state_bytes": store.state_bytes,
    }
