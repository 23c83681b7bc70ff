"""Keeps one process running: start, wait until it is ready, start again when it dies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relaygen.errors import EngineError
from relaygen.launch.advice import advise, how_it_ended
from relaygen.launch.ports import where_to_ask
from relaygen.launch.process import ServerProcess
from relaygen.launch.readiness import until_ready
from relaygen.launch.restarts import Restarts
from relaygen.launch.service import Service

Show = Callable[[str, str], None]
"""Shows a line of the process of that name; the launch's own lines have the name ``launch``."""

OWN = "launch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long things may take.

    Attributes:
        ready_s: from the start of a process until it answers.
        progress_s: between two lines that say that one is waiting.
        poll_s: between two questions whether it answers.
        restarts: of processes that died.
    """

    ready_s: float = 600.0
    progress_s: float = 10.0
    poll_s: float = 0.1
    restarts: Restarts = field(default_factory=Restarts)


class Keeper:
    """Keeps one service running.

    Attributes:
        service: what runs.
        ready: set once it has answered for the first time.
    """

    def __init__(
        self, service: Service, *, keys: Mapping[str, str], timing: Timing, show: Show
    ) -> None:
        self.service = service
        self.ready = asyncio.Event()
        self._keys = keys
        self._timing = timing
        self._show = show
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of its process."""
        return tuple(self._process.tail) if self._process else ()

    async def keep(self) -> None:
        """Runs until cancelled; the process then still runs, see `stop`.

        Raises:
            EngineError: it died before it was ready for the first time, or too often since.
            OSError: its output cannot be shown.
        """
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            process = await self._start()
            began = clock()
            problem = await self._until_ready(process)
            if problem is None:
                self.ready.set()
                self._say(f"is ready after {clock() - began:.1f} s at {self.service.url}")
                began = clock()
                problem = how_it_ended(await process.exited())
            if not self.ready.is_set():
                raise EngineError(f"{self.service.name} {problem}: {self._advice()}")
            failures = self._timing.restarts.failures(failures, clock() - began)
            pause = self._timing.restarts.pause_s(failures)
            if pause is None:
                raise EngineError(
                    f"{self.service.name} {problem}, for the {failures}th time in a row: "
                    f"{self._advice()}"
                )
            self._say(f"{problem}; it is started again in {pause:g} s")
            await process.stop(self.service.grace_s, asyncio.Event())
            await asyncio.sleep(pause)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ends the process, if one runs."""
        if self._process is not None:
            await self._process.stop(self.service.grace_s, hurry)

    async def _start(self) -> ServerProcess:
        command = self.service.command
        self._process = await ServerProcess.start(
            command.argv,
            command.full_environment(os.environ, self._keys),
            lambda line: self._show(self.service.name, line),
        )
        return self._process

    async def _until_ready(self, process: ServerProcess) -> str | None:
        """Waits; returns None once it is ready, else what went wrong."""
        clock = asyncio.get_running_loop().time
        began, limit = clock(), self._timing.ready_s
        service = self.service
        host, path = where_to_ask(service.host), service.ready_path
        ready = asyncio.create_task(
            until_ready(host, service.port, path, poll_s=self._timing.poll_s)
        )
        exited = asyncio.create_task(process.exited())
        try:
            while (left := began + limit - clock()) > 0:
                await asyncio.wait(
                    {ready, exited},
                    timeout=min(left, self._timing.progress_s),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if exited.done():  # first: another program may have answered on its port
                    return f"{how_it_ended(exited.result())} before it was ready"
                if ready.done():
                    return None
                self._say(f"is not ready after {clock() - began:.0f} s (at most {limit:g} s)")
            return f"was not ready within {limit:g} s (see --ready-timeout)"
        finally:
            ready.cancel()
            exited.cancel()

    def _say(self, text: str) -> None:
        self._show(OWN, f"{self.service.name} {text}")

    def _advice(self) -> str:
        return advise(self.service.runs, self.tail)
