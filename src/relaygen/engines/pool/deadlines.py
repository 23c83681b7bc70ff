"""How long a leg may let its reader wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from relaygen.engines.base import EngineOutput
from relaygen.engines.pool.options import PoolOptions
from relaygen.errors import EngineError


class LegDeadlineError(EngineError):
    """A replica let a leg wait too long.

    Attributes:
        deadline: the field of `PoolOptions` that says how long is too long.
    """

    retryable = True

    def __init__(self, replica: str, deadline: str, seconds: float) -> None:
        super().__init__(
            f"replica {replica} kept a leg waiting for more than {seconds:g} s ({deadline})"
        )
        self.deadline = deadline


async def timed(
    outputs: AsyncGenerator[EngineOutput], replica: str, options: PoolOptions
) -> AsyncGenerator[EngineOutput]:
    """The same outputs; only the time spent waiting for them counts, not that of their reader.

    Raises:
        LegDeadlineError: one took too long; the work upstream has been cancelled.
    """
    watch = _Watch()
    left = options.leg_s
    deadline, seconds = "first_token_s", options.first_token_s
    try:
        async with aclosing(outputs) as opened:
            while True:
                began = watch.begin(min(seconds, left))
                try:
                    output = await anext(opened, None)
                except asyncio.CancelledError:
                    if not watch.end():
                        raise
                    output = None
                    overrun = True
                except BaseException:
                    watch.end()
                    raise
                else:
                    overrun = watch.end()
                if overrun:
                    if left <= seconds:
                        deadline, seconds = "leg_s", options.leg_s
                    raise LegDeadlineError(replica, deadline, seconds)
                if output is None:
                    return
                left -= watch.now() - began
                yield output
                if output.token_ids:
                    deadline, seconds = "between_tokens_s", options.between_tokens_s
    finally:
        watch.close()


class _Watch:
    """Cancels the task that waits when it has waited too long, as `asyncio.timeout` does.

    But it keeps one timer for all the waits of a leg, which is not moved at each of them and goes
    to sleep again where it rings early: a tenth of the cost, and it is paid for every token.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._due = 0.0
        self._cancelling = 0
        self._rang = False
        self.now = self._loop.time

    def begin(self, seconds: float) -> float:
        """The current task waits from now on; returns the time."""
        now = self.now()
        self._task = task = asyncio.current_task()
        self._cancelling = 0 if task is None else task.cancelling()
        self._due = now + seconds
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        return now

    def end(self) -> bool:
        """It waits no longer; returns whether that is because its time was over."""
        task, self._task = self._task, None
        if not self._rang or task is None:
            return False
        return task.uncancel() <= self._cancelling

    def close(self) -> None:
        """It will not wait again."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self.now() < self._due:
            self._set_timer()
            return
        self._rang = True
        self._task.cancel()
