"""The thread on which a simulated engine runs the legs that are submitted inline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

from relaygen.engines.base import EngineOutput, Sink
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError


class LegThread:
    """An event loop on a thread of its own, so that latencies of many legs pass side by side."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def start_leg(self, outputs: AsyncGenerator[EngineOutput], sink: Sink) -> SimulatedLeg:
        """Hands each output to the sink, and goes on to the next only if the sink says so."""
        leg = SimulatedLeg(outputs, sink, self._loop)
        self._loop.call_soon_threadsafe(self._keep, leg.start)
        return leg

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs work that nobody waits for."""

        async def run() -> None:
            with suppress(EngineError):
                await work()

        self._loop.call_soon_threadsafe(self._keep, lambda: self._loop.create_task(run()))

    async def aclose(self) -> None:
        """Cancels what runs; every sink that waits is told that the engine was closed."""
        self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join)

    def _keep(self, start: Callable[[], asyncio.Task[None] | None]) -> None:
        task = start()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _run(self) -> None:
        async def until_stopped() -> None:
            await self._stop.wait()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(until_stopped())


class SimulatedLeg:
    """See `base.Leg`."""

    def __init__(
        self,
        outputs: AsyncGenerator[EngineOutput],
        sink: Sink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._outputs = outputs
        self._sink = sink
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def start(self) -> asyncio.Task[None] | None:
        """Starts the leg on its loop's thread, if nobody has cancelled it yet."""
        if not self._over:
            self._task = self._loop.create_task(self._run())
        return self._task

    def cancel(self) -> None:
        """See `base.Leg.cancel`."""
        if self._over:
            return
        self._over = True
        with suppress(RuntimeError):  # a closed loop has nothing left to cancel
            self._loop.call_soon_threadsafe(self._stop_waiting)

    def _stop_waiting(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with aclosing(self._outputs) as outputs:
                async for output in outputs:
                    if self._over or not self._sink(output) or output.end is not None:
                        break
                    if self._over:
                        break
        except (EngineError, InvalidRequestError) as error:
            self._tell(error)
        except asyncio.CancelledError:
            self._tell(EngineUnavailableError("the engine was closed"))
            raise
        finally:
            self._over = True

    def _tell(self, error: EngineError | InvalidRequestError) -> None:
        if not self._over:
            self._sink(error)
