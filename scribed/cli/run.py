"""`scribed run`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import os
import resource
import signal
import sys
from pathlib import Path

from scribed import clock, kinds
from scribed.cli import leave_when_asked, loading
from scribed.config import Config
from scribed.daemon import Daemon
from scribed.ending import leave
from scribed.errors import ConfigError, ExitStatus, ScribedError
from scribed.model import Alert
from scribed.reloading import Source
from scribed.remarks import remarks
from scribed.service import journal
from scribed.service.credentials import idle_password
from scribed.service.names import identity, instance_of, runtime_directory, state_directory
from scribed.service.restarts import Restarts, pace
from scribed.uplink.providers.elevenlabs_query import notices

logger = logging.getLogger(__name__)

GOOD_FILE = "config.good.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand its options."""
    parser.description = (
        "Hear, transcribe and publish until SIGTERM or SIGINT, or the input's end. "
        "Whether it hears is in {base}/state and in `systemctl status`. On an invalid "
        "configuration the last good one is used, with alert/config_invalid; exit 78 only where "
        "there is none. Under systemd it logs to the journal, else to stderr."
    )
    loading.add_config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the daemon; where it can be started the process ends with its exit status."""
    leave_when_asked()  # until the daemon serves them
    faulthandler.enable()
    _keep_out_of_core_files()
    # Until it is served: it would end us, and systemd takes such an end for somebody's wish.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    if not journal.stderr_is_journal():
        return _run(args)
    journal.configure("info")  # for what goes wrong before the configuration is known
    try:
        return _run(args)
    except ScribedError as exc:
        status = exc.exit_status
        extra = kinds.START_FAILED(error=exc, exit_status=int(status))
        if isinstance(exc, ConfigError):
            extra = kinds.CONFIG_INVALID(error=exc, exit_status=int(status))
        logger.critical("%s", exc, extra=extra)
        return status
    except Exception as exc:  # the last door where the journal hears us: a bug is told as one
        what = f"{type(exc).__name__}: {exc}"
        logger.critical("bug", exc_info=True, extra=kinds.BUG(worker="main", error=what))
        return ExitStatus.BUG


def _keep_out_of_core_files() -> None:
    """Memory holds the key, and what people said.

    A limit of 0 keeps core files away, but not a program that the kernel hands the dump to
    (`kernel.core_pattern` with a pipe): for that it is empty.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # a kernel without core dumps
        Path("/proc/self/coredump_filter").write_text("0")


def _run(args: argparse.Namespace) -> int:
    environ = dict(os.environ)
    path = loading.config_path(args.config, environ)
    instance = instance_of(path)
    state = state_directory(instance, environ)
    loaded, alerts = _load(path, state, environ)
    config = loaded.config
    journal.configure(config.log.level)
    for alert in alerts:
        words = "%s; uses the last good configuration, %s"
        extra = kinds.CONFIG_FELL_BACK(path=path, error=alert.message, alert=alert.code)
        logger.error(words, alert.message, state / GOOD_FILE, extra=extra)
    for notice in (idle_password(config, environ), *notices(config.provider), *remarks(config)):
        if notice:
            logger.warning("%s", notice, extra=kinds.CONFIG_REMARK(error=notice))
    echo = _echo if sys.stdout.isatty() else None
    runtime = runtime_directory(instance, environ)
    restarts = Restarts(runtime, clock.now)
    if not pace(restarts, environ):
        return ExitStatus.OK
    who = identity(config, instance)
    file = _File(path, environ, state / GOOD_FILE)
    source = Source(
        str(path), file.read, file.stamp, file.keep, lambda new: identity(new, instance)
    )
    daemon = Daemon(config, who, state, runtime, environ, source=source, echo=echo, alerts=alerts)
    if not alerts:
        file.keep(loaded.text)
    status = daemon.run()
    if status is ExitStatus.OK:
        restarts.end()
    leave(status)
    raise AssertionError("unreachable")


class _File:
    """The configuration file, for the daemon to read again."""

    def __init__(self, path: Path, environ: dict[str, str], good: Path) -> None:
        self._path, self._environ, self._good = path, environ, good
        self._read = ""  # the text that was valid last

    def read(self) -> Config:
        """Raises `ConfigError` with every problem."""
        loaded = loading.load(self._path, self._environ)
        self._read = loaded.text
        return loaded.config

    def stamp(self) -> object:
        """Another one where the file may have changed."""
        try:
            status = self._path.stat()
        except OSError as exc:
            return exc.errno
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def keep(self, text: str | None = None) -> None:
        """What was read is the last good one."""
        _keep(self._good, self._read if text is None else text)


def _echo(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; the daemon goes on
        print(text, flush=True)


def _load(
    path: Path, state: Path, environ: dict[str, str]
) -> tuple[loading.Loaded, tuple[Alert, ...]]:
    """The configuration, or the last good one with an alert. Raises `ConfigError`."""
    try:
        return loading.load(path, environ), ()
    except ConfigError as exc:
        good = state / GOOD_FILE
        with contextlib.suppress(OSError, ScribedError, UnicodeDecodeError):
            loaded = loading.read(good, good.read_text("utf-8"), environ)
            remedy = f"correct {path} (`scribed check` names every problem) and reload"
            return loaded, (Alert("config_invalid", "; ".join(exc.problems), remedy),)
        raise


def _keep(path: Path, text: str) -> None:
    """Keep a configuration that is valid for the day that it is not."""
    with contextlib.suppress(OSError):  # a full disk must not keep the ear shut
        if path.exists() and path.read_bytes() == text.encode():
            return
        temporary = path.with_suffix(".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
