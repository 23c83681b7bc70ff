"""Starts the servers and the gateway in order, watches them, and stops them in order.

A server that dies later is started again, after a pause that grows: until it is back the gateway
bears it (without the small model the large one writes on; without the large one clients get an
error). One that dies before it was ever ready, or too often, ends the launch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from relaygen.launch.interrupts import Interrupts
from relaygen.launch.keeper import OWN, Keeper, Show, Timing
from relaygen.launch.service import Service


class Supervisor:
    """All processes of one launch."""

    def __init__(
        self,
        waves: Sequence[Sequence[Service]],
        *,
        keys: Mapping[str, str],
        timing: Timing,
        show: Show,
        interrupts: Interrupts,
    ) -> None:
        """Describes a launch.

        Args:
            waves: what starts together, each once the wave before is ready. The last one (the
                gateway) is stopped first, and alone, so that it can finish its streams.
            keys: values of keys, by their names.
            timing: how long things may take.
            show: called with each line.
            interrupts: when to stop.
        """
        self._waves = [
            [Keeper(service, keys=keys, timing=timing, show=show) for service in wave]
            for wave in waves
        ]
        self._show = show
        self._interrupts = interrupts

    @property
    def keepers(self) -> list[Keeper]:
        """One a process, in the order in which they start."""
        return [keeper for wave in self._waves for keeper in wave]

    async def run(self) -> None:
        """Runs until interrupted, and leaves no process behind, however it ends.

        Raises:
            EngineError: a process could not be started, or died too often.
            OSError: lines cannot be shown.
        """
        keeping: list[asyncio.Task[None]] = []
        stop = asyncio.create_task(self._interrupts.stop.wait())
        failed: Keeper | None = None
        try:
            for wave in self._waves:
                keeping += [asyncio.create_task(keeper.keep()) for keeper in wave]
                ready = asyncio.create_task(_all_ready(wave))
                await _first_of([ready, stop, *keeping])
                ready.cancel()
                if stop.done() or _ended(keeping):
                    break
            else:
                self._show(OWN, f"everything is ready: {self._waves[-1][-1].service.url}")
                await _first_of([stop, *keeping])
            if (which := _ended(keeping)) is not None:
                failed = self.keepers[which]
                keeping[which].result()
        finally:
            stop.cancel()
            await _cancelled(keeping)
            await self._stop()
            if failed is not None:
                self._show_tail(failed)

    async def _stop(self) -> None:
        self._interrupts.stop.set()  # from here on one Ctrl-C is the second
        hurry = self._interrupts.hurry
        *servers, gateway = self._waves
        try:
            self._show(OWN, "stopping; Ctrl-C once more kills everything at once")
        finally:
            await _stop_all(gateway, hurry)
            await _stop_all([keeper for wave in servers for keeper in wave], hurry)

    def _show_tail(self, failed: Keeper) -> None:
        """Again, for by now the lines of the others stand below them."""
        self._show(OWN, f"the last lines of {failed.service.name}:")
        for line in failed.tail:
            self._show(failed.service.name, line)


async def _all_ready(wave: Iterable[Keeper]) -> None:
    for keeper in wave:
        await keeper.ready.wait()


async def _stop_all(keepers: Iterable[Keeper], hurry: asyncio.Event) -> None:
    await asyncio.gather(*(keeper.stop(hurry) for keeper in keepers))


async def _first_of(tasks: Iterable[asyncio.Task[object]]) -> None:
    await asyncio.wait(set(tasks), return_when=asyncio.FIRST_COMPLETED)


def _ended(keeping: Sequence[asyncio.Task[None]]) -> int | None:
    return next((i for i, task in enumerate(keeping) if task.done()), None)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
