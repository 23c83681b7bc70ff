"""One running process, in a group of its own, with its output as lines."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from relaygen.errors import EngineError
from relaygen.launch.log_lines import LogLines

ShowLine = Callable[[str], None]

_TAIL = 20
_LAST_WORDS_S = 0.5
_PR_SET_PDEATHSIG = 1


class ServerProcess(asyncio.SubprocessProtocol):
    """A process that was started, until it is stopped.

    A protocol, not asyncio's `Process`: that one's `wait` returns only once nobody holds the
    process's output any more, and what a server leaves behind when it dies holds it for ever.

    Attributes:
        tail: its last lines.
    """

    def __init__(self, show: ShowLine) -> None:
        loop = asyncio.get_running_loop()
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._show = show
        self._lines = LogLines()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._cannot_show: asyncio.Future[None] = loop.create_future()
        self._silent = asyncio.Event()

    @classmethod
    async def start(
        cls, argv: tuple[str, ...], environment: Mapping[str, str], show: ShowLine
    ) -> ServerProcess:
        """Starts a process.

        A group of its own keeps Ctrl-C in the terminal from it: it is for this process to decide
        who ends first. On Linux the process gets SIGTERM if this one dies without stopping it.

        Raises:
            EngineError: it cannot be started.
        """
        try:
            _, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(show),
                *argv,
                env=environment,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        except OSError as error:
            raise EngineError(f"{argv[0]} cannot be started ({error.strerror or error})") from error
        return process

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._transport.get_pid()

    async def exited(self) -> int:
        """Waits for the end of the process; returns its exit code, negative for a signal.

        Raises:
            OSError: its output cannot be shown.
        """
        ends: set[asyncio.Future[Any]] = {self._ended, self._cannot_show}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._cannot_show.done():
            self._cannot_show.result()
        await self._last_words()
        return self._ended.result()

    async def stop(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Ends the process and whatever it has started.

        Args:
            grace_s: after SIGTERM it has so long; then it is killed.
            hurry: do not wait any longer.
        """
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._transport.terminate()
            hurried = asyncio.ensure_future(hurry.wait())
            ends: set[asyncio.Future[Any]] = {self._ended, hurried}
            await asyncio.wait(ends, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
        # The whole group: also what the process left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait({self._ended})
        await self._last_words()
        self._transport.close()
        if self._cannot_show.done():
            self._cannot_show.exception()  # `exited` has raised it, or this is the end anyway

    async def _last_words(self) -> None:
        """Lets what the process wrote before its end come through."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._silent.wait(), _LAST_WORDS_S)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol: the process runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Part of asyncio's protocol: the process wrote something."""
        for line in self._lines.feed(cast(bytes, data)):
            self._take(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Part of asyncio's protocol: nobody holds the output any more."""
        for line in self._lines.close():
            self._take(line)
        self._silent.set()

    def process_exited(self) -> None:
        """Part of asyncio's protocol: the process, but perhaps not its children, has ended."""
        self._ended.set_result(cast(int, self._transport.get_returncode()))

    def _take(self, line: str) -> None:
        """Keeps and shows a line; where none can be shown, reading goes on: or it would block."""
        self.tail.append(line)
        if self._cannot_show.done():
            return
        try:
            self._show(line)
        except OSError as error:
            self._cannot_show.set_exception(error)


def _die_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the program: it asks the kernel for a last signal."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: a child must not load

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return ask
