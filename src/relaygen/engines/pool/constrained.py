"""What kinds of form a pool can hold its output to."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.engines.constraint import ConstrainedEngine, ConstraintKind
from relaygen.engines.pool.options import Replica


def common_kinds(replicas: Sequence[Replica]) -> frozenset[ConstraintKind]:
    """The kinds of constraint that every replica can enforce."""
    kinds = [
        replica.engine.constraint_kinds()
        if isinstance(replica.engine, ConstrainedEngine)
        else frozenset[ConstraintKind]()
        for replica in replicas
    ]
    return frozenset.intersection(*kinds)
