"""TLS for the simulator: a certificate of the user's, or one made for the occasion."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from pathlib import Path

from scribed.errors import ScribedError

DAYS = 30
OPENSSL_LIMIT_S = 20.0  # for one call; it takes 20 ms

# Everything is spelled out, so that the distribution's own openssl.cnf does not matter. Python 3.13
# refuses an authority without keyUsage, and a certificate without the two key identifiers.
CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


def from_files(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """Load a PEM certificate chain and its key. Raises `ScribedError` naming the file."""
    for path in (certificate, private_key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ScribedError(f"cannot read {path}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(certificate, private_key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ScribedError(
            f"{certificate} and {private_key} are not a PEM certificate and its unencrypted "
            f"private key ({error})"
        ) from error
    return context


def throw_away(directory: Path, *, host: str) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for localhost, the loopback addresses and `host` in `directory`.

    Returns the server's context and the file of the authority that a client must trust. The
    authority's own key is deleted. Needs the `openssl` command; raises `ScribedError`.
    """
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    certificate, key, request = (directory / name for name in ("cert.pem", "key.pem", "cert.csr"))
    config = directory / "openssl.cnf"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]

    _configure(config, "scribed simulate, throw-away authority", host)
    _openssl("req", "-x509", *new_key, "-config", config, "-extensions", "authority",
             "-days", DAYS, "-keyout", authority_key, "-out", authority)  # fmt: skip
    _configure(config, "scribed simulate", host)
    _openssl("req", *new_key, "-config", config, "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key,
             "-set_serial", 2, "-days", DAYS, "-extfile", config, "-extensions", "server",
             "-out", certificate)  # fmt: skip
    for path in (authority_key, request, config):
        path.unlink()
    return from_files(certificate, key), authority


def _configure(config: Path, name: str, host: str) -> None:
    names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.append(f"DNS:{host}")
    else:
        if not address.is_loopback and not address.is_unspecified:
            names.append(f"IP:{address}")
    config.write_text(CONFIG.format(name=name, names=", ".join(dict.fromkeys(names))))


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=OPENSSL_LIMIT_S)
    except FileNotFoundError as error:
        raise ScribedError(
            "--tls needs the openssl command (apt install openssl), or give --certificate and "
            "--private-key"
        ) from error
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        raise ScribedError(f"openssl could not make a certificate: {said or error}") from error
