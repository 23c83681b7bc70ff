"""The three deadlines of a leg, on one timer: its cost a token is one look at the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.errors import EngineError


class Deadlines:
    """Calls `abort` once when a leg takes too long; then `overrun` says which limit it broke.

    The clock of the next token runs only while somebody waits for it: a slow reader is no fault of
    the server's. The timer is not moved at every token; when it fires early it goes to sleep again.
    """

    def __init__(self, options: HTTPOptions, abort: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._abort = abort
        self._limit, self._name = options.first_token_s, "first_token_s"
        self._waiting_since: float | None = None
        self._leg_ends = self._loop.time() + options.leg_s
        self._timer: asyncio.TimerHandle | None = None
        self.overrun: EngineError | None = None

    def wait(self) -> None:
        """A token is waited for, from now on, if it was not before."""
        if self._waiting_since is None:
            self._waiting_since = self._loop.time()
            due = self._next()
            if self._timer is None or due < self._timer.when():
                self._sleep_until(due)

    def arrived(self) -> None:
        """A token is there."""
        self._waiting_since = None
        self._limit, self._name = self._options.between_tokens_s, "between_tokens_s"

    def stop(self) -> None:
        """The leg is over."""
        self._waiting_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> float:
        assert self._waiting_since is not None
        return min(self._waiting_since + self._limit, self._leg_ends)

    def _sleep_until(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting_since is None:
            return
        due, now = self._next(), self._loop.time()
        if now < due:
            self._sleep_until(due)
            return
        if now >= self._leg_ends:
            self._limit, self._name = self._options.leg_s, "leg_s"
        self.overrun = too_late(self._name, self._limit)
        self._abort()


def too_late(name: str, seconds: float) -> EngineError:
    """The error of a deadline that passed."""
    awaited = {
        "first_token_s": "no first token",
        "between_tokens_s": "no further token",
        "leg_s": "a leg did not end",
        "request_s": "no answer",
    }
    return EngineError(
        f"{awaited[name]} within {seconds:g} s ({name}); is the server overloaded, or is the "
        "limit too short for it?",
        retryable=True,
    )
