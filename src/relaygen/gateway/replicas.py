"""What an operator is told of each model server, by ``/health/ready`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from relaygen.engines.pool import ReplicaCounts, ReplicaState
from relaygen.types import ModelRole

Replicas = Mapping[ModelRole, Sequence[ReplicaCounts]]
"""Those of each model that is behind servers."""


def left_out(replicas: Replicas) -> dict[str, str]:
    """By their names, the replicas that are not given any leg, with their state and why."""
    return {
        f"{role} {replica.name}": f"{replica.state}: {replica.last_error}"
        for role, pool in replicas.items()
        for replica in pool
        if replica.state is not ReplicaState.UP
    }


class ReplicaFigures(Collector):
    """For Prometheus: whether a replica is in use, and how its legs failed."""

    def __init__(self, replicas: Callable[[], Replicas]) -> None:
        """`replicas` is asked whenever the figures are read."""
        self._replicas = replicas

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """For the registry."""
        labels = ["role", "replica"]
        up = GaugeMetricFamily(
            "relaygen_replica_up", "1: it is given any leg; 0: it is left out.", labels=labels
        )
        failures = CounterMetricFamily(
            "relaygen_replica_failures",
            "Legs that failed on it, by kind; misfit: it has another model, or is another server.",
            labels=[*labels, "kind"],
        )
        for role, pool in self._replicas().items():
            for replica in pool:
                of = [str(role), replica.name]
                up.add_metric(of, float(replica.state is ReplicaState.UP))
                for kind, count in replica.failures.items():
                    failures.add_metric([*of, kind], count)
        yield up
        yield failures
