"""Several replicas of one model as one engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, replace
from functools import partial
from random import Random
from typing import TypeVar

from relaygen.engines.base import (
    Capabilities,
    Engine,
    EngineOutput,
    GenerateRequest,
    check_request,
)
from relaygen.engines.constraint import (
    ConstrainedEngine,
    ConstrainedView,
    Constraint,
    ConstraintKind,
)
from relaygen.engines.deadlines import LegDeadlineError, timed
from relaygen.engines.pool.capabilities import weakest
from relaygen.engines.pool.checks import Checks
from relaygen.engines.pool.constrained import common_kinds
from relaygen.engines.pool.counts import PoolCounts, PoolLoad, Tally
from relaygen.engines.pool.homes import Homes
from relaygen.engines.pool.leg import Leg
from relaygen.engines.pool.member import Member, Place
from relaygen.engines.pool.options import PoolOptions, Replica
from relaygen.engines.pool.router import Router
from relaygen.engines.pool.watch import Watch
from relaygen.errors import EngineError
from relaygen.types import TokenScore

_DEFAULTS = PoolOptions()
T = TypeVar("T")


class PoolEngine:
    """Replicas under the contract of `base.Engine`. Everything happens on one event loop.

    * **Choice.** A generation stays on one replica, and generations of one affinity meet on one
      (`engines.affinity`); see `router`.
    * **Failover.** A leg that breaks off before its first token is begun again elsewhere, and its
      reader does not notice. One that breaks off later raises a retryable error: the caller begins
      another leg with what it has received, and the pool puts that one on another replica.
    * **Giving up.** What the pool raises before a first token is not retryable: it has tried.
      Nothing free within `PoolOptions.wait_s`, or `PoolOptions.attempts` replicas broke on the leg.
    * **Health, limits, deadlines.** See `health`, `router`, `engines.deadlines`. All times are the event
      loop's, so that a loop with a clock of its own runs a pool through hours at once.

    Source: repeating only what has not answered yet, elsewhere, and with a bound is what Envoy and
    HAProxy (``option redispatch``) do; what failed is left out before affinity is asked, not after.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        options: PoolOptions = _DEFAULTS,
        *,
        name: str = "",
        random: Random | None = None,
    ) -> None:
        """Takes over the replicas; nothing is asked of them yet.

        Args:
            replicas: of one model, each with its own name.
            options: limits.
            name: of the pool, for the log.
            random: for the times between checks.

        Raises:
            InvalidRequestError: no replicas, two of one name, or of different models.
        """
        self._capabilities = weakest(replicas)
        self._engines = {replica.name: replica.engine for replica in replicas}
        self._kinds = common_kinds(replicas)
        self._options = options
        self._members = [Member(replica, options) for replica in replicas]
        self._homes = Homes()
        self._tally = Tally()
        watch = Watch(self._members, name)
        self._router = Router(self._members, options, self._tally, watch.look)
        self._checks = Checks(self._members, options, self._router.serve, random or Random())
        watch.look()

    def capabilities(self) -> Capabilities:
        """What every replica can do."""
        return self._capabilities

    def start_checks(self) -> None:
        """Begins to ask the replicas whether they are well; the first leg does it too.

        Raises:
            EngineUnavailableError: the pool was closed.
        """
        self._router.check_open()
        self._checks.start()

    def load(self) -> PoolLoad:
        """How busy it is now."""
        return self._router.load()

    def is_out(self) -> bool:
        """Whether no replica may be given a leg."""
        return self._router.is_out()

    def is_busy(self, max_queue: int) -> bool:
        """Whether a leg that may as well be written by the other model should be.

        Args:
            max_queue: so many legs may wait for a replica before it.

        Returns:
            True also where no replica may be given a leg at all.
        """
        return self._router.queued > max_queue or self._router.is_out()

    def counts(self) -> PoolCounts:
        """What it has done so far."""
        replicas = tuple(member.counts() for member in self._members)
        return PoolCounts(
            replicas=replicas,
            in_flight=sum(replica.in_flight for replica in replicas),
            queued=self._router.queued,
            **asdict(self._tally),
        )

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        """The kinds of form that every replica can hold its output to."""
        return self._kinds

    def constrained(self, constraint: Constraint) -> Engine:
        """This pool, with every leg held to a form; health, limits and places are the same.

        Raises:
            UnsupportedError: a replica cannot enforce it.
        """
        views = {
            name: engine.constrained(constraint)
            for name, engine in self._engines.items()
            if isinstance(engine, ConstrainedEngine)
        }
        return ConstrainedView(self, partial(self._write, engines=views))

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate` and this class."""
        return self._write(request, self._engines)

    async def _write(
        self, request: GenerateRequest, engines: Mapping[str, Engine]
    ) -> AsyncGenerator[EngineOutput]:
        self.start_checks()
        check_request(request, self._capabilities)
        origin = request.generated_from
        begins = origin is None or origin == len(request.prompt)
        leg = self._leg(request.generation_id, begins=begins)
        while True:
            place = await leg.place()
            name = place.member.name
            try:
                with place:
                    outputs = engines[name].generate(request)
                    outputs = timed(outputs, f"replica {name}", self._options.deadlines)
                    told: str | None = name
                    async with aclosing(outputs) as opened:
                        async for output in opened:
                            if output.token_ids or output.end is not None:
                                place.answer()
                            yield replace(output, replica=told) if told else output
                            told = None
                            if output.end is not None:
                                return
                    raise EngineError(
                        f"replica {name} ended a leg without saying why", retryable=True
                    )
            except EngineError as error:
                await leg.failed(place, error)

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`; ignored where the replica has no room, and so are its failures."""
        self._router.check_open()
        place = self._router.take(self._homes.of(generation_id), only_up=True)
        if place is None:
            return
        hint = place.member.engine.prefill(token_ids, generation_id)
        with suppress(EngineError), place:
            await self._within_leg_s(place, hint)
        self._router.check_open()

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`; a failure is repeated on another replica."""
        self._router.check_open()
        leg = self._leg(generation_id, begins=False)
        while True:
            place = await leg.place()
            engine = place.member.engine
            try:
                with place:
                    scores = engine.score(token_ids, from_token, generation_id=generation_id)
                    found = await self._within_leg_s(place, scores)
                    place.answer()
                    return found
            except EngineError as error:
                await leg.failed(place, error)

    def forget(self, generation_id: str) -> None:
        """A generation has ended, and no leg of it will come; what is not forgotten makes room in time."""
        self._homes.forget(generation_id)

    async def aclose(self) -> None:
        """See `Engine.aclose`; closes every replica, also where closing one fails."""
        self._router.close()
        await self._checks.aclose()
        closed = await asyncio.gather(
            *(member.engine.aclose() for member in self._members), return_exceptions=True
        )
        for error in closed:
            if error is not None:
                raise error

    def _leg(self, generation_id: str, *, begins: bool) -> Leg:
        home = self._homes.of(generation_id)
        return Leg(self._router, home, self._options, self._tally, begins=begins)

    async def _within_leg_s(self, place: Place, work: Awaitable[T]) -> T:
        seconds = self._options.deadlines.leg_s
        try:
            async with asyncio.timeout(seconds) as timer:
                return await work
        except TimeoutError as error:
            if not timer.expired():
                raise
            server = f"replica {place.member.name}"
            raise LegDeadlineError(server, "leg_s", seconds) from error
