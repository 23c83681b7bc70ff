"""What a pool is made of, and its limits."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields

from relaygen.engines.base import Engine
from relaygen.engines.deadlines import LegDeadlines
from relaygen.errors import InvalidRequestError

Probe = Callable[[], Awaitable[None]]
"""Asks a replica whether it is well: returns if so, raises if not, whatever the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One of several equal servers.

    Attributes:
        name: unique in its pool, and the same in every gateway: affinity is hashed with it.
        engine: open; the pool closes it.
        probe: for active checks; None: only its legs show whether it is well.
        unproven: why it is not known to be well; until its probe has passed it gets no leg at all,
            not even where all others are gone. Empty: it is known to be.
    """

    name: str
    engine: Engine
    probe: Probe | None = None
    unproven: str = ""

    def __post_init__(self) -> None:
        if self.unproven and self.probe is None:
            raise InvalidRequestError(
                f"replica {self.name!r} is unproven and has no probe that could prove it",
                param="probe",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolOptions:
    """Limits of a pool; times in seconds.

    Attributes:
        concurrency: legs at once on one replica; more wait.
        queue: legs that may wait to begin a generation; more are refused. Legs that go on with one
            always may, for a refusal would throw away what is written.
        wait_s: a leg waits so long for a replica, busy or gone; then it fails for good.
        gone_s: once no replica may be given legs, it waits only so long; at most `wait_s` in all.
        begin_gone_s: the same for a leg that begins a generation: nothing would be lost with it,
            and whoever asked can ask elsewhere.
        deadlines: a leg that breaks one has failed on its replica; replicas keep none themselves.
        attempts: replicas that may break off a leg before its first token; then it fails for good,
            for it may be the leg that breaks them. Replicas that cannot be reached do not count.
        balance: a new generation leaves its own replica for the least loaded one where it has more
            than so many times the mean of legs.
        sticky_legs: it never leaves it before the replica has so many.
        eject_after: failures in a row that eject a replica.
        ejected_s: how long the first time; each further failure doubles it.
        max_ejected_s: at most so long.
        max_rest_s: a replica that is busy and says when to come back is left alone at most so long.
        health_interval_s: between two checks of a replica, give or take a fifth, and the longest
            that one may take.
        down_after: failed checks in a row that take a replica out.
    """

    concurrency: int = 256
    queue: int = 1024
    wait_s: float = 30.0
    gone_s: float = math.inf
    begin_gone_s: float = math.inf
    deadlines: LegDeadlines = field(default_factory=LegDeadlines)
    attempts: int = 3
    balance: float = 1.25
    sticky_legs: int = 8
    eject_after: int = 3
    ejected_s: float = 1.0
    max_ejected_s: float = 30.0
    max_rest_s: float = 30.0
    health_interval_s: float = 5.0
    down_after: int = 2

    def __post_init__(self) -> None:
        lowest = {"queue": 0, "sticky_legs": 0, "balance": 1}
        lowest |= {"wait_s": 0, "gone_s": 0, "begin_gone_s": 0}
        for entry in fields(self):
            value, least = getattr(self, entry.name), lowest.get(entry.name)
            if isinstance(value, LegDeadlines):
                continue
            if least is None and isinstance(value, int):
                least = 1
            bad = not value > 0 if least is None else not value >= least
            if bad or math.isnan(value):
                expected = "above 0" if least is None else f"at least {least}"
                raise InvalidRequestError(
                    f"{entry.name} is {value}; it must be {expected}", param=entry.name
                )
