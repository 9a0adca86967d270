"""No secret is told: keys, tokens and a password are looked for in everything that a daemon leaves.

It logs all that it can, and its peers do what they can to have it say something.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.test_reload import reload, reloaded
from tests.parts.broker import Broker
from tests.parts.canary import Canary, leaks
from tests.parts.cloud import Behaviour, Cloud
from tests.parts.robot import Robot, silence
from tests.service.minting import Minter, http, minted

KEY, OTHER_KEY = "f1rst/k3y-c4n4ry+7d1f=09", "s3cond/c4n4ry+55aa=e2-key"
PASSWORD = "pw&c4n4ry/b0b=%33"
TOKEN = "t0ken/c4n4ry+abcdef=ghi"
CANARIES = {
    "the first key": Canary(KEY),
    "the second key": Canary(OTHER_KEY),
    "the password": Canary(PASSWORD),
    "the token": Canary(TOKEN),
}


def private(path: Path, secret: str) -> Path:
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return path


def echoes(*secrets: str) -> list[Behaviour]:
    """A service that repeats what it was given, in every place that it has for words."""
    told = [" ".join((secret, quote(secret, safe=""), quote(secret))) for secret in secrets]
    return [
        behaviour
        for words in told
        for behaviour in (
            Behaviour(http_status=401, headers={"X-Error": words, "WWW-Authenticate": words}),
            Behaviour(http_status=503, headers={"Retry-After": "0", "X-Error": words}),
            Behaviour(greeting=[{"message_type": "auth_error", "error": f"bad: {words}"}]),
            Behaviour(greeting=[{"message_type": "queue_overflow", "error": words}]),
            Behaviour(greeting=[{"message_type": words, "error": words, words: words}]),
            Behaviour(drop_at_commit=True),
            Behaviour(error_at_commit={"message_type": "input_error", "error": words}),
        )
    ]


def left(robot: Robot, **more: bytes) -> dict[str, bytes]:
    """Everything that others may see of a daemon that was started by this robot."""
    places = {"the log": robot.log_path.read_bytes(), **more}
    places |= {f"command line {n}": line for n, line in enumerate(robot.command_lines)}
    places |= {f"its file {path}": path.read_bytes() for path in files(robot.directory / "run")}
    places |= {f"its file {path}": path.read_bytes() for path in files(robot.state_directory)}
    for message in robot.subscriber.received:
        name = f"topic {message.topic}"
        places[name] = places.get(name, b"") + json.dumps(message.payload).encode()
    assert len(places) > 20
    return places


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def asked(robot: Robot, *words: str) -> bytes:
    """What a command says."""
    done = subprocess.run(
        [sys.executable, "-m", "scribed", *words],
        env=robot.environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout + done.stderr


def test_no_secret_is_told_whatever_peers_and_operators_do(
    cloud: Cloud, tmp_path: Path, command: bytes
) -> None:
    key, password = private(tmp_path / "key", KEY), private(tmp_path / "password", PASSWORD)
    (home := tmp_path / "broker").mkdir()
    sections: dict[str, dict[str, Any]] = {
        "audio": {"source": "stdin"},
        "provider": {"url": cloud.url, "key_file": str(key), "connect": "always"},
        "retry": {"initial_s": 0.05, "max_s": 1.0, "refused_s": 1.0},
        "mqtt": {"username": "r7", "password_file": str(password)},
        "log": {"level": "debug"},
    }
    utterance = silence(0.3) + command + silence(0.8)
    cloud.behaviours.extend(echoes(KEY))
    with (
        Broker(home, passwords={"r7": PASSWORD}) as broker,
        Minter(minted(TOKEN)) as minter,
        Robot(tmp_path, sections, key=None, broker=broker, user=("r7", PASSWORD)) as robot,
    ):
        robot.wait_for(lambda: robot.alert("auth_failed"))
        robot.speak(utterance, pace=8.0)
        robot.wait_for_texts(1, timeout=40)
        key.chmod(0o644)
        said = asked(robot, "check", "-c", str(robot.configuration), "--show")
        reload(robot)
        reloaded(robot)
        private(key, OTHER_KEY)
        reload(robot)
        robot.speak(utterance, pace=8.0)
        robot.wait_for_texts(2, timeout=40)
        # Tokens, from a server that repeats the key as well
        minter.answer = http(403, f"no: {OTHER_KEY} {quote(OTHER_KEY, safe='')}")
        token_url = f"http://127.0.0.1:{minter.port}/token"
        robot.sections["provider.elevenlabs"] = {"auth": "token", "token_url": token_url}
        reload(robot)
        robot.wait_for(lambda: "no token" in str(robot.link.get("last_error")))
        # Only now: by a connection with the key it would be told a token that it never had.
        cloud.behaviours.extend(echoes(TOKEN)[1:5])
        minter.answer = minted(TOKEN)
        robot.speak(utterance, pace=8.0)
        robot.wait_for_texts(3, timeout=40)
        assert any(quote(TOKEN, safe="") in request.path for request in cloud.requests)
        said += asked(robot, "check", "-c", str(robot.configuration), "--show")
        said += asked(robot, "status", "-i", "default", "--json")
        proc = Path(f"/proc/{robot.process.pid}")
        environ, limits = (proc / "environ").read_bytes(), (proc / "limits").read_text()
        assert "Max core file size        0                    0" in limits
        assert int((proc / "coredump_filter").read_text(), 16) == 0
        robot.process.send_signal(signal.SIGABRT)
        robot.process.wait(10)
        assert "Fatal Python error: Aborted" in robot.log
        places = left(robot, **{"what commands say": said, "its environment": environ})
    assert leaks(CANARIES, places) == []
