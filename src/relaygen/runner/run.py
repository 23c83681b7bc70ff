"""One generation over two engines, as a stream or as a result."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import cast

from relaygen.engines.affinity import new_generation_id, prompt_affinity
from relaygen.engines.base import Engine, InlineEngine
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.relay.events import Emitted
from relaygen.relay.machine import RelayMachine
from relaygen.runner.async_drive import drive
from relaygen.runner.inline_drive import InlineDrive
from relaygen.runner.recorder import Recorder
from relaygen.runner.retries import Retries
from relaygen.runner.trace import Result
from relaygen.types import FinishReason, ModelRole


class RelayRun:
    """Runs one machine. Read `stream` to its end, then `result`; or just `await complete()`.

    Where both engines are in this process the machine decides on their threads, token by token,
    and nothing waits for the event loop; otherwise each leg is an async stream.
    """

    def __init__(
        self,
        machine: RelayMachine,
        engines: Mapping[ModelRole, Engine],
        *,
        generation_id: str = "",
        max_retries: int = 2,
        small_busy: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepares the run; nothing is asked of an engine yet.

        Args:
            machine: fresh.
            engines: one a role that the policy may use.
            generation_id: names the sequence in the engines' caches; by default a new one, which
                prompts that begin alike share in part (`engines.affinity`).
            max_retries: how often in a row a leg that failed is repeated before its role counts as
                lost; in a row, because each token that arrives allows as many again.
            small_busy: asked at every output: while it says so, the large model writes on at a cue
                and answers itself. On an engine's thread where both are in this process.
            clock: seconds, for the trace.
        """
        missing = [r for r in machine.generation.writers if r not in engines]
        if missing:
            raise InvalidRequestError(f"no engine for the {missing[0]} model", param="engines")
        self._machine = machine
        self._engines = engines
        self._id = generation_id or new_generation_id(prompt_affinity(machine.generation.prompt))
        self._recorder = Recorder(machine, clock)
        self._retries = Retries(max_retries, self._recorder)
        self._small_busy = small_busy

    @property
    def began(self) -> float:
        """When it was prepared, by its clock; the times of its trace count from here."""
        return self._recorder.began

    async def stream(self) -> AsyncGenerator[Emitted]:
        """Yields text as it may be shown. Closing it cancels the work of both engines at once."""
        if all(engine.capabilities().inline for engine in self._engines.values()):
            inline = cast(Mapping[ModelRole, InlineEngine], self._engines)  # the contract says so
            stream = InlineDrive(
                self._machine, inline, self._recorder, self._id, self._retries, self._small_busy
            ).stream()
        else:
            stream = drive(
                self._machine,
                self._engines,
                self._recorder,
                self._id,
                self._retries,
                self._small_busy,
            )
        try:
            async for emitted in stream:
                yield emitted
        finally:
            await stream.aclose()

    async def complete(self) -> Result:
        """Runs to the end."""
        async for _ in self.stream():
            pass
        return self.result()

    def raise_for_failure(self) -> None:
        """Does nothing, unless the finished generation broke off.

        Raises:
            EngineError: what broke it off, as it was raised.
            ProtocolError: it is not over.
        """
        result = self.result()
        if result.finish_reason is FinishReason.ERROR:
            raise self._retries.final or EngineError(result.error or "the large model failed")

    def result(self) -> Result:
        """The finished generation, also after an error or a cancellation.

        Raises:
            ProtocolError: it is not over.
        """
        return self._recorder.result()
