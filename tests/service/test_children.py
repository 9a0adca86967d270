"""What scribed starts ends with it, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess

from scribed.service import children


def test_all_that_still_run_are_ended_with_what_they_started() -> None:
    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["sh", "-c", "sleep 60 & echo started; wait"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        children.begun(process.pid)
        return process

    with start() as over, start() as running:
        over.kill()
        over.wait(10)
        children.ended(over.pid)
        children.end_all()
        assert running.wait(10) == -9
        assert running.stdout is not None
        assert running.stdout.read() == b"", "its child lives, and has the pipe"
        children.ended(running.pid)
        os.killpg(over.pid, signal.SIGKILL)  # this one's child was nobody's to end any more
