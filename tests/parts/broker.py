"""A broker that is killed when everybody has read what it wrote."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from scribed.demo import broker

READ_S = 1.0
"""Who has not read by then is one that does not read."""


class Broker(broker.Broker):
    """What a killed broker has acknowledged is with its subscribers, or is not asked for.

    A subscriber's acknowledgements that the broker does not read any more reset the connection, and
    paho reads no further: what had been written to it is lost, and no daemon could know (3 of 9
    came through where the subscriber slept for a moment; with mosquitto's persistence too).
    """

    def __enter__(self) -> Broker:
        super().__enter__()
        return self

    def kill(self) -> None:
        """As a power cut would, after a moment in which it does nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + READ_S
        while unread(self.port) and time.monotonic() < deadline:
            time.sleep(0.002)
        super().kill()


def unread(port: int) -> int:
    """Bytes from `port` of 127.0.0.1 that are on their way, or that nobody has read."""
    server = f"0100007F:{port:04X}"  # as a little-endian machine has it
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        to_send, to_read = (int(each, 16) for each in queues.split(":"))
        count += to_send * (local == server) + to_read * (remote == server)
    return count
