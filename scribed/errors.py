"""Everything that can go wrong, named by what is done about it.

```
ScribedError                 its text is for the user: one line that says what to do
├─ ConfigError               exit 78: lists every problem
├─ StateInUse                exit 75: another process has the state directory
├─ SourceError               stays in capture (reopen); fatal only for file and stdin
├─ TransportError            stays in the uplink (reconnect)
│  └─ Refused                the server answered HTTP instead of a WebSocket
└─ BrokerError               stays in delivery (reconnect)
anything else                a bug: exit 70 with its traceback
```
"""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """What `scribed` tells its caller; systemd restarts all but OK and CONFIG."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BUG = 70  # EX_SOFTWARE
    IN_USE = 75  # EX_TEMPFAIL
    CONFIG = 78  # EX_CONFIG


class Remedy(enum.Enum):
    """What a failed session asks of the uplink."""

    RECONNECT = "reconnect"  # an ordinary end (idle, session limit): connect when there is work
    BACK_OFF = "back_off"  # a fault that may pass: retry with growing delays
    COOL_DOWN = "cool_down"  # the service asks for less: retry after the longest delay
    REFUSED = "refused"  # retrying at once cannot help: a state with a slow retry and an alert


class ScribedError(Exception):
    """Base of every exception scribed raises on purpose; `str()` is one line for the user."""

    exit_status = ExitStatus.FAILED


class ConfigError(ScribedError):
    """The configuration is not valid; `problems` has a line for each fault."""

    exit_status = ExitStatus.CONFIG

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StateInUse(ScribedError):
    """Another process has the state directory open."""

    exit_status = ExitStatus.IN_USE


class SourceError(ScribedError):
    """The microphone, file or pipe cannot be opened, or was lost."""


class TransportError(ScribedError):
    """The WebSocket failed below the provider's protocol."""


class Refused(TransportError):
    """The server answered the upgrade with HTTP `status` instead of 101."""

    def __init__(self, status: int, body: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.body, self.retry_after_s = status, body, retry_after_s


class BrokerError(ScribedError):
    """The MQTT connection failed or was refused.

    `denied` is true where the broker refused us (password, ACL), `untrusted` where a certificate,
    theirs or ours, or its file cannot be used: a human must act.
    """

    def __init__(self, message: str, *, denied: bool = False, untrusted: bool = False) -> None:
        super().__init__(message)
        self.denied, self.untrusted = denied, untrusted
