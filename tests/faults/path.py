"""A path between two hosts, as the kernel makes it: what is acknowledged has arrived.

The far host is a network namespace, joined to this one by a pair of veth devices with a token
bucket (tc-tbf) at either end: a queue that fills, segments that are lost, acknowledgements that
wait for their turn. A proxy cannot be that: it acknowledges what it has not handed on.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import ipaddress
import os
import shutil
import socket
import subprocess
import threading

BLOCK = ipaddress.ip_network("198.18.0.0/15")
"""What RFC 2544 sets aside for tests of networks: each process has a network of four of it."""
BURST = 1600
"""Bytes that go through at once: one packet."""
QUEUE_S = 4.0
"""How long a packet waits at most before it is dropped: narrow links have long queues."""
_CLONE_NEWNET = 0x40000000


class NoPath(Exception):
    """It cannot be had here, and why."""


class Path:
    """A context manager; entering it raises `NoPath`. It ends with the process in any case."""

    def __init__(self) -> None:
        network = BLOCK[4 * os.getpid() % BLOCK.num_addresses]
        self.host = str(network + 2)  #: the address of the far host
        self._near_address = str(network + 1)
        self._near, self._far = f"scribed{os.getpid()}", "far"
        # Its one thread lives in the other namespace, which lives as long as it or a socket there.
        self._there = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="far")

    def __enter__(self) -> Path:
        if missing := [name for name in ("ip", "tc") if shutil.which(name) is None]:
            raise NoPath(f"{' and '.join(missing)} not installed (iproute2)")
        try:
            self._there.submit(_leave).result(10)
            self._join()
            self.narrow(1_000_000)
            self.narrow(None)
        except (OSError, NoPath) as exc:
            self._there.shutdown()
            raise NoPath(f"no network namespace, veth or tbf here: {exc}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        _run("ip", "link", "del", self._near)
        self._there.shutdown()

    def socket(self) -> socket.socket:
        """A TCP socket of the far host."""
        return self._there.submit(socket.socket).result(10)

    def narrow(self, bits_per_s: float | None) -> None:
        """So many bits a second each way from now on, for all that is on its way too."""
        for device, run in ((self._near, _run), (self._far, self._run_there)):
            if bits_per_s is None:
                run("tc", "qdisc", "del", "dev", device, "root")
                continue
            shape = ("rate", f"{bits_per_s:.0f}bit", "burst", str(BURST), "latency", f"{QUEUE_S}s")
            run("tc", "qdisc", "replace", "dev", device, "root", "tbf", *shape)

    def _join(self) -> None:
        pair = ("type", "veth", "peer", "name", self._near, "netns", str(os.getpid()))
        self._run_there("ip", "link", "add", "name", self._far, *pair)
        for device, address, run in (
            (self._far, self.host, self._run_there),
            (self._near, self._near_address, _run),
        ):
            run("ip", "address", "add", f"{address}/30", "dev", device)
            run("ip", "link", "set", device, "up")

    def _run_there(self, *command: str) -> None:
        self._there.submit(_run, *command).result(20)


def _leave() -> None:
    """This thread goes to a network of its own."""
    assert threading.current_thread() is not threading.main_thread()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode:
        raise NoPath(f"{' '.join(command)}: {done.stderr.strip()}")
