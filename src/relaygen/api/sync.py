"""The same library without ``await``: a thin facade over an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from relaygen.api.options import Options
from relaygen.api.relay import Relay
from relaygen.api.stream import Stream
from relaygen.chat import Message
from relaygen.relay.config import RelayConfig
from relaygen.relay.events import Emitted
from relaygen.relay.profile import CueProfile
from relaygen.runner import Result

_T = TypeVar("_T")


class _Job(Generic[_T]):
    """Work on the relay's loop. A Ctrl-C may come anywhere: what is over is kept beside the queue,
    for an interrupt just after `get` loses what it returned.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> None:
        self._loop = loop
        self._task: asyncio.Task[_T] | None = None
        self._over: asyncio.Task[_T] | None = None
        self._wake: SimpleQueue[None] = SimpleQueue()
        loop.call_soon_threadsafe(self._start, work)

    def result(self) -> _T:
        """Waits for the end."""
        return self._wait().result()

    def cancel(self) -> None:
        """Returns when the work is over; it may have come to its own end before."""
        if self._over is None:
            self._loop.call_soon_threadsafe(self._cancel)
        task = self._wait()
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as lost

    def _wait(self) -> asyncio.Task[_T]:
        while self._over is None:
            self._wake.get()
        return self._over

    def _start(self, work: Coroutine[Any, Any, _T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[_T]) -> None:
        self._over = task
        self._wake.put(None)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class SyncStream:
    """Text as it may be shown; after its end, `result`. Close it to cancel.

    The models do not wait for a slow reader.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: Stream) -> None:
        self._loop = loop
        self._stream = stream
        self._parts: SimpleQueue[Emitted | None] = SimpleQueue()
        self._job: _Job[None] | None = None

    def __iter__(self) -> Iterator[Emitted]:
        try:
            if self._job is None:
                self._job = _Job(self._loop, self._read())
            while (part := self._parts.get()) is not None:
                yield part
            self._job.result()
        finally:
            self.close()

    def close(self) -> None:
        """Cancels the generation at once. May be called twice, also after the end."""
        if self._job is not None:
            self._job.cancel()

    @property
    def result(self) -> Result:
        """See `Stream.result`."""
        return self._stream.result

    def raise_for_failure(self) -> None:
        """See `Stream.raise_for_failure`."""
        self._stream.raise_for_failure()

    async def _read(self) -> None:
        try:
            async for part in self._stream:
                self._parts.put(part)
        finally:
            await self._stream.aclose()
            self._parts.put(None)


class SyncRelay:
    """A `Relay` for code that is not async.

    Example:
        ```python
        from relaygen import SyncRelay, demo_models

        large, small = demo_models.gguf("large"), demo_models.gguf("small")
        with SyncRelay.open(large, small, profile="demo") as relay:
            print(relay.generate("Mia has 12 apples. On Monday, she finds 4. How many?").answer)
        ```
    """

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="relaygen-sync", daemon=True
        )
        self._thread.start()

    @classmethod
    def open(
        cls,
        large: str | Path,
        small: str | Path,
        *,
        profile: str | Path | CueProfile | None = None,
        config: RelayConfig | None = None,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        sequences: int | None = None,
    ) -> Self:
        """See `Relay.open`."""
        return cls(
            Relay.open(
                large,
                small,
                profile=profile,
                config=config,
                context_tokens=context_tokens,
                threads=threads,
                gpu_layers=gpu_layers,
                sequences=sequences,
            )
        )

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs a coroutine on the relay's loop; an interruption (Ctrl-C) cancels it."""
        job = _Job(self._loop, work)
        try:
            return job.result()
        except KeyboardInterrupt:
            job.cancel()
            raise

    def stream(
        self, messages: str | Sequence[Message], options: Options | None = None
    ) -> SyncStream:
        """See `Relay.stream`."""
        return SyncStream(self._loop, self.relay.stream(messages, options))

    def generate(self, messages: str | Sequence[Message], options: Options | None = None) -> Result:
        """See `Relay.generate`."""
        return self.wait(self.relay.generate(messages, options))

    def close(self) -> None:
        """Cancels what still runs and frees both models. May be called twice."""
        if self._loop.is_closed():
            return
        self.wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.relay.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
