"""Several replicas of one model behind the engine contract: choice, health, limits, failover."""

from relaygen.engines.pool.capabilities import weakest
from relaygen.engines.pool.counts import PoolCounts, PoolLoad, ReplicaCounts
from relaygen.engines.pool.engine import PoolEngine
from relaygen.engines.pool.health import ReplicaState
from relaygen.engines.pool.options import PoolOptions, Replica

__all__ = [
    "PoolCounts",
    "PoolEngine",
    "PoolLoad",
    "PoolOptions",
    "Replica",
    "ReplicaCounts",
    "ReplicaState",
    "weakest",
]
