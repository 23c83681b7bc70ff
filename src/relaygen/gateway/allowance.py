"""What the holder of a key may use: generations at once, requests and tokens a minute."""

from __future__ import annotations

import math
from collections.abc import Callable

from relaygen.gateway.failures import HttpError, refused
from relaygen.settings import KeySettings

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{name}-{what}"
    for what in ("requests", "tokens")
    for name in ("limit", "remaining", "reset")
)
"""OpenAI's, for a key that has such limits."""


class TokenBucket:
    """Fills at a steady rate up to its size. What it gives may leave it in debt."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        """A full bucket of `per_minute`; `clock` is in seconds."""
        self._size = per_minute
        self._level = per_minute
        self._clock = clock
        self._last = clock()

    def wait_for(self, amount: float) -> float:
        """Seconds until it holds so much; 0: it does."""
        self._fill()
        missing = min(amount, self._size) - self._level
        return max(0.0, missing * 60.0 / self._size)

    def headers(self, what: str) -> list[tuple[bytes, bytes]]:
        """How much of `what` there may be, how much there is, and when it is full; as OpenAI's."""
        full = duration(self.wait_for(self._size))
        left = max(0, int(self._level))
        named = {"limit": f"{self._size:.0f}", "remaining": f"{left}", "reset": full}
        return [(f"x-ratelimit-{k}-{what}".encode(), v.encode()) for k, v in named.items()]

    def take(self, amount: float) -> None:
        """Takes it, whether or not it is there."""
        self._fill()
        self._level -= amount

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._last) * self._size / 60.0)
        self._last = now


class Allowance:
    """One key's. A request costs a place, a request and its tokens.

    The tokens of a request are known only at its end: they are taken then, and a bucket in debt
    refuses the next request until it has filled again.
    """

    def __init__(self, key: KeySettings | None, clock: Callable[[], float]) -> None:
        """Without a key it is anybody's, and has no limits."""
        self.name = "" if key is None else key.name
        self._places = None if key is None else key.concurrency
        self._used = 0
        self._requests = None if key is None else _bucket(key.requests_per_minute, clock)
        self._tokens = None if key is None else _bucket(key.tokens_per_minute, clock)

    def take_request(self) -> None:
        """Pays for a request.

        Raises:
            HttpError: 429; a rate limit is reached, says when to come back.
        """
        for bucket, amount, what in ((self._requests, 1, "requests"), (self._tokens, 1, "tokens")):
            wait = bucket.wait_for(amount) if bucket else 0.0
            if wait > 0:
                raise _too_many(
                    f"this key has used its {what} for the minute; come back in {wait:.1f} s",
                    wait,
                    what,
                )
        if self._requests:
            self._requests.take(1)

    def take_tokens(self, tokens: int) -> None:
        """Pays for tokens that were read or written."""
        if self._tokens:
            self._tokens.take(tokens)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What is left, for those limits that the key has."""
        buckets = ((self._requests, "requests"), (self._tokens, "tokens"))
        return [pair for bucket, what in buckets if bucket for pair in bucket.headers(what)]

    def enter(self, generations: int) -> None:
        """Takes places; `leave` gives them back.

        Raises:
            HttpError: 429; there are not so many free. 400; there never will be.
        """
        if self._places is not None and generations > self._places:
            raise refused(
                "n",
                f"the request asks for {generations} generations, and this key may run "
                f"{self._places} at once; ask for fewer",
            )
        if self._places is not None and self._used + generations > self._places:
            raise _too_many(
                f"this key may run {self._places} generations at once, and {self._used} are "
                f"running: {generations} more have to wait",
                1.0,
                "concurrency",
            )
        self._used += generations

    def leave(self, generations: int) -> None:
        """Gives places back."""
        self._used -= generations


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: ``12ms``, ``1s``, ``6m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _bucket(per_minute: int | None, clock: Callable[[], float]) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute, clock)


def _too_many(message: str, wait: float, what: str) -> HttpError:
    return HttpError(
        429,
        message,
        kind=what,
        code="rate_limit_exceeded",
        headers={"retry-after": str(math.ceil(wait))},
    )
