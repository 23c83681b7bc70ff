"""A histogram that costs a fraction of a microsecond an entry, for what happens at every token.

prometheus-client's own takes a lock and looks up labels each time; this one is read by its
registry through `Intervals.collect`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Intervals(Collector):
    """Counts durations in seconds. To be used on one thread."""

    def __init__(self, name: str, documentation: str, limits: Sequence[float]) -> None:
        """`limits`: upper ends of the buckets, ascending; a last one for the rest is added."""
        self._name = name
        self._documentation = documentation
        self._limits = tuple(limits)
        self._counts = [0] * (len(self._limits) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(self._limits, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """For the registry."""
        names = [*map(str, self._limits), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric(
            [], list(zip(names, accumulate(self._counts), strict=True)), sum_value=self._sum
        )
        yield family
