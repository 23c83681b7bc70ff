"""A generation while it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from relaygen.relay.events import Emitted
from relaygen.runner import RelayRun, Result


class Stream:
    """Text as it may be shown; after its end, `result`.

    Example:
        ```python
        from relaygen import Options, Relay, demo_models

        large, small = demo_models.gguf("large"), demo_models.gguf("small")
        async with Relay.open(large, small, profile="demo") as relay:
            stream = relay.stream("Mia has 3 apples. She buys 4 more.", Options(max_tokens=50))
            async for part in stream:
                print(part.text, end="")
        print(stream.result.usage)
        ```
    """

    def __init__(self, run: RelayRun) -> None:
        self._run = run
        self._parts: AsyncGenerator[Emitted] = run.stream()

    def __aiter__(self) -> AsyncIterator[Emitted]:
        return self._parts

    async def aclose(self) -> None:
        """Cancels the generation at once."""
        await self._parts.aclose()

    @property
    def began(self) -> float:
        """When it was prepared, by `time.perf_counter`; the times of its trace count from here."""
        return self._run.began

    def raise_for_failure(self) -> None:
        """Does nothing, unless the finished generation broke off.

        Raises:
            EngineError: what broke it off, as it was raised.
            ProtocolError: the stream was not read to its end, nor closed.
        """
        self._run.raise_for_failure()

    @property
    def result(self) -> Result:
        """The finished generation.

        Raises:
            ProtocolError: the stream was not read to its end, nor closed.
        """
        return self._run.result()
