"""The microphone, listened on by a process of its own."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from scribed.capture.sources.hung import HUNG_S, advice
from scribed.config import Audio
from scribed.doctor.probes.listening import LISTEN_S, Answer

CHILD_S = HUNG_S + LISTEN_S + 6.0
"""Its start on a slow machine, the opening, and the listening."""


def listen(audio: Audio) -> Answer:
    """What `audio.device` gives. The process has `CHILD_S` at most."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "scribed.doctor.probes.listening"],
            input=msgspec.json.encode(audio),
            capture_output=True,
            timeout=CHILD_S,
            check=False,
            cwd="/",  # -m looks for modules where we are, which may be anybody's directory
        )
    except subprocess.TimeoutExpired:
        return Answer(problem=advice(audio.device))
    try:
        return msgspec.json.decode(done.stdout, type=Answer)
    except msgspec.DecodeError:  # it was ended: by its own watchdog, or by a library's crash
        return Answer(problem=advice(audio.device))
