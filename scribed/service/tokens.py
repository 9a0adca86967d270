"""Single-use tokens of ElevenLabs: one for each connection, from wherever the configuration says.

A token is good for 15 minutes and for one connection, also where that fails. It is a secret: no
error here holds one, nor what should have been one.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import ssl
import subprocess
import time

import msgspec

from scribed.config import ProviderSection
from scribed.endpoints import minting_url
from scribed.errors import Refused, ScribedError, TransportError
from scribed.masking import masked
from scribed.service import children
from scribed.service.https import HttpAnswer, post
from scribed.service.redaction import hide

MAX_OUTPUT = 1 << 16
"""Bytes that a token's command may print."""
MAX_COMPLAINT = 200
"""Characters of a command's first line of errors that are repeated."""
_KEY = "provider.elevenlabs.token_command"
_TOKEN = re.compile("[!-~]{1,4096}")
_KILLED_S = 1.0  # a killed process is gone in milliseconds


class _Minted(msgspec.Struct):
    token: str


def mint(provider: ProviderSection, key: str | None, *, tls: ssl.SSLContext | None) -> str:
    """A fresh token, within `connect_timeout_s` (and the look-up of a name); blocks so long.

    From `token_command`, else from `token_url`, else from the endpoint itself; `key` is sent to
    either of the latter. `tls` is for the endpoint's authorities; None: the system's.

    Raises `TransportError` for what may pass (network, HTTP 5xx, a command that fails), `Refused`
    for any other refusal, and `ScribedError` where it cannot work as it is configured.
    """
    token = _mint(provider, key, tls)
    hide(token)
    return token


def _mint(provider: ProviderSection, key: str | None, tls: ssl.SSLContext | None) -> str:
    options, timeout_s = provider.elevenlabs, provider.connect_timeout_s
    if options.token_command:
        return _from_command(options.token_command, timeout_s)
    url = options.token_url or minting_url(provider)
    headers = {"xi-api-key": key.encode()} if key else {}
    try:
        answer = post(url, headers, timeout_s=timeout_s, tls=tls)
    except TransportError as exc:
        raise TransportError(f"no token: {exc}") from exc
    return _from_answer(answer, key, "token_url" if options.token_url else "url")


def command_problem(provider: ProviderSection) -> str | None:
    """Why the command that makes tokens cannot be run, as far as that is known without a try."""
    command = provider.elevenlabs.token_command
    if not command or shutil.which(command[0]):
        return None
    return f"{_KEY}: {command[0]} is not a program that can be run; write its whole path"


def _from_answer(answer: HttpAnswer, key: str | None, name: str) -> str:
    if answer.status >= 500:
        raise TransportError(f"no token: HTTP {answer.status}")
    if not 200 <= answer.status < 300:
        raise Refused(answer.status, masked(answer.body, key or ""), answer.retry_after_s)
    token = _of_json(answer.body)
    if token is None:
        where = "provider.elevenlabs.token_url" if name == "token_url" else "provider.url"
        raise ScribedError(f'{where}: no token: the answer is not {{"token": "…"}}')
    return token


def _of_json(text: str) -> str | None:
    """The token in `{"token": …}`; None: it is not there, or is none."""
    try:
        token = msgspec.json.decode(text, type=_Minted).token
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return token if _TOKEN.fullmatch(token) else None


def _from_command(command: tuple[str, ...], timeout_s: float) -> str:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its children can be ended with it
        )
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "its name or an argument cannot be one"
        raise ScribedError(f"{_KEY}: {command[0]} cannot be run: {why}") from exc
    children.begun(process.pid)
    try:
        output, complaint = _run(process, command[0], timeout_s)
    finally:
        _end(process)
        children.ended(process.pid)
    if process.returncode:
        code = process.returncode
        how = f"ended with status {code}" if code > 0 else f"was ended by signal {-code}"
        raise TransportError(f"no token: {command[0]} {how}{_first_line(complaint)}")
    text = output.decode(errors="replace").strip()
    token = _of_json(text) if text.startswith("{") else text
    if token is None or not _TOKEN.fullmatch(token):
        raise ScribedError(
            f'{_KEY}: what {command[0]} prints is neither a token nor {{"token": "…"}}'
            f"{_first_line(complaint)}"
        )
    return token


def _run(process: subprocess.Popen[bytes], name: str, timeout_s: float) -> tuple[bytes, bytes]:
    """What it prints, and the beginning of its errors, once it has ended."""
    deadline = time.monotonic() + timeout_s
    assert process.stdout is not None
    assert process.stderr is not None
    output, complaint = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, complaint)
        while selector.get_map() and time.monotonic() < deadline:
            for ready, _ in selector.select(deadline - time.monotonic()):
                data = os.read(ready.fd, 4096)
                ready.data.extend(data)
                if not data:
                    selector.unregister(ready.fileobj)
            if len(output) > MAX_OUTPUT:
                raise ScribedError(f"{_KEY}: {name} prints more than {MAX_OUTPUT} bytes")
            del complaint[4 * MAX_COMPLAINT :]
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
        return bytes(output), bytes(complaint)
    raise TransportError(f"no token: {name} did not end within {timeout_s:g} s"
                         f"{_first_line(complaint)}")  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind, however it went."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _first_line(complaint: bytes | bytearray) -> str:
    """`: ` and the first line of `complaint`, short and printable; empty where there is none."""
    text = complaint.decode(errors="replace").strip()
    line = text.splitlines()[0] if text else ""
    line = "".join(char if char.isprintable() else " " for char in line)[:MAX_COMPLAINT]
    return f": {line}" if line else ""
