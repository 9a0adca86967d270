"""Who this daemon is: robot, source, topics, client id, and its directories.

Everything here is read once, at the start.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scribed.clock import wall
from scribed.config import Config
from scribed.model import Identity, UtteranceId
from scribed.ulid import ulid

STOCK_NAMES = frozenset(
    [
        "debian",
        "jetson",
        "linux",
        "localhost",
        "nvidia",
        "orangepi",
        "raspberrypi",
        "robot",
        "ubuntu",
    ]
)
"""Host names that images come with: two robots would have the same."""
DEFAULT_INSTANCE = "default"


def instance_of(config_path: Path | None) -> str:
    """The instance a configuration file is for: its stem; `scribed.toml` is the default one."""
    stem = "scribed" if config_path is None else config_path.stem
    return DEFAULT_INSTANCE if stem == "scribed" else _level(stem) or DEFAULT_INSTANCE


def identity(config: Config, instance: str) -> Identity:
    """Fill in what the configuration leaves to the machine."""
    machine = _machine_id()
    robot = config.robot.id or robot_of(socket.gethostname(), machine)
    source = config.robot.source or ("mic" if instance == DEFAULT_INSTANCE else instance)
    return Identity(
        robot=robot,
        source=source,
        base=config.mqtt.topic.format(robot=robot, source=source),
        client_id=config.mqtt.client_id or f"scribed-{robot}-{source}-{machine[:6]}",
        run_id=new_id(),
        boot_id=boot_id(),
    )


def robot_of(host: str, machine: str) -> str:
    """The robot's name on `host`: that, as a level of a topic, where it is not a stock name."""
    robot = _level(host.partition(".")[0]) or "robot"
    return f"{robot}-{machine[:6]}" if robot in STOCK_NAMES else robot


def new_id() -> UtteranceId:
    """A fresh ULID."""
    return UtteranceId(ulid(int(wall() * 1000), os.urandom(10)))


def state_directory(instance: str, environ: Mapping[str, str]) -> Path:
    """`$STATE_DIRECTORY` (systemd), else the XDG state directory."""
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    root = environ.get("XDG_STATE_HOME") or _home(environ) / ".local" / "state"
    return Path(root) / "scribed" / instance


def runtime_directory(instance: str, environ: Mapping[str, str]) -> Path:
    """`$RUNTIME_DIRECTORY` (systemd), else the XDG one, else a folder of the state directory."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if root := environ.get("XDG_RUNTIME_DIR"):
        return Path(root) / "scribed" / instance
    return state_directory(instance, environ) / "run"


def unit_of(instance: str) -> str:
    """What systemd calls this instance."""
    return "scribed" if instance == DEFAULT_INSTANCE else f"scribed@{instance}"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or tempfile.gettempdir())


def _level(text: str) -> str:
    """`text` as one level of a topic: lower-case letters, digits, _ and -."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")


def _machine_id() -> str:
    """An id of this machine that does not tell the machine id itself."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(path).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            return hashlib.sha256(f"scribed {text}".encode()).hexdigest()
    return hashlib.sha256(f"scribed {socket.gethostname()}".encode()).hexdigest()


def boot_id() -> str:
    """The kernel's id of this boot; the unit passes it where `/proc/sys` is hidden."""
    if given := os.environ.get("SCRIBED_BOOT_ID"):
        return given
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return new_id()  # what an earlier start left is then of an earlier boot, and never obeyed
    return text.replace("-", "")
