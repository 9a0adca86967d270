"""What went wrong with the broker, in one line that says what to do. Pure."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

from scribed.config import Mqtt
from scribed.delivery.attempts import Loss
from scribed.errors import BrokerError

UNSPECIFIED = 128
VERSION_UNSUPPORTED = 132
BAD_CREDENTIALS = 134
NOT_AUTHORIZED = 135
BANNED = 138
TAKEN_OVER = 142
PACKET_TOO_LARGE = 149
_LIMITS = {PACKET_TOO_LARGE: Loss.TOO_LARGE, 151: Loss.QUOTA}
_DISCONNECT = 14
_OF_CERTIFICATES = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
_DENIED = (BAD_CREDENTIALS, NOT_AUTHORIZED, BANNED)


def where(mqtt: Mqtt) -> str:
    """The broker, for people."""
    if mqtt.transport == "unix":
        return mqtt.path
    return f"{mqtt.host} port {mqtt.port}"


def unreachable(exc: OSError | ValueError, mqtt: Mqtt, timeout_s: float) -> BrokerError:
    """Why no connection came about; `exc` is what the socket or TLS layer raised."""
    if mqtt.transport == "unix":
        return BrokerError(_no_unix_socket(exc, mqtt.path, timeout_s))
    if isinstance(exc, ssl.SSLError):
        return _no_tls(exc, mqtt)
    place = where(mqtt)
    match exc:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            text = f"mqtt.host: {mqtt.host} cannot be looked up now, DNS does not answer"
        case socket.gaierror(strerror=why):
            text = f"mqtt.host: {mqtt.host} is unknown ({why}); correct the name"
        case TimeoutError():
            text = f"{place} did not answer within {timeout_s:g} s; is it up, is mqtt.host right?"
        case ConnectionResetError() if mqtt.tls:
            text = _not_tls(place, "it hung up")
        case ConnectionRefusedError():
            text = f"nothing listens on {place}; start the broker, or correct mqtt.host, mqtt.port"
        case OSError():
            text = f"no connection to {place}: {_strerror(exc)}"
        case _:
            text = f"mqtt.host: {mqtt.host} cannot be a host name ({exc}); correct it"
    return BrokerError(text)


def no_websocket(mqtt: Mqtt) -> BrokerError:
    """Something answers there, and not as a broker's WebSocket does."""
    return BrokerError(
        f"{where(mqtt)} opens no WebSocket at {mqtt.path or '/mqtt'}; correct mqtt.port, "
        "mqtt.path or mqtt.transport"
    )


def is_of_our_certificate(why: str) -> bool:
    """Whether the broker's TLS says with `why` that it wants another certificate of ours."""
    said = why.upper().replace(" ", "_")
    return "ALERT" in said and any(word in said for word in _OF_CERTIFICATES)


def certificate_refused(why: str, mqtt: Mqtt) -> BrokerError:
    """The broker does not accept the certificate that we have, or wants one."""
    found = re.search(r"ALERT[_ ]([A-Z_ ]+)", why.upper())
    said = found[1].strip(" _").replace("_", " ").lower() if found else why
    if not mqtt.cert_file:
        text = f"the broker wants a certificate of ours ({said}); name it in mqtt.cert_file"
    else:
        text = f"the broker refuses mqtt.cert_file = {mqtt.cert_file} ({said}); renew or correct it"
    return BrokerError(text, untrusted=True)


def bad_pem_file(exc: OSError, mqtt: Mqtt) -> BrokerError:
    """`mqtt.ca_file` (the error names it), or `mqtt.cert_file` with its key, cannot be used."""
    if exc.filename == mqtt.ca_file:
        told = f"mqtt.ca_file: {mqtt.ca_file}"
        if isinstance(exc, ssl.SSLError):
            return BrokerError(f"{told} holds no certificate in PEM form", untrusted=True)
        return BrokerError(f"{told}: {_strerror(exc)}", untrusted=True)
    told = f"mqtt.cert_file: {mqtt.cert_file}"
    if not isinstance(exc, ssl.SSLError):
        return BrokerError(f"{told} or its key: {_strerror(exc)}", untrusted=True)
    key = mqtt.key_file or mqtt.cert_file
    if "MISMATCH" in str(exc).upper():
        return BrokerError(f"{told} and the key in {key} do not belong together", untrusted=True)
    return BrokerError(
        f"{told} must hold a certificate, and {key} its key, both in PEM form, the key not "
        "encrypted",
        untrusted=True,
    )


def refused(code: int, name: str, mqtt: Mqtt, client_id: str) -> tuple[BrokerError, Loss]:
    """The broker answered CONNECT with the reason `code` (of MQTT 5) and its `name`."""
    if code == VERSION_UNSUPPORTED:
        text = "the broker does not speak this version of MQTT; mqtt.protocol chooses it"
    elif code in (BAD_CREDENTIALS, NOT_AUTHORIZED) and not mqtt.username:
        text = "the broker takes no anonymous clients; set mqtt.username and mqtt.password_file"
    elif code in (BAD_CREDENTIALS, NOT_AUTHORIZED):
        text = (
            f'the broker refuses the user "{mqtt.username}" ({name.lower()}); '
            "correct mqtt.username or the password in mqtt.password_file"
        )
    elif code == 133:
        text = f'the broker refuses the client id "{client_id}"; set another mqtt.client_id'
    else:
        text = f"the broker refuses the connection: {name.lower()}"
    loss = Loss.WRONG_VERSION if code == VERSION_UNSUPPORTED else _LIMITS.get(code, Loss.REFUSED)
    return BrokerError(text, denied=code in _DENIED or code in _LIMITS), loss


def ended(code: int, name: str, client_id: str) -> tuple[BrokerError, Loss]:
    """The broker ended the session with the reason `code` (MQTT 5 only) and its `name`."""
    loss = _LIMITS.get(code, Loss.LOST)
    text = f"the broker ended the session: {name.lower()}"
    if code == TAKEN_OVER:
        loss = Loss.TAKEN_OVER
        text = (
            f'another client has connected as "{client_id}" and the broker dropped this one; '
            "give each daemon a mqtt.client_id of its own"
        )
    return BrokerError(text, denied=code in _DENIED or loss is not Loss.LOST), loss


def farewell(data: bytes) -> int | None:
    """The reason of the DISCONNECT among the (short) packets in `data`; None: there is none."""
    while len(data) >= 2:
        kind, length = data[0] >> 4, data[1]
        if kind == _DISCONNECT:
            return data[2] if length else 0
        data = data[2 + length :]
    return None


def lost(why: str, *, greeted: bool, mqtt: Mqtt, client_id: str) -> BrokerError:
    """The connection broke; `greeted` is whether the broker had accepted it before.

    `why` is empty where the peer closed it without a word: version 3.1.1 knows no other way to
    say that another client took our id, and mosquitto 2.0 says it like that in version 5, too.
    """
    if not greeted:
        return BrokerError(
            f"{where(mqtt)} closed the connection instead of answering"
            f"{f' ({why})' if why else ''}; "
            "is it an MQTT broker, and does that port want TLS (mqtt.tls)?"
        )
    if why:
        return BrokerError(f"the connection to the broker was lost: {why}")
    return BrokerError(
        "the broker closed the connection without a reason; if it was not stopped, another client "
        f'is connected as "{client_id}" (mqtt.client_id)'
    )


def _untrusted(exc: ssl.SSLCertVerificationError, mqtt: Mqtt) -> str:
    why = exc.verify_message or exc.reason or str(exc)
    if "mismatch" in why or "not valid for" in why:
        return f"the broker's certificate is not for {mqtt.host}: mqtt.host must be a name in it"
    if "expired" in why or "not yet valid" in why:
        return f"the broker's certificate is out of date ({why}), or the clock here is wrong"
    signer = mqtt.ca_file or "any authority that this machine trusts"
    return f"the broker's certificate is not signed by {signer} ({why}); mqtt.ca_file names the CA"


def _no_tls(exc: ssl.SSLError, mqtt: Mqtt) -> BrokerError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return BrokerError(_untrusted(exc, mqtt), untrusted=True)
    if is_of_our_certificate(str(exc)):
        return certificate_refused(str(exc), mqtt)
    return BrokerError(_not_tls(where(mqtt), exc.reason or str(exc)))


def _not_tls(place: str, why: str) -> str:
    return f"no TLS with {place} ({why}); is it the broker's TLS port (mqtt.port, mqtt.tls)?"


def _no_unix_socket(exc: OSError | ValueError, path: str, timeout_s: float) -> str:
    match exc:
        case TimeoutError() | BlockingIOError():
            return f"mqtt.path: {path} did not answer within {timeout_s:g} s; does the broker hang?"
        case ConnectionRefusedError():
            return f"nothing listens on {path}; start the broker, or correct mqtt.path"
        case OSError():
            why = _strerror(exc)
            return f"mqtt.path: {path}: {why}; it must be the broker's socket, open to this user"
        case _:
            return f"mqtt.path: {path} cannot be a socket ({exc}); correct it"


def _strerror(exc: OSError) -> str:
    if exc.errno is not None and exc.errno in errno.errorcode:
        return os.strerror(exc.errno)
    return str(exc) or type(exc).__name__
