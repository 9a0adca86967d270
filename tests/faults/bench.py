"""What a scenario stands on, put together: microphone, daemon, broker, service, networks, judge."""

from __future__ import annotations

import contextlib
import ssl
import time
from pathlib import Path
from typing import Any

import trustme

from tests.faults import report
from tests.faults.cloud import Cloud
from tests.faults.microphone import Microphone
from tests.faults.oracle import Judge
from tests.faults.path import Path as NetworkPath
from tests.faults.proxy import Proxy
from tests.parts.broker import Broker
from tests.parts.robot import KEY, Robot

PACE = 4.0
"""How much faster than real time the scenarios speak, where the time itself is not the point."""
FRESH_S = 10.0
"""After the last fault a new phrase is on `transcript` within so long."""
QUICK: dict[str, dict[str, Any]] = {
    "provider": {"connect_timeout_s": 1.0, "answer_timeout_s": 1.0},
    "retry": {"initial_s": 0.1, "max_s": 1.0, "refused_s": 1.0},
    "mqtt": {"will_delay_s": 60},
    "log": {"level": "debug"},
}
"""Waits that a test has the time for; the defaults are held to in the slow tests."""


class TracedRobot(Robot):
    """A robot whose daemon may be started by another program."""

    def run_under(self, *command: str) -> None:
        """From the next `start()` on `command` stands before all else; nothing: none does."""
        self._program = (*command, *self._program[-4:])


class Bench:
    """A context manager. `sections` overlay `QUICK`; `quick=False` leaves the defaults.

    `uplink` is the network to the service, behind `path` where there is one; with `broker_proxy`
    there is one to the broker too.
    """

    def __init__(
        self,
        directory: Path,
        phrases: list[bytes],
        *,
        run: int,
        pace: float = PACE,
        quick: bool = True,
        broker: Broker | None = None,
        broker_proxy: bool = False,
        path: NetworkPath | None = None,
        environment: dict[str, str] | None = None,
        user: tuple[str, str] = ("", ""),
        sections: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.directory, self.run = directory, run
        self.microphone = Microphone(directory, phrases, run=run, pace=pace)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.cloud = Cloud(run=run, tls=tls)
        self.uplink = Proxy(self.cloud.port, seed=run, path=path)
        authority.issue_cert(self.uplink.host).configure_cert(tls)
        self.faults = 0
        self.repeats = 0  #: that the faults allow
        self.reconnect_s: float | None = None
        self.fresh_s: float | None = None
        self._quick, self._broker, self._sections = quick, broker, sections or {}
        self.runtime_directory = directory / "runtime"
        self._broker_proxy = broker_proxy
        self._environment = {
            "RUNTIME_DIRECTORY": str(self.runtime_directory),
            **(environment or {}),
        }
        self._user = user
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.cloud)
            stack.enter_context(self.uplink)
            stack.enter_context(self.microphone)
            self.runtime_directory.mkdir(mode=0o700, exist_ok=True)
            if self._broker is None:
                (home := self.directory / "broker").mkdir(exist_ok=True)
                self._broker = stack.enter_context(
                    Broker(home, persistence=True, max_inflight=1000)
                )
            self.broker = self._broker
            self.downlink = Proxy(self.broker.port, seed=self.run)
            if self._broker_proxy:
                stack.enter_context(self.downlink)
            self.robot = TracedRobot(
                self.directory,
                self._configuration(),
                program=self.microphone.program,
                broker=self.broker,
                environment=self._environment,
                user=self._user,
            )
            self.judge = Judge(self.robot, self.microphone)
            stack.enter_context(self.robot)
            self.robot.wait_for(lambda: self.robot.status == "online")
            self.microphone.listen()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.__exit__(*exc)  # type: ignore[arg-type]
        if exc[0] is None:
            log = self.robot.log
            assert "Traceback" not in log, log
            assert "bug in" not in log, log
            self._assert_discreet()

    # What scenarios do

    def say(self, phrase: int, **more: int) -> int:
        return self.microphone.say(phrase, **more)

    def start_again(self) -> None:
        """Start the daemon (after `kill()` or `stop()`), and speak to it when it is there."""
        before = len(self.robot.on("status"))
        self.robot.start()
        self.robot.wait_for(
            lambda: "online" in [m.payload for m in self.robot.on("status")[before:]]
        )
        self.microphone.listen()

    def kill(self) -> None:
        """kill -9; what the daemon had not read from the microphone is not captured."""
        self.robot.kill()
        self.microphone.cut()

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and how long it took."""
        status, took = self.robot.stop()
        self.microphone.cut()
        return status, took

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until all that was said has its text or its end, at most `timeout` seconds."""
        self.microphone.hush()

        def settled() -> bool:
            if self.judge.unaccounted():
                return False
            verdict = self.judge.verdict()
            return not verdict.lost

        with contextlib.suppress(AssertionError):  # the judge says it better
            self.robot.wait_for(settled, timeout)

    def healed(self, since: float) -> None:
        """The fault ended at `since` (monotonic): note how long until the next session."""
        later = [at for at in self.cloud.greeted if at >= since]
        if later:
            self.reconnect_s = max(self.reconnect_s or 0.0, later[0] - since)

    def fresh(self, phrase: int = 0) -> None:
        """After the last fault: what is said now is on `transcript` within `FRESH_S`."""
        number = self.say(phrase)
        self.microphone.wait_until_said(number)
        said_at = time.monotonic()
        self.robot.wait_for(
            lambda: any(f"u{number} " in text for text in self.robot.texts), FRESH_S
        )
        self.fresh_s = max(self.fresh_s or 0.0, time.monotonic() - said_at)

    def wait_for_text_of(self, utterance: int, timeout: float = 20.0) -> None:
        """Wait until some of an utterance has its text."""
        words = f"u{utterance} "
        self.robot.wait_for(
            lambda: any(words in m.payload["text"] for m in self.robot.finals), timeout
        )

    def conclude(self, scenario: str, *, lost_ms: int = 0, note: str = "") -> None:
        """Judge: at most `lost_ms` of captured speech is without text or end."""
        figures = self.judge.figures(
            scenario,
            faults=self.faults,
            connects=len(self.cloud.upgrades),
            reconnect_s=self.reconnect_s,
            fresh_s=self.fresh_s,
            note=note,
        )
        report.add(figures)
        verdict = self.judge.verdict()
        assert not verdict.misplaced, self._words(f"misplaced: {verdict.misplaced}")
        assert verdict.lost_ms() <= lost_ms, self._words(f"lost: {verdict.lost}")
        assert not verdict.doubled, self._words(f"doubled: {verdict.doubled}")
        uneven = [n for n in self.balances() if n]
        assert not uneven, self._words(f"detected is not pending + published + ended: {uneven}")
        try:
            self.judge.check(repeats=self.repeats)
        except AssertionError as exc:
            raise AssertionError(self._words(str(exc))) from exc

    def balances(self) -> list[float]:
        """The daemon's own self-check, each time that it told it."""
        told = [m.payload["metrics"] for m in self.robot.on("metrics")]
        return [metrics["scribed_utterances_balance"] for metrics in told]

    def _words(self, what: str) -> str:
        ends = [
            f"{m.topic} {m.payload['seq']} {m.payload.get('text') or m.payload.get('outcome')}"
            for m in self.robot.on("transcript", "late", "ended")
        ]
        return f"{what}\nthe ends:\n" + "\n".join(ends) + f"\nthe log:\n{self.robot.log[-12_000:]}"

    def _configuration(self) -> dict[str, dict[str, Any]]:
        merged: dict[str, dict[str, Any]] = {
            "audio": {"source": "stdin"},
            "provider": {
                "url": f"wss://{self.uplink.host}:{self.uplink.port}",
                "ca_file": str(self.directory / "ca.pem"),
            },
            "mqtt": {"port": self.downlink.port if self._broker_proxy else self.broker.port},
        }
        for overlay in (QUICK if self._quick else {}, self._sections):
            for name, values in overlay.items():
                merged.setdefault(name, {}).update(values)
        return merged

    def _assert_discreet(self) -> None:
        """The key is nowhere, in a run at level debug with every fault there is."""
        secret = KEY.encode()
        assert secret not in self.robot.log.encode(), "the key is in the log"
        assert not any(secret in line for line in self.robot.command_lines)
        said = "\n".join(str(m.payload) for m in self.robot.subscriber.received)
        assert KEY not in said, "the key is on MQTT"
        for path in self.robot.state_directory.rglob("*"):
            assert not path.is_file() or secret not in path.read_bytes(), f"the key is in {path}"
