"""The last line before the log: what others put a secret into is logged without it."""

from __future__ import annotations

import subprocess
import sys

from tests.parts.canary import Canary

SECRET = "s3cret/of-the+broker=1"
PROGRAM = f"""
import logging, http.client
from urllib.parse import quote
from scribed.service import journal
from scribed.service.redaction import hide

journal.configure("debug")
hide({SECRET!r})
hide("short")
log = logging.getLogger("scribed.test")
log.info("a key: %s, an address: %s", {SECRET!r}, quote({SECRET!r}, safe=""))
log.debug("nothing short of that; {SECRET}", extra={{"SCRIBED_SEQ": 1}})
try:
    http.client.HTTPConnection("localhost").putheader("xi-api-key", {SECRET!r} + "\\n")
except Exception:
    log.exception("a library told what it was given")
log.info("all is well")
"""


def test_neither_a_line_nor_a_librarys_exception_tells_it() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    said = done.stderr
    assert Canary(SECRET).found_in(said.encode()) == []
    assert "a key: ***, an address: ***" in said
    assert "nothing short of that; ***" in said
    assert "all is well" in said
    assert "a library told what it was given" in said
    assert "Traceback (most recent call last)" in said
