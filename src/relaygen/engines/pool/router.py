"""Gives legs their places: at once where there is room, else in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relaygen.engines.pool.choice import bound, choose, ranked
from relaygen.engines.pool.counts import PoolLoad, Tally
from relaygen.engines.pool.health import ReplicaState
from relaygen.engines.pool.homes import Home
from relaygen.engines.pool.member import Member, Place
from relaygen.engines.pool.options import PoolOptions
from relaygen.engines.pool.patience import Patience
from relaygen.errors import EngineUnavailableError


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A leg that waits.

    Attributes:
        home: of its generation.
        patience: how long.
        timer: ends it.
    """

    home: Home
    patience: Patience
    timer: asyncio.Timeout


_Queue = dict[asyncio.Future[Place], _Waiting]


class Router:
    """Puts each leg on a replica that may take it, has room, and did not fail its generation.

    A generation stays where it is. A new one goes to the replica that its key prefers, or to the
    least loaded one where that has too much; so does one whose replica is full or out.

    Legs that wait are served in order, those that go on with a generation before those that begin
    one: a text that stops in its middle is worse than one that begins late.
    """

    def __init__(
        self,
        members: Sequence[Member],
        options: PoolOptions,
        tally: Tally,
        watch: Callable[[], None],
    ) -> None:
        """`watch` is called whenever a replica may have come or gone."""
        self._members = members
        self._watch = watch
        self._options = options
        self._tally = tally
        self._going_on: _Queue = {}
        self._beginning: _Queue = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def queued(self) -> int:
        """Legs that wait for a replica."""
        return len(self._going_on) + len(self._beginning)

    def load(self) -> PoolLoad:
        """How busy the replicas are."""
        return PoolLoad(in_flight=self._in_flight(), queued=self.queued, usable=len(self._usable()))

    def has_fresh(self, home: Home) -> bool:
        """Whether a replica that may be given legs has not failed this generation yet."""
        return bool(_fresh(self._usable(), home))

    def is_out(self) -> bool:
        """Whether no replica may be given a leg, were there room."""
        if any(member.health.state is ReplicaState.UP for member in self._members):
            return False
        return not self._usable()

    def is_full(self) -> bool:
        """Whether a new leg would have to wait."""
        most = self._options.concurrency
        return all(member.in_flight >= most for member in self._usable())

    def check_open(self) -> None:
        """Raises `EngineUnavailableError` once the pool was closed."""
        if self._closed:
            raise _closed()

    async def place(self, home: Home, patience: Patience, *, begins: bool) -> Place:
        """A place for a leg; whoever gets it must use it or give it back.

        Args:
            home: of its generation.
            patience: when to give up; lost where no replica may be given legs.
            begins: nothing of the generation is written yet, so that the leg may be refused.

        Raises:
            EngineSetupError: no replica is set up for us, or takes our key.
            EngineUnavailableError: the queue is full, nothing was free in time, or the pool was
                closed; not to be repeated.
        """
        self.check_open()
        place = self.take(home)
        if place is not None:
            return place
        if begins:
            self._check_setup()
        if begins and len(self._beginning) >= self._options.queue:
            self._tally.refused += 1
            raise EngineUnavailableError(
                f"all replicas are busy and {len(self._beginning)} requests wait for one already; "
                "try again later",
                retryable=False,
            )
        queue = self._beginning if begins else self._going_on
        return await self._wait(home, queue, patience)

    def take(self, home: Home, *, only_up: bool = False) -> Place | None:
        """A place for a leg if there is one now.

        Args:
            home: of its generation.
            only_up: not one that is there to find out whether its replica works.
        """
        usable = self._usable()
        if only_up:
            usable = [m for m in usable if m.health.state is ReplicaState.UP]
        elif usable and not _fresh(usable, home):
            home.failed = frozenset()
        fresh = _fresh(usable, home)
        roomy = [m for m in fresh if m.in_flight < self._options.concurrency]
        if not roomy:
            return None
        chosen = self._choose(home, roomy)
        if home.replica not in (None, chosen.name):
            self._tally.moves += 1
        home.replica = chosen.name
        return Place(chosen, self._now, self.serve)

    def serve(self) -> None:
        """Gives places to those who wait; called whenever anything may have changed."""
        self._watch()
        for queue in (self._going_on, self._beginning):
            for waiter, waiting in tuple(queue.items()):
                if self.is_full():
                    break
                if not waiter.done() and (place := self.take(waiting.home)) is not None:
                    waiter.set_result(place)
                    del queue[waiter]
        if self.queued and self.is_out():
            for waiting in (*self._going_on.values(), *self._beginning.values()):
                waiting.patience.lose(self._now())
                if not waiting.timer.expired():
                    waiting.timer.reschedule(waiting.patience.until)
        self._set_timer()

    def close(self) -> None:
        """Whoever waits gets `EngineUnavailableError`."""
        self._closed = True
        for waiter in (*self._going_on, *self._beginning):
            if not waiter.done():
                waiter.set_exception(_closed())
        self._set_timer()

    def _check_setup(self) -> None:
        """Waiting is for what changes by itself, and a wrong key or model does not."""
        misfits = [member.misfit for member in self._members]
        if (last := misfits[-1]) is not None and None not in misfits:
            raise type(last)(str(last), retryable=False) from last

    def _why_out(self) -> str:
        """The last failures of the replicas that are out, for messages."""
        out = [m for m in self._members if m.health.state is not ReplicaState.UP]
        return "".join(f"; {m.name} {m.health.state}: {m.last_error}" for m in out)

    def _choose(self, home: Home, roomy: Sequence[Member]) -> Member:
        for member in roomy:
            if member.name == home.replica:
                return member
        if not home.key:
            return min(roomy, key=lambda member: (member.in_flight, member.legs))
        by_name = {member.name: member for member in roomy}
        options = self._options
        most = bound(
            self._in_flight(),
            len(roomy),
            balance=options.balance,
            sticky_legs=options.sticky_legs,
        )
        preferred = [by_name[name] for name in ranked(home.key, tuple(by_name))]
        return choose(preferred, lambda member: member.in_flight, most)

    def _in_flight(self) -> int:
        return sum(member.in_flight for member in self._members)

    def _usable(self) -> list[Member]:
        now = self._now()
        all_down = all(m.health.state is ReplicaState.DOWN for m in self._members)
        return [m for m in self._members if m.health.may_try(now, all_down=all_down)]

    async def _wait(self, home: Home, queue: _Queue, patience: Patience) -> Place:
        waiter: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._tally.queue_waits += 1
        began = self._now()
        if self.is_out():
            patience.lose(began)
        try:
            async with asyncio.timeout_at(patience.until) as timer:
                queue[waiter] = _Waiting(home, patience, timer)
                self._set_timer()
                try:
                    return await waiter
                except asyncio.CancelledError:
                    if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                        waiter.result().give_back()
                    raise
        except TimeoutError as error:
            self._tally.gave_up += 1
            load = self.load()
            raise EngineUnavailableError(
                f"no replica for {self._now() - began:g} s: of {len(self._members)}, "
                f"{load.usable} may be given legs, and {load.queued - (waiter in queue)} other legs wait"
                f"{self._why_out()}",
                retryable=False,
            ) from error
        finally:
            queue.pop(waiter, None)
            self._tally.queue_wait_s += self._now() - began

    def _set_timer(self) -> None:
        """Wakes those who wait when a replica that is out may be tried."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not (self._going_on or self._beginning):
            return
        now = self._now()
        times = [m.health.until for m in self._members if m.health.until > now]
        if times:
            self._timer = asyncio.get_running_loop().call_at(min(times), self.serve)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _fresh(members: Sequence[Member], home: Home) -> list[Member]:
    return [member for member in members if member.name not in home.failed]


def _closed() -> EngineUnavailableError:
    return EngineUnavailableError("the pool was closed; open another", retryable=False)
