"""Reading a source as capture does, with a deadline."""

from __future__ import annotations

import select
import time
from array import array
from collections.abc import Callable, Iterator

from scribed.interfaces import EndOfInput, Source
from scribed.model import Block


def blocks(source: Source, *, for_s: float) -> Iterator[Block]:
    """What is read within `for_s` seconds, sleeping in poll or else 20 ms at a time."""
    poller, deadline = select.poll(), time.monotonic() + for_s
    for fd, events in source.pollable():
        poller.register(fd, events)
    while (left := deadline - time.monotonic()) > 0:
        poller.poll(min(left, 1.0 if source.pollable() else 0.02) * 1000)
        block = source.read()
        if block is not None:
            yield block


def read_until(source: Source, found: Callable[[Block], bool], *, within_s: float = 5.0) -> Block:
    """The first block that is as wanted."""
    for block in blocks(source, for_s=within_s):
        if found(block):
            return block
    raise AssertionError(f"no such block within {within_s} s")


def read_all(source: Source, *, within_s: float = 10.0) -> bytes:
    """All sound up to the end of the input; asserts that its positions leave nothing out."""
    heard = bytearray()
    try:
        for block in blocks(source, for_s=within_s):
            assert block.position * 2 == len(heard)
            heard += block.pcm
    except EndOfInput:
        return bytes(heard)
    raise AssertionError(f"no end within {within_s} s")


def samples(pcm: bytes) -> array[int]:
    return array("h", pcm)
