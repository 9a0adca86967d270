"""Spoken commands: a TTS voice of Debian's packages says them into WAV files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scribed.errors import ScribedError

VOICE = "rms"
"""Of flite's voices the one that PocketSphinx understands best: 31 of 45 phrases tried, slt 19."""
RENDER_S = 30.0
"""How long flite may take for one phrase; it needs a tenth of a second."""


def speak(phrase: str, wav: Path) -> None:
    """Write `phrase` as 16 kHz mono speech to `wav`. Raises `ScribedError` without flite."""
    try:
        subprocess.run(
            ["flite", "-voice", VOICE, "-t", phrase, "-o", str(wav)],
            check=True,
            timeout=RENDER_S,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except FileNotFoundError as exc:
        raise ScribedError("no voice: flite is not installed; apt install flite") from exc
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        raise ScribedError(f"flite cannot say {phrase!r}: {exc}") from exc
