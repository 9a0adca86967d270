"""How audio is cut into messages. Pure."""

from __future__ import annotations

from scribed.config import ProviderSection
from scribed.model import SAMPLE_BYTES, pcm_bytes

OPENMIND_MAX_BYTES = 4096
"""Of audio in one message, as OpenMind advises: more is split, whatever `provider.chunk_ms`."""


def chunk_bytes(settings: ProviderSection) -> int:
    """The least audio that is sent in mid-utterance."""
    wanted = pcm_bytes(settings.chunk_ms)
    return min(wanted, OPENMIND_MAX_BYTES) if settings.name == "openmind" else wanted


def chunks(pcm: bytes, most: int) -> list[bytes]:
    """All of `pcm`, s16le, in as few chunks as will do of at most `most` bytes (an even number),
    one about as long as the other; where there is nothing, there is none."""
    if len(pcm) <= most:
        return [pcm] if pcm else []
    count = -(-len(pcm) // most)
    size = -(-len(pcm) // (count * SAMPLE_BYTES)) * SAMPLE_BYTES
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]
