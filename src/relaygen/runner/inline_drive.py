"""Drives a machine over two engines of this process, on their own threads.

An engine calls `_Reader.__call__` after each token and goes on only while it returns True, so the
decision falls before the next token is computed. A handoff submits the next leg from inside the
call: one thread wakes another, and the event loop is not asked.

At most one leg may add to the generation, and each leg's calls come one after the other, so the
machine is touched by one thread at a time; the lock is for cancellations by the reader.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Mapping

from relaygen.engines.base import EngineOutput, InlineEngine, Leg
from relaygen.errors import EngineError, InvalidRequestError, RelayGenError
from relaygen.relay.events import (
    Cancel,
    Emitted,
    Event,
    Finish,
    Generate,
    LegEnded,
    LegFailed,
    Output,
    Prefill,
    Score,
    Scored,
)
from relaygen.relay.machine import RelayMachine
from relaygen.runner.recorder import Recorder
from relaygen.runner.requests import leg_request
from relaygen.types import ModelRole


class InlineDrive:
    """One run."""

    def __init__(
        self,
        machine: RelayMachine,
        engines: Mapping[ModelRole, InlineEngine],
        recorder: Recorder,
        generation_id: str,
        max_retries: int,
    ) -> None:
        self._machine = machine
        self._engines = engines
        self._recorder = recorder
        self._id = generation_id
        self._retries_left = max_retries
        self._lock = threading.RLock()
        self._leg: Leg | None = None
        self._leg_id = -1
        self._scoring: set[asyncio.Task[None]] = set()
        self._out: deque[Emitted | RelayGenError | None] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._woken = False

    async def stream(self) -> AsyncGenerator[Emitted]:
        """Yields what may be shown until the machine is done.

        Raises:
            InvalidRequestError: an engine refused a leg.
        """
        self._loop = asyncio.get_running_loop()
        try:
            with self._lock:
                self._act()
            while True:
                await self._ready.wait()
                self._ready.clear()
                self._woken = False
                while self._out:
                    part = self._out.popleft()
                    if part is None:
                        return
                    if isinstance(part, RelayGenError):
                        raise part
                    yield part
        finally:
            with self._lock:
                self._machine.cancel()
                self._recorder.watch(())
                leg, self._leg, self._leg_id = self._leg, None, -1
            if leg is not None:
                leg.cancel()
            for task in self._scoring:
                task.cancel()

    # -- on an engine's thread ----------------------------------------------------------------

    def read(self, leg_id: int, item: EngineOutput | EngineError | InvalidRequestError) -> bool:
        """Takes what a leg delivered; returns whether that leg goes on."""
        with self._lock:
            if leg_id != self._leg_id:
                return False
            try:
                for event in self._events(leg_id, item):
                    self._feed(event)
                self._act()
            except RelayGenError as error:  # a refused leg, or a bug of a policy: the reader's
                self._leg_id = -1
                self._push(error)
            return leg_id == self._leg_id

    def _events(
        self, leg_id: int, item: EngineOutput | EngineError | InvalidRequestError
    ) -> list[Event]:
        if isinstance(item, EngineOutput):
            if item.prompt_evaluated is not None:
                self._recorder.note_evaluated(item.prompt_evaluated)
            output = Output(leg_id, item.token_ids, item.scores)
            return [output] if item.end is None else [output, LegEnded(leg_id, item.end)]
        if isinstance(item, InvalidRequestError):
            raise item
        retry = item.retryable and self._retries_left > 0
        if retry:
            self._retries_left -= 1
            self._recorder.failovers += 1
        return [LegFailed(leg_id, str(item), retry)]

    def _feed(self, event: Event) -> None:
        emitted = self._machine.receive(event)
        self._recorder.watch(emitted)
        for part in emitted:
            self._push(part)

    def _act(self) -> None:
        for action in self._machine.next_actions():
            if isinstance(action, Generate):
                self._leg_id = action.leg_id
                read = _Reader(self, action.leg_id)
                self._leg = self._engines[action.role].submit(leg_request(action, self._id), read)
            elif isinstance(action, Cancel):
                self._leg_id = -1  # the leg's own call returns False, or its next one does
            elif isinstance(action, Prefill):
                self._engines[action.role].submit_prefill(action.prompt_tokens, self._id)
            elif isinstance(action, Score):
                self._leg_id = action.leg_id
                self._on_loop(action)
            elif isinstance(action, Finish):
                self._leg_id = -1
                self._push(None)

    def _push(self, part: Emitted | RelayGenError | None) -> None:
        self._out.append(part)
        if not self._woken and self._loop is not None:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:
                self._leg_id = -1  # the loop is gone, and the reader with it

    # -- on the event loop's thread -----------------------------------------------------------

    def _on_loop(self, action: Score) -> None:
        def begin() -> None:
            task = asyncio.ensure_future(self._score(action))
            self._scoring.add(task)
            task.add_done_callback(self._scoring.discard)

        if self._loop is not None:
            self._loop.call_soon_threadsafe(begin)

    async def _score(self, action: Score) -> None:
        event: Event
        try:
            scores = await self._engines[action.role].score(
                action.prompt_tokens, action.from_token, generation_id=self._id
            )
            event = Scored(action.leg_id, scores)
        except EngineError as error:
            event = LegFailed(action.leg_id, str(error))
        with self._lock:
            if action.leg_id == self._leg_id:
                self._feed(event)
                self._act()


class _Reader:
    """The sink of one leg."""

    __slots__ = ("_drive", "_leg_id")

    def __init__(self, drive: InlineDrive, leg_id: int) -> None:
        self._drive = drive
        self._leg_id = leg_id

    def __call__(self, item: EngineOutput | EngineError | InvalidRequestError) -> bool:
        return self._drive.read(self._leg_id, item)
