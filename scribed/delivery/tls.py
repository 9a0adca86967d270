"""TLS to the broker: verification is always on."""

from __future__ import annotations

import ssl


class _Socket(ssl.SSLSocket):
    """Closed where the handshake fails: paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def context(ca_file: str) -> ssl.SSLContext:
    """A context that trusts the CAs in `ca_file`, or (empty) those of the system.

    Raises `OSError` (`ssl.SSLError` is one) where the file cannot be used.
    """
    verifying = ssl.create_default_context(cafile=ca_file or None)
    verifying.sslsocket_class = _Socket
    return verifying


def holds_plaintext(connection: object) -> bool:
    """Whether `connection` has decrypted bytes, which no selector can see."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
