"""Something to send where there is nothing to say: proxies cut streams that are idle for long."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from relaygen.gateway.outbox import Outbox

COMMENT = b": keep-alive\n\n"
"""Server-sent events: a line that begins with a colon is no event, and every client skips it."""


class KeepAlive:
    """Puts a comment into an outbox whenever nothing was sent for so long.

    It keeps one timer a stream, which is not moved at each token: where it rings early it goes to
    sleep again for the rest.
    """

    def __init__(self, outbox: Outbox, every_s: float) -> None:
        """A context manager; `every_s` 0: never."""
        self._outbox = outbox
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def sent(self) -> None:
        """Something went out just now."""
        self._last = self._loop.time()

    def __enter__(self) -> Self:
        if self._every_s > 0:
            self._timer = self._loop.call_later(self._every_s, self._ring)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        now = self._loop.time()
        if now >= self._last + self._every_s:
            self._last = now
            if self._outbox.empty:  # else it is the client that is slow
                self._outbox.put(COMMENT)
        self._timer = self._loop.call_at(self._last + self._every_s, self._ring)
