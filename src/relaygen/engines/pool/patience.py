"""How long a leg looks for a replica."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Patience:
    """Of one leg, over all its attempts.

    Attributes:
        until: by the event loop's clock, when it gives up.
        gone_s: so long after no replica may be given legs any more it gives up earlier.
    """

    until: float
    gone_s: float

    def lose(self, now: float) -> None:
        """No replica may be given legs; only the first time matters."""
        self.until = min(self.until, now + self.gone_s)
