"""Certificates: theirs, ours, and when they end."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from scribed.delivery.attempts import Loss, Version
from scribed.delivery.certificates import Validity, complaint, day, validity
from scribed.delivery.mqtt import Wire
from scribed.delivery.refusals import Refusals
from scribed.demo.broker import Broker, ServerTls
from scribed.errors import BrokerError
from scribed.model import Alert, AlertCleared
from tests.delivery.peers import Rig
from tests.delivery.test_mqtt import Dial, dial, failure, greet

__all__ = ["dial"]
DAY_S = 86_400.0
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


def der(begins: datetime, ends: datetime) -> bytes:
    issued = trustme.CA().issue_cert("localhost", not_before=begins, not_after=ends)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize("years", [1, 40])
def test_when_it_ends_is_read_from_the_certificate(years: int) -> None:
    ends = NOW + timedelta(days=365 * years)
    found = validity(der(NOW, ends))
    assert found == Validity(NOW.timestamp(), ends.timestamp())
    assert day(found.begins) == "2026-06-01 00:00 UTC"


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-1, "it does not hold before 2026-06-01 00:00 UTC; renew it, or set the clock here"),
        (1, None),
        (27, "it expires on 2026-07-01 00:00 UTC; renew it"),
        (30, "it has expired on 2026-07-01 00:00 UTC; renew it"),
    ],
)
def test_what_is_wrong_with_how_long_it_holds_is_said(days: int, said: str | None) -> None:
    holds = Validity(NOW.timestamp(), (NOW + timedelta(days=30)).timestamp())
    assert complaint("it", holds, NOW.timestamp() + days * DAY_S) == said


CERTIFICATE = der(NOW, NOW + timedelta(days=1))


@given(st.binary(max_size=64) | st.integers(0, len(CERTIFICATE) - 1).map(CERTIFICATE.__getitem__))
def test_what_is_no_certificate_is_said_to_be_none(data: bytes | int) -> None:
    broken = data if isinstance(data, bytes) else CERTIFICATE[:data]
    with pytest.raises(ValueError, match=r".+"):
        validity(broken)


@pytest.mark.parametrize(
    ("days", "left", "soon"),
    [(365, 20, False), (365, 14, True), (365, -1, True), (5, 2, False), (5, 1, True)],
)
def test_soon_is_two_weeks_or_a_fifth_of_its_time(days: int, left: int, soon: bool) -> None:
    assert Validity(0.0, days * DAY_S).is_soon_over((days - left) * DAY_S) is soon


def test_the_alert_is_raised_once_and_cleared_once() -> None:
    refusals = Refusals()
    assert refusals.expiring([]) is None
    raised = refusals.expiring(["the broker's certificate expires on 2026-06-09"])
    assert isinstance(raised, Alert)
    assert (raised.code, raised.severity) == ("cert_expiring", "warning")
    assert refusals.expiring(["the broker's certificate expires on 2026-06-09"]) is None
    cleared = refusals.expiring([])
    assert cleared == AlertCleared("cert_expiring", owner=raised.owner)


@dataclass
class Office:
    """An authority, its directory, and what it has issued there."""

    directory: Path
    authority: trustme.CA

    def issue(self, name: str, host: str = "localhost", **when: Any) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        issued = self.authority.issue_cert(host, **when)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(files[0], append=number > 0)
        issued.private_key_pem.write_to_path(files[1])
        files[1].chmod(0o600)
        return files

    @property
    def ca_file(self) -> Path:
        path = self.directory / "ca.pem"
        self.authority.cert_pem.write_to_path(path)
        return path

    def secure(self, **more: Any) -> dict[str, Any]:
        """Keys of [mqtt]."""
        return {"host": "localhost", "tls": True, "ca_file": str(self.ca_file), **more}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path, trustme.CA())


@pytest.fixture
def strict(office: Office) -> Iterator[Broker]:
    """A broker that wants to see a certificate of its own authority."""
    files = ServerTls(*office.issue("server"), client_ca=office.ca_file)
    with Broker(office.directory, tls=files) as broker:
        yield broker


def test_who_shows_the_right_certificate_is_let_in(
    strict: Broker, office: Office, dial: Dial
) -> None:
    ours, key = office.issue("ours", host="r7")
    wire = dial(strict.port, **office.secure(cert_file=str(ours), key_file=str(key)))
    greet(wire)
    names = [held.name for held in wire.certificates]
    assert names == ["the broker's certificate", f"{ours} (mqtt.cert_file)"]
    both = office.directory / "both.pem"
    both.write_bytes(ours.read_bytes() + key.read_bytes())
    greet(dial(strict.port, **office.secure(cert_file=str(both))))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_who_shows_none_is_told_what_to_name(
    strict: Broker, office: Office, dial: Dial, version: Version
) -> None:
    error, wire = refused(dial, strict, office.secure(), version)
    assert "the broker wants a certificate of ours" in str(error)
    assert "mqtt.cert_file" in str(error)
    assert error.untrusted
    assert wire is None or wire.loss is Loss.UNTRUSTED


@pytest.mark.parametrize("fault", ["foreign", "expired"])
def test_who_shows_a_wrong_one_is_told_which(
    strict: Broker, office: Office, dial: Dial, fault: str
) -> None:
    issuer = Office(office.directory, trustme.CA()) if fault == "foreign" else office
    past: dict[str, Any] = {"not_after": datetime.now(timezone.utc) - timedelta(days=1)}
    ours, key = issuer.issue("wrong", host="r7", **(past if fault == "expired" else {}))
    how = office.secure(cert_file=str(ours), key_file=str(key))
    error, _ = refused(dial, strict, how)
    assert f"the broker refuses mqtt.cert_file = {ours}" in str(error)
    assert error.untrusted


def refused(
    dial: Dial, broker: Broker, how: dict[str, Any], version: Version = "5"
) -> tuple[BrokerError, Wire | None]:
    """The error: of the handshake, or (TLS 1.3) of the first read after it."""
    try:
        wire = dial(broker.port, version=version, **how)
    except BrokerError as exc:
        return exc, None
    return failure(wire), wire


def test_files_that_cannot_be_used_are_named(office: Office, dial: Dial) -> None:
    ours, key = office.issue("ours")
    other = office.issue("other")[1]
    nothing = office.directory / "empty.pem"
    nothing.touch()

    def why(**files: Path) -> str:
        with pytest.raises(BrokerError) as caught:
            dial(1, **office.secure(**{name: str(path) for name, path in files.items()}))
        assert caught.value.untrusted
        return str(caught.value)

    gone = office.directory / "gone.pem"
    assert f"mqtt.cert_file: {gone}" in why(cert_file=gone, key_file=key)
    assert "do not belong together" in why(cert_file=ours, key_file=other)
    assert "both in PEM form" in why(cert_file=nothing, key_file=key)
    assert "both in PEM form" in why(cert_file=ours), "the key is in neither"
    assert f"mqtt.ca_file: {gone}" in why(ca_file=gone)


def test_a_key_under_a_password_asks_nobody(office: Office, dial: Dial) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    ours, key = office.issue("ours")
    secret = pem.load_pem_private_key(key.read_bytes(), None)
    sealed = pem.BestAvailableEncryption(b"secret")
    form = pem.PrivateFormat.PKCS8
    key.write_bytes(secret.private_bytes(pem.Encoding.PEM, form, sealed))
    with pytest.raises(BrokerError, match="the key not encrypted"):
        dial(1, **office.secure(cert_file=str(ours), key_file=str(key)))


def test_a_certificate_that_ends_soon_is_an_alert_until_another_is_there(office: Office) -> None:
    now = datetime.now(timezone.utc)
    soon: dict[str, Any] = {
        "not_before": now - timedelta(days=80),
        "not_after": now + timedelta(days=10),
    }
    files = ServerTls(*office.issue("server", **soon))
    with (
        Broker(office.directory, tls=files) as broker,
        Rig(broker.port, **office.secure()) as rig,
    ):
        alert = rig.tells(Alert, "cert_expiring")
        assert f"the broker's certificate expires on {day(soon['not_after'].timestamp())}" in (
            alert.message
        )
        office.issue("server", not_after=now + timedelta(days=90))
        broker.restart()
        assert rig.tells(AlertCleared, "cert_expiring").owner == alert.owner


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("expired", "is out of date"),
        ("elsewhere", "is not for localhost"),
        ("self-signed", "is not signed by"),
    ],
)
def test_a_broker_that_cannot_be_trusted_is_an_alert_with_what_to_do(
    office: Office, fault: str, words: str
) -> None:
    past: dict[str, Any] = {"not_after": datetime.now(timezone.utc) - timedelta(days=1)}
    issued = {
        "expired": lambda: office.issue("server", **past),
        "elsewhere": lambda: office.issue("server", host="hub.example"),
        "self-signed": lambda: Office(office.directory, trustme.CA()).issue("server"),
    }[fault]()
    secure = office.secure()
    with (
        Broker(office.directory, tls=ServerTls(*issued)) as broker,
        Rig(broker.port, **secure) as rig,
    ):
        alert = rig.tells(Alert, "mqtt_denied")
        assert words in alert.message
        assert "mqtt.ca_file" in alert.remedy
        office.issue("server")
        broker.restart()
        rig.tells(AlertCleared, "mqtt_denied")
