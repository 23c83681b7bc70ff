"""When a process that died is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarts:
    """Twice the pause after every failure, until it has run well for a while or there are too many.

    Attributes:
        first_s: the pause after the first failure.
        longest_s: no pause is longer.
        most: failures in a row that are borne; with one more everything is stopped.
        well_after_s: who ran so long is forgiven earlier failures.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    most: int = 5
    well_after_s: float = 120.0

    def failures(self, before: int, ran_s: float) -> int:
        """Failures in a row, with the one that just happened."""
        return 1 if ran_s >= self.well_after_s else before + 1

    def pause_s(self, failures: int) -> float | None:
        """The pause before the next start; None: there is none."""
        if failures > self.most:
            return None
        return min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
