"""Finding and opening, where the cards change in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.capture.sources.cards import Card, read_cards
from scribed.capture.sources.opening import open_configured
from scribed.capture.sources.shapes import Has, Shape
from scribed.config import Audio
from scribed.errors import SourceError
from tests.capture.sources.trees import Tree, plug_in_twins


class Opened:
    """A device that has everything."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape, self.is_open = name, shape, True

    def has(self) -> Has:
        return Has(self.shape.rate, [self.shape.channels], [self.shape.format])

    def close(self) -> None:
        self.is_open = False


class Machine:
    """Two equal microphones that are pulled out and plugged in again while one is being opened."""

    def __init__(self, root: Path, *orders: list[int]) -> None:
        self._trees = [Tree(root / str(n)) for n in range(len(orders))]
        for tree, order in zip(self._trees, orders, strict=True):
            plug_in_twins(tree, order)
        self.opened: list[Opened] = []

    def look(self, _root: Path) -> tuple[list[Card], list[str]]:
        tree = self._trees.pop(0) if len(self._trees) > 1 else self._trees[0]
        return read_cards(tree.root), []

    def open(self, name: str, shape: Shape) -> Opened:
        self.opened.append(Opened(name, shape))
        return self.opened[-1]


AUDIO = Audio(device="path:1-1.1")


def test_another_microphone_that_took_the_id_meanwhile_is_not_heard(tmp_path: Path) -> None:
    machine = Machine(tmp_path, [0, 1], [1, 0])
    with pytest.raises(SourceError, match=r'"path:1-1\.1" was plugged in anew meanwhile'):
        open_configured(AUDIO, tmp_path, machine.look, machine.open)
    assert [(each.name, each.is_open) for each in machine.opened] == [("hw:CARD=Device", False)]
    again = open_configured(AUDIO, tmp_path, machine.look, machine.open)
    assert (again.name, again.is_open) == ("hw:CARD=Device_1", True)


def test_one_that_stayed_is_heard(tmp_path: Path) -> None:
    machine = Machine(tmp_path, [1, 0])
    assert open_configured(AUDIO, tmp_path, machine.look, machine.open).name == "hw:CARD=Device_1"
