"""Media files, made by the real ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed (apt install ffmpeg)"
)


def encoded(source: str | Path, path: Path, *options: str, input_format: str = "") -> bytes:
    """`source` as another kind of file at `path`, by its suffix; its contents."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    command += ["-f", input_format] if input_format else []
    subprocess.run([*command, "-i", str(source), *options, str(path)], check=True, timeout=60)
    return path.read_bytes()
