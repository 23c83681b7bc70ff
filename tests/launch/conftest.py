from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relaygen.launch.command import Command
from relaygen.launch.interrupts import Interrupts
from relaygen.launch.keeper import Timing
from relaygen.launch.ports import free_ports
from relaygen.launch.restarts import Restarts
from relaygen.launch.service import Service
from relaygen.launch.supervisor import Supervisor

FAKE = Path(__file__).with_name("fake_server.py")
QUICK = Timing(ready_s=60, poll_s=0.01, restarts=Restarts(first_s=0.01, longest_s=0.01, most=2))


def fake(name: str, *flags: str, grace_s: float = 30.0, port: int | None = None) -> Service:
    """A fake server, on a free port unless told; -I and -S make Python start quickly."""
    port = port or free_ports(1)[0]
    program = (sys.executable, "-I", "-S", str(FAKE), "--port", str(port), *flags)
    return service(name, program, grace_s=grace_s, port=port)


def service(name: str, argv: tuple[str, ...], *, grace_s: float = 30.0, port: int = 1) -> Service:
    return Service(
        name=name,
        command=Command(argv=argv, keys={"FAKE_KEY": "key"}),
        host="127.0.0.1",
        port=port,
        ready_path="/health",
        runs="a fake server",
        grace_s=grace_s,
    )


async def until_gone(pid: int) -> None:
    """Returns once a process has ended, also one that is not a child of this one."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(30):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)


class Lines:
    """What was shown, and a way to wait for it.

    Attributes:
        gone: nothing can be shown any more.
    """

    def __init__(self) -> None:
        self.gone = False
        self.shown: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def show(self, name: str, line: str) -> None:
        if self.gone:
            raise BrokenPipeError
        self.shown.append((name, line))
        self._more.set()

    async def until(self, text: str, *, times: int = 1) -> None:
        """Returns once `text` was shown so often."""
        async with asyncio.timeout(30):
            while sum(text in line for _, line in self.shown) < times:
                self._more.clear()
                await self._more.wait()

    def of(self, name: str) -> list[str]:
        return [line for who, line in self.shown if who == name]

    def numbers(self, word: str) -> list[int]:
        """The process ids that were told as ``pid N`` or ``child N``."""
        told = (line.split() for _, line in self.shown)
        return [int(words[1]) for words in told if len(words) == 2 and words[0] == word]


class Launch:
    """A supervisor that runs, with what it shows."""

    def __init__(self, waves: list[list[Service]], timing: Timing) -> None:
        self.lines = Lines()
        self.interrupts = Interrupts()
        self.supervisor = Supervisor(
            waves,
            keys={"key": "k-123"},
            timing=timing,
            show=self.lines.show,
            interrupts=self.interrupts,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    async def stop(self) -> None:
        self.interrupts.interrupt()
        await self.ended()

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await self.task


Start = Callable[..., Launch]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts launches; afterwards none of their processes, or of their children, may be left."""
    launches: list[Launch] = []

    def begin(*waves: list[Service], timing: Timing = QUICK) -> Launch:
        launches.append(Launch(list(waves), timing))
        return launches[-1]

    yield begin
    for launch in launches:
        assert launch.task.done()
        for pid in launch.lines.numbers("pid"):
            with pytest.raises(ProcessLookupError):  # reaped: not even a zombie
                os.kill(pid, 0)
        for pid in launch.lines.numbers("child"):
            await until_gone(pid)
