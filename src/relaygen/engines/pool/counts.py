"""What a pool has done so far, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relaygen.engines.deadlines import LegDeadlineError
from relaygen.engines.pool.health import ReplicaState
from relaygen.errors import (
    EngineAccessError,
    EngineError,
    EngineSetupError,
    EngineUnavailableError,
    ServerBusyError,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolLoad:
    """How busy a pool is now.

    Attributes:
        in_flight: legs at work.
        queued: legs that wait for a replica.
        usable: replicas that may be given a leg, were there room.
    """

    in_flight: int
    queued: int
    usable: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaCounts:
    """One replica.

    Attributes:
        name: its name.
        state: whether it may be given legs.
        in_flight: legs at work on it.
        legs: legs, scores and hints begun on it, also those that failed.
        failures: of those, by kind: see `failure_kind`.
        ejections: how often its legs' failures took it out.
        checks: how often its probe was asked.
        failed_checks: how often that failed.
        last_error: the last failure of a leg or a check; empty if there was none.
    """

    name: str
    state: ReplicaState
    in_flight: int
    legs: int
    failures: Mapping[str, int]
    ejections: int
    checks: int
    failed_checks: int
    last_error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolCounts:
    """A pool and its replicas.

    Attributes:
        replicas: in the order in which they were given.
        in_flight: legs at work.
        queued: legs that wait for a replica now.
        queue_waits: legs that had to wait.
        queue_wait_s: how long, together.
        refused: legs that found the queue full.
        gave_up: legs that waited too long, or that too many replicas failed.
        failovers: legs that broke off and may go on elsewhere; before their first token the pool
            sees to that, later their caller.
        moves: generations that were taken from their replica because it was full or out.
    """

    replicas: tuple[ReplicaCounts, ...]
    in_flight: int
    queued: int
    queue_waits: int
    queue_wait_s: float
    refused: int
    gave_up: int
    failovers: int
    moves: int


@dataclass(kw_only=True, slots=True)
class Tally:
    """The numbers of `PoolCounts` that only grow."""

    queue_waits: int = 0
    queue_wait_s: float = 0.0
    refused: int = 0
    gave_up: int = 0
    failovers: int = 0
    moves: int = 0


def failure_kind(error: EngineError) -> str:
    """``unavailable``, ``busy``, ``denied``, ``misfit``, a deadline's name, ``failed``, or ``final``.

    A ``misfit`` is set up for something else; ``final`` is where no repeat may help.
    """
    if isinstance(error, LegDeadlineError):
        return error.deadline
    if isinstance(error, EngineAccessError):
        return "denied"
    if isinstance(error, EngineSetupError):
        return "misfit"
    if isinstance(error, ServerBusyError):
        return "busy"
    if not error.retryable:
        return "final"
    return "unavailable" if isinstance(error, EngineUnavailableError) else "failed"
