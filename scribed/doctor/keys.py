"""Credentials: whether each is there, and whether the right people can read it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scribed.delivery.certificates import complaint, day
from scribed.delivery.tls import Held
from scribed.doctor.finding import Finding, failed, ok, told, unknown, warning

PART = "credentials"
_OTHERS = 0o077
DIRECTIVES = ("LoadCredential", "LoadCredentialEncrypted")
"""Of a unit that hands files over."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a secret is in, or is handed over from by systemd.

    `mode` and `owner` are None where it cannot be looked at; `is_handed`: systemd reads it as root
    and gives the service a copy (`LoadCredential=`); `is_missing`: there is certainly none.
    """

    path: str
    mode: int | None = None
    owner: int | None = None
    is_handed: bool = False
    is_encrypted: bool = False
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """`problem`: why it cannot be used, in one of scribed's own lines; `is_there` without one."""

    name: str
    is_there: bool
    problem: str = ""
    is_needed: bool = True
    source: Source | None = None


def judge(evidence: Evidence, service: tuple[str, int] | None) -> Finding:
    """`service`: the name and number of the user that the unit runs as; None: there is no unit."""
    source = evidence.source
    if source and source.is_handed and source.is_missing:
        text = f"{evidence.name}: LoadCredential= names {source.path}, which is not there"
        return failed(PART, text, "put the key there (mode 0600): without it no start succeeds")
    if source and source.is_handed and not evidence.is_there:
        return _out_of_sight(evidence, source)
    if evidence.problem:
        remedy = "scribed init asks for it"
        return told(PART, "failed", f"{evidence.name}: {evidence.problem}", remedy)
    if not evidence.is_there:
        return ok(PART, f"{evidence.name}: none, and none is needed")
    if source is None:
        return ok(PART, f"{evidence.name}: is there")
    return _of_file(evidence.name, source, service)


def _out_of_sight(evidence: Evidence, source: Source) -> Finding:
    if source.is_encrypted:
        return unknown(
            PART,
            f"{evidence.name}: {source.path} is encrypted, and the service that could have it "
            "decrypted does not run",
            "start the service and ask again",
        )
    return unknown(
        PART,
        f"{evidence.name}: only root can look at {source.path}",
        "sudo scribed doctor",
    )


def _of_file(name: str, source: Source, service: tuple[str, int] | None) -> Finding:
    path, mode = source.path, source.mode
    if mode is not None and mode & _OTHERS:  # systemd does not mind; a key_file is refused before
        text = f"{name}: {path} is open to others (mode {mode:04o})"
        return warning(PART, text, f"chmod 600 {path}")
    if not source.is_handed and service and source.owner is not None and source.owner != service[1]:
        return failed(
            PART,
            f"{name}: {path} cannot be read by the service, which runs as {service[0]}",
            f"chown {service[0]} {path}",
        )
    return ok(PART, f"{name}: {path}" + (f" (mode {mode:04o})" if mode is not None else ""))


def idle(line: str) -> Finding:
    """A secret that no broker is ever told."""
    return told(PART, "warning", line, "name whose it is in [mqtt]")


def of_certificate(held: Held, wall: float) -> Finding:
    """Our own certificate: how long it holds."""
    line = complaint(held.name, held.holds, wall)
    if line is None:
        return ok(PART, f"{held.name}: until {day(held.holds.ends)}")
    is_over = not held.holds.begins <= wall < held.holds.ends
    return told(PART, "failed" if is_over else "warning", line, "renew it")


def of_pair(line: str) -> Finding:
    """A certificate and a key that cannot be shown to a broker."""
    return told(PART, "failed", line, "correct mqtt.cert_file, or the key")


def source_of(pairs: Sequence[tuple[str, str]], name: str) -> str:
    """The file that `LoadCredential=` names for a credential, "" where it names none."""
    return next((path for key, path in pairs if key == name), "")


def load_credentials(line: str) -> list[tuple[str, str]]:
    """The names and files in a list of credentials, `NAME:FILE` with spaces between."""
    pairs = (each.partition(":") for each in line.split())
    return [(name, path) for name, _, path in pairs if path]


def handed_over(files: str) -> dict[str, str]:
    """The credentials by directive, in the texts of a unit and its drop-ins (`systemctl cat`).

    `systemctl show` says "[unprintable]" of them, at least up to systemd 252.
    """
    found: dict[str, str] = {}
    for line in files.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name in DIRECTIVES:  # an empty one takes back those before
            found[name] = f"{found.get(name, '')} {value}".strip() if value else ""
    return found
