"""TLS to the broker: verification is always on."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import NamedTuple

from scribed.config import Mqtt
from scribed.delivery import reasons
from scribed.delivery.certificates import Validity, validity

MAX_PEM_BYTES = 1 << 20


class Held(NamedTuple):
    """A certificate that the connection stands on."""

    name: str  #: as "the broker's certificate"
    holds: Validity


class _Socket(ssl.SSLSocket):
    """Closed where the handshake fails: paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def context(mqtt: Mqtt) -> ssl.SSLContext:
    """A context that trusts the CAs in `mqtt.ca_file`, or (empty) those of the system, and shows
    the certificate in `mqtt.cert_file`, where there is one.

    Raises `OSError` (`ssl.SSLError` is one) where a file cannot be used; its `filename` is one of
    the two.
    """
    try:
        verifying = ssl.create_default_context(cafile=mqtt.ca_file or None)
    except OSError as exc:
        exc.filename = mqtt.ca_file
        raise
    verifying.sslsocket_class = _Socket
    if mqtt.cert_file:
        try:
            # An encrypted key would have OpenSSL ask on the terminal, and wait.
            verifying.load_cert_chain(mqtt.cert_file, mqtt.key_file or None, password="")
        except OSError as exc:
            exc.filename = mqtt.cert_file
            raise
    return verifying


def holds_plaintext(connection: object) -> bool:
    """Whether `connection` has decrypted bytes, which no selector can see."""
    pending = getattr(connection, "pending", None)
    return pending is not None and pending() > 0


def certificates(connection: object, cert_file: str) -> list[Held]:
    """Those that `connection` to the broker stands on: the broker's, and ours in `cert_file`."""
    found = []
    if isinstance(connection, ssl.SSLSocket) and (der := connection.getpeercert(binary_form=True)):
        with contextlib.suppress(ValueError):
            found.append(Held("the broker's certificate", validity(der)))
    return [*found, *own(cert_file)]


def own(cert_file: str) -> list[Held]:
    """The certificate in `mqtt.cert_file`, where there is one that can be read."""
    with contextlib.suppress(OSError, ValueError):
        if cert_file:
            return [Held(f"{cert_file} (mqtt.cert_file)", validity(_first(cert_file)))]
    return []


def own_problem(mqtt: Mqtt) -> str | None:
    """Why no connection can be made with the files of [mqtt]; None: they will do."""
    try:
        if mqtt.tls:
            context(mqtt)
    except OSError as exc:
        return str(reasons.bad_pem_file(exc, mqtt))
    return None


def _first(file: str) -> bytes:
    """The DER of the first certificate in a file: the leaf."""
    with Path(file).open(encoding="ascii", errors="replace") as pem:
        text = pem.read(MAX_PEM_BYTES)
    _, begin, rest = text.partition("-----BEGIN CERTIFICATE-----")
    leaf, end, _ = rest.partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(begin + leaf + end)
