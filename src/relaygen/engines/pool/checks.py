"""Asks the replicas of a pool, again and again, whether they are well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from relaygen.engines.pool.member import Member
from relaygen.engines.pool.options import PoolOptions, Probe
from relaygen.errors import EngineSetupError


class Checks:
    """One task a replica that has a probe.

    The time between two checks varies by a fifth either way, so that many gateways do not ask in
    step.
    """

    def __init__(
        self,
        members: Sequence[Member],
        options: PoolOptions,
        changed: Callable[[], None],
        random: Random,
    ) -> None:
        self._members = members
        self._options = options
        self._changed = changed
        self._random = random
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Starts them on the running loop; a second call does nothing."""
        if not self._tasks:
            self._tasks = tuple(
                asyncio.create_task(self._watch(member, member.probe))
                for member in self._members
                if member.probe is not None
            )

    async def aclose(self) -> None:
        """Ends them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, member: Member, probe: Probe) -> None:
        while True:
            await self._check(member, probe)
            await asyncio.sleep(self._options.health_interval_s * self._random.uniform(0.8, 1.2))

    async def _check(self, member: Member, probe: Probe) -> None:
        member.checks += 1
        well = True
        try:
            async with asyncio.timeout(self._options.health_interval_s):
                await probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the replica did not say "well"
            well = False
            member.failed_checks += 1
            member.last_error = f"check: {error or type(error).__name__}"
            if not member.health.proven:
                member.misfit = error if isinstance(error, EngineSetupError) else None
        member.health.checked(asyncio.get_running_loop().time(), well=well)
        self._changed()
