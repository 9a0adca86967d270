"""ULIDs: ids of utterances that sort by time. Pure.

48 bits of Unix milliseconds and 80 random bits in 26 characters of Crockford's base 32, as the ULID
specification has it; `uuid7` is in the standard library only from Python 3.14.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(unix_ms: int, entropy: bytes) -> str:
    """The id for a time and 10 random bytes."""
    number = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10], "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
