"""The files of a support bundle, and the archive of them: private, and never over another."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from scribed import __version__
from scribed.doctor.probes.machine import run
from scribed.doctor.redaction import Redactor
from scribed.errors import ScribedError

JOURNAL_LINES = 1000
SLOW_S = 20.0
"""How long the journal of a slow card, or the opening of every microphone, may take."""
MAX_LISTED = 2000
LIBRARIES = (
    "msgspec",
    "numpy",
    "paho-mqtt",
    "pyalsaaudio",
    "soxr",
    "systemd-python",
    "webrtcvad-wheels",
    "websocket-client",
)
_PROGRAMS = (("systemctl", "--version"), ("ffmpeg", "-version"), ("mosquitto", "-h"))
_MODEL = Path("/proc/device-tree/model")


def versions() -> str:
    """What this machine is, and what runs on it."""
    release: dict[str, str] = {}
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
    model = ""
    with contextlib.suppress(OSError):
        model = _MODEL.read_text("utf-8", "replace").rstrip("\0")
    told = {
        "scribed": __version__,
        "python": sys.version.split()[0],
        "system": release.get("PRETTY_NAME", ""),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "model": model,
        "cores": os.cpu_count(),
        "memory_mb": (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) >> 20,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "programs": {name: _first_line(name, option) for name, option in _PROGRAMS},
    }
    return json.dumps(told, indent=2)


def unit(name: str) -> str | None:
    """What systemd says of a unit, and its files; None: there is no systemd."""
    status = run("systemctl", "status", "--no-pager", "--full", "--lines=0", name, within_s=SLOW_S)
    files = run("systemctl", "cat", "--no-pager", name, within_s=SLOW_S)
    if status is None or "not been booted with systemd" in status:
        return None
    return f"{status}\n{files or ''}"


def journal(name: str) -> str | None:
    """The unit's last lines; None: it cannot be read."""
    options = ("--no-pager", "--output=short-iso-precise", f"--lines={JOURNAL_LINES}")
    return run("journalctl", *options, f"--unit={name}", within_s=SLOW_S)


def devices() -> str | None:
    """What `scribed devices` lists; in a process of its own, which a sound server may hang."""
    return run(sys.executable, "-m", "scribed", "devices", "--json", within_s=SLOW_S)


def listing(directories: Mapping[str, Path]) -> str:
    """Names, sizes and times of what is in the store; nothing of what is in the files."""
    lines = []
    for name, directory in directories.items():
        lines.append(f"{name} {directory}")
        try:
            paths = sorted(directory.rglob("*"))[:MAX_LISTED]
        except OSError as exc:
            lines.append(f"  cannot be looked at: {exc.strerror}")
            continue
        lines += [f"  {_entry(directory, path)}" for path in paths]
        if not directory.is_dir():
            lines.append("  is not there")
    return "\n".join(lines) + "\n"


def write(path: Path, files: Mapping[str, str], redactor: Redactor) -> None:
    """Make the archive `path` (0600) of redacted texts.

    Raises `ScribedError` where something has that name, where it cannot be written, or where a
    secret would be in it after all.
    """
    shown = {name: redactor(text) for name, text in files.items()}
    for name, text in shown.items():
        if redactor.finds(text):
            raise ScribedError(f"{name} would have a secret in it; nothing was written")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise ScribedError(f"{path} is there already; give another name with -o FILE") from exc
    except OSError as exc:
        raise ScribedError(f"{path} cannot be written: {exc.strerror}; give -o FILE") from exc
    try:
        with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in shown.items():
                _add(archive, f"{path.name.partition('.')[0]}/{name}", text)
    except BaseException as exc:
        path.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise ScribedError(f"{path} cannot be written: {exc.strerror}; give -o FILE") from exc
        raise


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode("utf-8", "replace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(content))


def _entry(directory: Path, path: Path) -> str:
    try:
        stat = path.lstat()
    except OSError as exc:
        return f"{path.relative_to(directory)}: {exc.strerror}"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stat.st_mtime))
    return f"{stat.st_mode & 0o7777:04o} {stat.st_size:>10} {at} {path.relative_to(directory)}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(*command: str) -> str | None:
    said = run(*command)
    return said.splitlines()[0] if said else None
