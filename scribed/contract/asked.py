"""What a robot may ask for, in words, beside the types of `delivery.commands`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from scribed.delivery.commands import COMMANDS


class Ask(NamedTuple):
    """One command."""

    does: str
    result: str  #: what `result` of its reply has
    bare: bool = False  #: also a bare ON, OFF, true or false
    examples: tuple[str, ...] = ("{}",)  #: payloads


_ASKS: Mapping[str, Ask] = {
    "mute": Ask(
        "Close the microphone within 200 ms, or open it again; it survives a restart. The open "
        "utterance ends as `muted`; what waits for an answer is kept, or dropped by `purge`. A "
        "mute set on the machine itself is lifted only there.",
        "empty",
        bare=True,
        examples=('{"on": true}', '{"on": true, "purge": true, "req": "privacy-1"}', "false"),
    ),
    "robot_speaking": Ask(
        "The robot begins to speak, or goes on, or (`on` false) has ended: by `echo.mode` what is "
        "heard meanwhile is dropped, or has the caution `robot_speaking`. The open utterance is "
        "committed first (`gated`). Say it again with the same `id` to renew it.",
        "`speaking`: whether this `id` speaks now; `ttl_ms`: for how long unless it is renewed",
        examples=(
            '{"on": true, "id": "tts-42", "ttl_ms": 15000, "text": "Turning left."}',
            '{"on": false, "id": "tts-42"}',
        ),
    ),
    "robot_moving": Ask(
        "The same about moving, by `motion.mode`.",
        "`moving`: whether this `id` moves now; `ttl_ms`: for how long unless it is renewed",
        examples=('{"on": true, "id": "base", "ttl_ms": 15000}', '{"on": false, "id": "base"}'),
    ),
    "listen": Ask(
        'Hear what begins within `ttl_ms` from now (`listen.mode = "on_request"`).',
        "`listening`: whether; `ttl_ms`: for how long, null where it always is",
        examples=("{}", '{"ttl_ms": 8000}'),
    ),
    "flush": Ask(
        "End the open utterance now, with all that has been said.",
        "`flushed`: whether there was one",
        examples=("{}", '{"req": "r-17", "expires_at": "2026-06-01T09:30:12Z"}'),
    ),
    "set_language": Ask(
        "Hear in another language (`provider.language`) until the next start, from the next "
        "utterance on; null: as configured. It stands in `state.overrides`.",
        "`language`: what counts from now on",
        examples=('{"language": "fr"}', '{"language": null}'),
    ),
    "set_keyterms": Ask(
        "The words that the service is to expect (`provider.elevenlabs.keyterms`: at most 50 of at "
        "most 20 characters) until the next start, from the next utterance on; null: as "
        "configured. They stand in `state.overrides`.",
        "`keyterms`: what counts from now on",
        examples=('{"keyterms": ["docking station", "Kuka"]}', '{"keyterms": null}'),
    ),
    "restate": Ask(
        "Publish the kept finals again whose `seq` is above `since_seq`: on the response topic, "
        "with the ends, or else on `late`; never on `transcript` or `text`.",
        "`count`: how many were published",
        examples=('{"since_seq": 1840}',),
    ),
    "devices": Ask(
        "List the capture devices, as `scribed devices` does: with the name to write into "
        "`audio.device` and what each has. Each that is free is opened for a moment.",
        "`devices`: a list, as `scribed devices --json` has it; `pcms`: what asound.conf defines",
    ),
    "state": Ask(
        "Ask for the state now.",
        "the fields of `stt.state/1`, and `status_line`: the same in words",
    ),
    "record": Ask(
        "Write what the flight recorder has (`[recorder]`): the last seconds of what the gate "
        "heard, with its decisions, for `scribed replay`. Not while muted.",
        "`name`: of the file; `path`: on the robot; `audio_ms`: of what is in it",
    ),
    "log_level": Ask(
        "Log at another level for `ttl_ms` (10 min where it is not said; 24 h at most), then as "
        "configured again; null: at once. It stands in `state.overrides`.",
        "`level`: what counts from now on; `ttl_ms`: for how long, null where it is the "
        "configured one",
        examples=('{"level": "debug", "ttl_ms": 600000}', '{"level": null}'),
    ),
}

ASKS: Mapping[str, Ask] = {name: _ASKS[name] for name in COMMANDS}
"""Every command there is, by its name: the last level of its topic."""
