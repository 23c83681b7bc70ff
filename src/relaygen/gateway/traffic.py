"""Who is being served now, whether more are let in, and the end of it all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from relaygen.gateway.allowance import Allowance
from relaygen.gateway.failures import SERVER, ClientGoneError, HttpError, refused

_T = TypeVar("_T")
Receive = Callable[[], Awaitable[Any]]


class Visit:
    """One request that is being served."""

    def __init__(self) -> None:
        self._task: asyncio.Future[Any] | None = None
        self._cut_off = False

    async def serve(self, receive: Receive, work: Callable[[], Awaitable[_T]]) -> _T:
        """Does the work; stops it when the client leaves, or when the gateway must close.

        Args:
            receive: ASGI's, with the body read to its end.
            work: cancelled in either case.

        Raises:
            ClientGoneError: the client left.
            HttpError: 503; the gateway closed.
        """
        task: asyncio.Future[_T] = asyncio.ensure_future(work())
        self._task = task
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            finished = task.done()
            if not finished:
                task.cancel()
                await asyncio.wait((task,))
        if self._cut_off and task.cancelled():
            raise _closing("the gateway is shutting down and could not wait for this any longer")
        if not finished:
            raise ClientGoneError("the client left")
        return task.result()

    def cut_off(self) -> None:
        """Stops the work."""
        self._cut_off = True
        if self._task is not None:
            self._task.cancel()


class Traffic:
    """All visits. Each counts as many generations as it runs."""

    def __init__(self, max_streams: int, retry_after_s: int) -> None:
        self._max = max_streams
        self._retry_after_s = retry_after_s
        self._visits: set[Visit] = set()
        self._left = asyncio.Event()
        self.generations = 0
        self.draining = False

    @contextmanager
    def visit(self, allowance: Allowance, generations: int) -> Iterator[Visit]:
        """Lets a request in for as long as the context lasts.

        Raises:
            HttpError: 503 while draining; 429 where there is no room; 400 where there never will be.
        """
        self.check_open()
        if generations > self._max:
            raise refused(
                "n",
                f"the request asks for {generations} generations, and this gateway runs "
                f"{self._max} at once; ask for fewer",
            )
        if self.generations + generations > self._max:
            raise HttpError(
                429,
                f"{self.generations} generations are running, and this gateway runs {self._max} "
                "at once: come back later",
                kind=SERVER,
                code="overloaded",
                headers={"retry-after": str(self._retry_after_s)},
            )
        allowance.enter(generations)
        visit = Visit()
        self._visits.add(visit)
        self.generations += generations
        try:
            yield visit
        finally:
            self.generations -= generations
            self._visits.discard(visit)
            allowance.leave(generations)
            self._left.set()

    def check_open(self) -> None:
        """Refuses new work while draining.

        Raises:
            HttpError: 503.
        """
        if self.draining:
            raise _closing("the gateway is shutting down: send this to another one", self)

    @property
    def retry_after_s(self) -> int:
        """What a refused client is told to wait."""
        return self._retry_after_s

    async def drain(self, deadline_s: float) -> int:
        """Lets nobody in any more, and waits until everybody has left.

        Args:
            deadline_s: whoever is still there after so many seconds is cut off.

        Returns:
            how many requests were cut off.
        """
        self.draining = True
        try:
            async with asyncio.timeout(deadline_s):
                await self._empty()
        except TimeoutError:
            late = self.cut_off()
            await self._empty()
            return late
        return 0

    def cut_off(self) -> int:
        """Lets nobody in any more, and stops the work of whoever is there; returns how many."""
        self.draining = True
        for visit in self._visits:
            visit.cut_off()
        return len(self._visits)

    async def _empty(self) -> None:
        while self._visits:
            self._left.clear()
            await self._left.wait()


def _closing(message: str, traffic: Traffic | None = None) -> HttpError:
    wait = 1 if traffic is None else traffic.retry_after_s
    return HttpError(
        503, message, kind=SERVER, code="shutting_down", headers={"retry-after": str(wait)}
    )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
