"""Drives a machine over any two engines: each leg is an async stream, read token by token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from relaygen.engines.base import Engine
from relaygen.errors import ContextLengthError, EngineError, FormLostError, InvalidRequestError
from relaygen.relay.events import (
    Emitted,
    Event,
    Generate,
    LegEnded,
    Output,
    Prefill,
    Score,
    Scored,
)
from relaygen.relay.machine import RelayMachine
from relaygen.runner.recorder import Recorder
from relaygen.runner.requests import full_context, leg_request
from relaygen.runner.retries import Retries
from relaygen.types import ModelRole


async def drive(
    machine: RelayMachine,
    engines: Mapping[ModelRole, Engine],
    recorder: Recorder,
    generation_id: str,
    retries: Retries,
    small_busy: Callable[[], bool] | None = None,
) -> AsyncGenerator[Emitted]:
    """Yields what may be shown until the machine is done.

    Raises:
        InvalidRequestError: an engine refused a leg; nothing it could do would change that.
        FormLostError: whoever went on would write another form after half of one.
    """
    legs = _Legs(machine, engines, recorder, generation_id, retries)
    try:
        while (leg := legs.act()) is not None:
            async with aclosing(leg) as events:  # closing it cancels the work upstream
                async for event in events:
                    if small_busy is not None:
                        machine.small_busy = small_busy()
                    emitted = machine.receive(event)
                    recorder.watch(emitted)
                    for part in emitted:
                        yield part
                    if legs.superseded():
                        break
    finally:
        recorder.watch(machine.cancel())
        await legs.aclose()


class _Legs:
    """Carries out actions. A `Cancel` needs none: a leg is closed where it is superseded."""

    def __init__(
        self,
        machine: RelayMachine,
        engines: Mapping[ModelRole, Engine],
        recorder: Recorder,
        generation_id: str,
        retries: Retries,
    ) -> None:
        self._machine = machine
        self._engines = engines
        self._recorder = recorder
        self._id = generation_id
        self._retries = retries
        self._hints: set[asyncio.Task[None]] = set()
        self._actions = machine.next_actions()

    def superseded(self) -> bool:
        """Whether the machine wants something else than the leg that is being read."""
        self._actions += self._machine.next_actions()
        wanted = False
        for action in self._actions:
            if isinstance(action, Prefill):
                self._hint(action)
            else:
                wanted = True
        self._actions = [a for a in self._actions if not isinstance(a, Prefill)]
        return wanted

    def act(self) -> AsyncGenerator[Event] | None:
        """Carries out the pending actions; the events of the next leg, or None at the end."""
        self.superseded()
        actions, self._actions = self._actions, []
        for action in actions:
            if isinstance(action, Generate):
                return self._generate(action)
            if isinstance(action, Score):
                return self._score(action)
        return None

    async def _generate(self, action: Generate) -> AsyncGenerator[Event]:
        outputs = self._engines[action.role].generate(leg_request(action, self._id))
        failure = EngineError("the engine stopped without saying why", retryable=True)
        try:
            async with aclosing(outputs) as opened:
                async for output in opened:
                    if output.prompt_evaluated is not None:
                        self._recorder.note_evaluated(output.prompt_evaluated)
                    if output.replica is not None:
                        self._recorder.note_replica(output.replica)
                    if output.token_ids:
                        self._retries.progressed()
                        yield Output(action.leg_id, output.token_ids, output.scores)
                    if output.end is not None:
                        yield LegEnded(action.leg_id, output.end)
                        return
        except ContextLengthError as error:
            yield full_context(action, error)
            return
        except FormLostError:
            raise
        except EngineError as error:
            failure = error
        yield self._retries.failed(action.leg_id, failure)

    async def _score(self, action: Score) -> AsyncGenerator[Event]:
        try:
            scores = await self._engines[action.role].score(
                action.prompt_tokens, action.from_token, generation_id=self._id
            )
            self._retries.progressed()
            yield Scored(action.leg_id, scores)
        except EngineError as error:
            yield self._retries.failed(action.leg_id, error)

    def _hint(self, action: Prefill) -> None:
        engine = self._engines[action.role]
        task = asyncio.ensure_future(self._prefill(engine, action))
        self._hints.add(task)
        task.add_done_callback(self._hints.discard)

    async def _prefill(self, engine: Engine, action: Prefill) -> None:
        try:
            await engine.prefill(action.prompt_tokens, self._id)
        except (EngineError, InvalidRequestError):
            return  # only a hint: the leg that follows meets the same error, and reports it

    async def aclose(self) -> None:
        """Cancels the hints that still run."""
        hints = tuple(self._hints)
        for hint in hints:
            hint.cancel()
        await asyncio.gather(*hints, return_exceptions=True)
