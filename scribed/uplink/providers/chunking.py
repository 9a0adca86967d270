"""How audio is cut into messages. Pure."""

from __future__ import annotations

from scribed.model import SAMPLE_BYTES


def chunks(pcm: bytes, most: int) -> list[bytes]:
    """All of `pcm`, s16le, in as few chunks as will do of at most `most` bytes (an even number),
    one about as long as the other; where there is nothing, there is none."""
    if len(pcm) <= most:
        return [pcm] if pcm else []
    count = -(-len(pcm) // most)
    size = -(-len(pcm) // (count * SAMPLE_BYTES)) * SAMPLE_BYTES
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]
