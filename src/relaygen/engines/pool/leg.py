"""One leg on its way over the replicas of a pool."""

from __future__ import annotations

import asyncio

from relaygen.engines.pool.counts import Tally
from relaygen.engines.pool.homes import Home
from relaygen.engines.pool.member import Place
from relaygen.engines.pool.options import PoolOptions
from relaygen.engines.pool.patience import Patience
from relaygen.engines.pool.router import Router
from relaygen.errors import EngineError, EngineSetupError, EngineUnavailableError

_PAUSE_S = 0.1  # before a leg goes round again, where every replica that may take it has failed it


class Leg:
    """Finds places for a leg until it is written, has broken off, or has used up its chances."""

    def __init__(
        self, router: Router, home: Home, options: PoolOptions, tally: Tally, *, begins: bool
    ) -> None:
        """`begins`: nothing of its generation is written yet."""
        self._router = router
        self._home = home
        self._options = options
        self._tally = tally
        self._begins = begins
        self._began = asyncio.get_running_loop().time()
        gone_s = min(options.gone_s, options.begin_gone_s) if begins else options.gone_s
        self._patience = Patience(until=self._began + options.wait_s, gone_s=gone_s)
        self._broken: list[str] = []

    async def place(self) -> Place:
        """Where to try next; see `Router.place`."""
        return await self._router.place(self._home, self._patience, begins=self._begins)

    async def failed(self, place: Place, error: EngineError) -> None:
        """Returns where the leg may be tried elsewhere.

        Raises:
            EngineError: `error`, where the leg has written something, so that only its caller can
                go on, or where no repeat may help; another one, where its chances are used up.
        """
        name = place.member.name
        if isinstance(error, EngineSetupError) and not place.answered:
            self._tally.failovers += 1
            return  # the replica is out; where all are, there is no other place
        if not error.retryable:
            raise error
        self._home.failed |= {name}
        self._tally.failovers += 1
        if place.answered:
            raise error
        self._check_chances(name, error)
        if not self._router.has_fresh(self._home):
            await asyncio.sleep(_PAUSE_S)

    def _check_chances(self, name: str, error: EngineError) -> None:
        unreachable = isinstance(error, EngineUnavailableError)
        if not unreachable:
            self._broken.append(name)
        if len(self._broken) >= self._options.attempts:
            self._tally.gave_up += 1
            raise EngineError(
                f"a leg broke off before its first token {len(self._broken)} times, on "
                f"{', '.join(self._broken)}; the last time: {error}",
                retryable=False,
            ) from error
        now = asyncio.get_running_loop().time()
        if unreachable and now >= self._patience.until:
            self._tally.gave_up += 1
            raise EngineUnavailableError(
                f"no replica could be reached for {now - self._began:.3g} s; the last one, "
                f"{name}: {error}",
                retryable=False,
            ) from error
