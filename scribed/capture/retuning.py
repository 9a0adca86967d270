"""When another configuration takes effect: as soon as nobody is engaged. Pure."""

from __future__ import annotations

from scribed.capture.orders import Retune

RETUNE_S = 30.0
"""How long a changed configuration waits at most for a moment at which nobody is engaged: longer
than an utterance lasts. Then what is open is cut: a noise must not keep the gate from being mended
that it holds open."""


class Retuning:
    """The configuration that waits for its moment."""

    def __init__(self) -> None:
        self.waiting: Retune | None = None
        self._until = 0.0

    def take(self, new: Retune, now: float) -> None:
        """Another one has come; it brings what an earlier one that waits wanted anew."""
        self.waiting = new.after(self.waiting)
        self._until = now + RETUNE_S

    def due(self, now: float, *, engaged: bool) -> Retune | None:
        """The one whose moment has come, if it has: it waits no longer."""
        if engaged and now < self._until:
            return None
        new, self.waiting = self.waiting, None
        return new
