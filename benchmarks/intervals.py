"""Intervals for shares, their differences, and whatever else can be drawn again; quantiles."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

Z95 = 1.959963984540054


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    p = right / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n)) / (1 + Z95**2 / n)
    return centre - half, centre + half


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> tuple[float, float, float]:
    """Mean of a - b over the same problems, with its 95 % interval (normal, paired)."""
    differences = [int(x) - int(y) for x, y in zip(a, b, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / max(1, n - 1)
    half = Z95 * math.sqrt(variance / n)
    return mean, mean - half, mean + half


def bootstrap(
    found: Sequence[T],
    figures: Callable[[Sequence[T]], Mapping[str, float]],
    *,
    draws: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each figure over what was found (percentiles; Efron 1979)."""
    draw = random.Random(seed)
    drawn = [figures(draw.choices(found, k=len(found))) for _ in range(draws)]
    spread = {name: sorted(figure[name] for figure in drawn) for name in drawn[0]}
    return {
        name: (values[int(0.025 * draws)], values[int(0.975 * draws)])
        for name, values in spread.items()
    }


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Median, 90th and 99th percentile."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        f"p{p}": ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in (50, 90, 99)
    }
