"""From `audio.device` to an open device: found by what it is, opened, and looked at once more."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from scribed import config, kinds
from scribed.capture.sources import devices
from scribed.capture.sources.cards import Card
from scribed.capture.sources.hung import not_for_ever
from scribed.capture.sources.owners import owners
from scribed.capture.sources.shapes import Claim, D, Shape, negotiate
from scribed.errors import SourceError

logger = logging.getLogger(__name__)

Look = Callable[[Path], tuple[Sequence[Card], Sequence[str]]]
"""The cards under a root as they are now, and libasound's hints for capture."""


def open_configured(
    audio: config.Audio, root: Path, look: Look, open: Callable[[str, Shape], D]
) -> D:
    """The device that `audio.device` means now: numbers and ids change while the daemon runs.

    `open` raises `SourceError` with the bare reason; this one raises it with what to do.
    """
    with not_for_ever(audio.device):
        cards, hints = look(root)
        chosen = devices.choose(audio.device, cards, hints)

        def open_or_say(name: str, shape: Shape) -> D:
            try:
                return open(name, shape)
            except SourceError as exc:
                there_are = devices.there_are(cards, hints)
                held_by = _held_by(chosen, root)
                raise SourceError(devices.refusal(name, str(exc), there_are, held_by)) from exc

        claim = Claim(audio.rate, audio.channels, audio.channel)
        opened = negotiate(chosen.pcm, claim, open_or_say, may_plug=chosen.is_resolved)
        if chosen.is_resolved and _changed(audio.device, chosen, look(root)):
            opened.close()
            raise SourceError(f'audio.device: "{audio.device}" was plugged in anew meanwhile')
    _tell(audio.device, chosen, opened.shape)
    return opened


def _changed(
    device: str, chosen: devices.Chosen, now: tuple[Sequence[Card], Sequence[str]]
) -> bool:
    """Whether another card has taken the id that was opened."""
    try:
        return devices.choose(device, *now) != chosen
    except SourceError:
        return True


def _held_by(chosen: devices.Chosen, root: Path) -> str:
    if chosen.card is None or chosen.card.number is None:
        return ""
    return ", ".join(map(str, owners(root, chosen.card.number, chosen.device)))


def _tell(device: str, chosen: devices.Chosen, shape: Shape) -> None:
    card = chosen.card
    what = f"{chosen.pcm}, {card.name}" if card and card.name else chosen.pcm
    extra = kinds.DEVICE_CHOSEN(device=what)
    logger.info(
        'audio.device "%s" is %s: %d Hz, channels: %d, %s', device, what, *shape, extra=extra
    )
    if chosen.is_numbered:
        _warn_of_number(device, f"card:{card.id}" if card else "card:ID")


@functools.cache
def _warn_of_number(device: str, better: str) -> None:
    """Once for each."""
    logger.warning(
        'audio.device: "%s" has the number of a card, which changes with the order of plugging '
        "in; write %s, or what scribed devices says",
        device,
        better,
        extra=kinds.DEVICE_NUMBERED(device=device),
    )
