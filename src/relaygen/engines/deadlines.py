"""How long a leg may let its reader wait: kept by an engine over HTTP, or by the pool before it.

One of the two keeps them: behind a pool an engine has none, for the pool's begin when the leg is
sent, cover every kind of replica, and say in its counts which of them was broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, fields

from relaygen.engines.base import EngineOutput
from relaygen.errors import EngineError, InvalidRequestError

_BROKEN = {
    "first_token_s": "gave no first token",
    "between_tokens_s": "gave no further token",
    "leg_s": "did not end a leg",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LegDeadlines:
    """Seconds that a leg may be waited for. Time in which nobody reads does not count.

    Attributes:
        first_token_s: for its first token, connecting included.
        between_tokens_s: for each further one.
        leg_s: for all of them together.
    """

    first_token_s: float = 60.0
    between_tokens_s: float = 20.0
    leg_s: float = 1800.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not value > 0:
                raise InvalidRequestError(
                    f"{entry.name} is {value!r}; it must be positive", param=entry.name
                )


class LegDeadlineError(EngineError):
    """A server let a leg wait too long.

    Attributes:
        deadline: the field of `LegDeadlines` that says how long is too long.
    """

    retryable = True

    def __init__(self, server: str, deadline: str, seconds: float) -> None:
        super().__init__(
            f"{server} {_BROKEN[deadline]} within {seconds:g} s ({deadline}); is it overloaded, or "
            "is the limit too short for it?"
        )
        self.deadline = deadline


async def timed(
    outputs: AsyncGenerator[EngineOutput], server: str, deadlines: LegDeadlines
) -> AsyncGenerator[EngineOutput]:
    """The same outputs; only the time spent waiting for them counts, not that of their reader.

    Args:
        outputs: of a leg.
        server: who writes it, for messages.
        deadlines: of it.

    Raises:
        LegDeadlineError: one took too long; the work upstream has been cancelled.
    """
    watch = _Watch()
    left = deadlines.leg_s
    deadline, seconds = "first_token_s", deadlines.first_token_s
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
                        deadline, seconds = "leg_s", deadlines.leg_s
                    raise LegDeadlineError(server, deadline, seconds)
                if output is None:
                    return
                left -= watch.now() - began
                yield output
                if output.token_ids:
                    deadline, seconds = "between_tokens_s", deadlines.between_tokens_s
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
