"""A replica with its health, its legs and its numbers; and the place of one leg on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from relaygen.engines.pool.counts import ReplicaCounts, failure_kind
from relaygen.engines.pool.health import Health
from relaygen.engines.pool.options import PoolOptions, Replica
from relaygen.errors import EngineError, EngineSetupError, ServerBusyError


class Member:
    """What a pool knows of one replica."""

    def __init__(self, replica: Replica, options: PoolOptions) -> None:
        self.name = replica.name
        self.engine = replica.engine
        self.probe = replica.probe
        self.health = Health(options, proven=not replica.unproven)
        self.in_flight = 0
        self.legs = 0
        self.failures: Counter[str] = Counter()
        self.checks = 0
        self.failed_checks = 0
        self.last_error = replica.unproven
        self.misfit: EngineSetupError | None = None
        """Why no leg can do well on it; None once it has answered, or does not answer at all."""

    def counts(self) -> ReplicaCounts:
        """A snapshot."""
        return ReplicaCounts(
            name=self.name,
            state=self.health.state,
            in_flight=self.in_flight,
            legs=self.legs,
            failures=dict(self.failures),
            ejections=self.health.ejections,
            checks=self.checks,
            failed_checks=self.failed_checks,
            last_error=self.last_error,
        )


class Place:
    """One leg's place on a replica; a context manager, whose end frees it and is the outcome."""

    def __init__(
        self, member: Member, clock: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self.member = member
        self.answered = False
        """Whether the leg has an output yet."""
        self._clock = clock
        self._changed = changed
        self._trial = member.health.begin()
        member.in_flight += 1

    def __enter__(self) -> Self:
        self.member.legs += 1
        return self

    def answer(self) -> None:
        """The replica has answered: a first output, or scores."""
        if not self.answered:
            self.answered = True
            self.member.misfit = None
            if self._trial:
                self.member.health.trial_passed()
                self._trial = False
                self._changed()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        member = self.member
        if isinstance(error, EngineError):
            member.failures[failure_kind(error)] += 1
            member.last_error = str(error)
        if isinstance(error, EngineSetupError):
            member.misfit = error
            member.health.misfit(self._clock(), trial=self._trial)
        elif isinstance(error, ServerBusyError) and error.retry_after_s is not None:
            member.health.busy(self._clock(), error.retry_after_s, trial=self._trial)
        elif isinstance(error, EngineError) and error.retryable:
            member.misfit = None
            member.health.failed(self._clock(), trial=self._trial)
        else:
            member.health.ended(well=self.answered, trial=self._trial)
        self.free()

    def free(self) -> None:
        """Gives the place back."""
        self.member.in_flight -= 1
        self._changed()

    def give_back(self) -> None:
        """Gives back a place that was never used."""
        self.member.health.ended(well=False, trial=self._trial)
        self.free()
