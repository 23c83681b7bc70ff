"""The same library without ``await``: a thin facade over an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from relaygen.api.options import Options
from relaygen.api.relay import Relay
from relaygen.api.stream import Stream
from relaygen.chat import Message
from relaygen.relay.config import RelayConfig
from relaygen.relay.events import Emitted
from relaygen.relay.profile import CueProfile
from relaygen.runner import Result

_T = TypeVar("_T")


class SyncStream:
    """Text as it may be shown; after its end, `result`. Close it to cancel."""

    def __init__(self, owner: SyncRelay, stream: Stream) -> None:
        self._owner = owner
        self._stream = stream

    def __iter__(self) -> Iterator[Emitted]:
        parts = aiter(self._stream)
        try:
            while True:
                try:
                    yield self._owner.wait(_next(parts))
                except StopAsyncIteration:
                    return
        finally:
            self.close()

    def close(self) -> None:
        """Cancels the generation at once."""
        self._owner.wait(self._stream.aclose())

    @property
    def result(self) -> Result:
        """See `Stream.result`."""
        return self._stream.result


async def _next(parts: Any) -> Emitted:
    part: Emitted = await anext(parts)
    return part


class SyncRelay:
    """A `Relay` for code that is not async.

    Example:
        ```python
        from relaygen import SyncRelay, demo_models

        large, small = demo_models.gguf("large"), demo_models.gguf("small")
        with SyncRelay.open(large, small, profile="demo") as relay:
            print(relay.generate("Mia has 3 apples. She buys 4 more. How many?").answer)
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
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def stream(
        self, messages: str | Sequence[Message], options: Options | None = None
    ) -> SyncStream:
        """See `Relay.stream`."""
        return SyncStream(self, self.relay.stream(messages, options))

    def generate(self, messages: str | Sequence[Message], options: Options | None = None) -> Result:
        """See `Relay.generate`."""
        return self.wait(self.relay.generate(messages, options))

    def close(self) -> None:
        """Frees both models. May be called twice."""
        if self._loop.is_closed():
            return
        self.wait(self.relay.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
