"""Which microphones there are, as a process of its own finds out.

pyalsaaudio holds the interpreter's lock while it opens a device: asked here, a sound card that
takes its time would stop the capture thread, and one that hangs would end the daemon.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import msgspec

from scribed.model import Command, CommandError, Reply
from scribed.service import children

SURVEY_S = 10.0
"""A machine with a card takes half a second, and one that hangs ends by itself after four."""
_ITS_OWN = (
    "PATH",
    "HOME",
    "LANG",
    "XDG_RUNTIME_DIR",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
)
"""What of our environment it gets, with the sound system's: no secret, no socket of systemd's."""
_SOUND = ("ALSA_", "PULSE_", "PIPEWIRE_")


class Survey(threading.Thread):
    """Answers the command `devices` once, in `SURVEY_S` at most; never joined, since it may end
    with the process."""

    def __init__(self, command: Command) -> None:
        super().__init__(name="devices", daemon=True)
        self._command = command

    def run(self) -> None:
        answer = survey([sys.executable, "-m", "scribed", "devices", "--json"])
        token = self._command.token
        if isinstance(answer, CommandError):
            self._command.answer.put(Reply(token, error=answer))
        else:
            self._command.answer.put(Reply(token, answer))


def survey(command: list[str], within_s: float = SURVEY_S) -> dict[str, Any] | CommandError:
    """What `command` prints about the devices; blocks for `within_s` seconds at most."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _ITS_OWN or name.startswith(_SOUND)
    }
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # so that what it starts can be ended with it
        )
    except OSError as exc:
        return CommandError("failed", f"the devices cannot be listed: {exc.strerror}")
    children.begun(process.pid)
    try:
        with process:
            return _read(process, within_s)
    finally:
        children.ended(process.pid)


def _read(process: subprocess.Popen[bytes], within_s: float) -> dict[str, Any] | CommandError:
    try:
        said, complaints = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return CommandError("failed", f"the sound system did not answer within {within_s:g} s")
    try:
        return msgspec.json.decode(said, type=dict[str, Any])
    except msgspec.DecodeError:
        words = complaints.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        why = next((line for line in words if "audio.device" in line), words[-1])
        return CommandError("failed", f"the devices cannot be listed: {why}")
