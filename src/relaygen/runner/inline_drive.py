"""Drives a machine over two engines of this process, on their own threads.

An engine calls the sink of a leg after each token and goes on only while it returns True, so the
decision falls before the next token is computed. A handoff submits the next leg from inside the
call: one thread wakes another, and the event loop is not asked.

At most one leg may add to the generation, and each leg's calls come one after the other; the lock
is for a leg that calls before `submit` has returned it, and for the reader who leaves. It is taken
before any lock of an engine: engines call sinks, and let go of legs, without holding theirs.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from functools import partial

from relaygen.engines.base import EngineOutput, InlineEngine, Leg
from relaygen.errors import ContextLengthError, EngineError, InvalidRequestError
from relaygen.relay.events import (
    Cancel,
    Emitted,
    Event,
    Finish,
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

_Item = EngineOutput | EngineError | InvalidRequestError

_NO_LEG = -1


class InlineDrive:
    """One run."""

    def __init__(
        self,
        machine: RelayMachine,
        engines: Mapping[ModelRole, InlineEngine],
        recorder: Recorder,
        generation_id: str,
        retries: Retries,
        small_busy: Callable[[], bool] | None = None,
    ) -> None:
        self._machine = machine
        self._engines = engines
        self._recorder = recorder
        self._id = generation_id
        self._retries = retries
        self._small_busy = small_busy
        self._lock = threading.RLock()
        self._leg: Leg | None = None
        self._leg_id = _NO_LEG
        self._closed = False
        self._scoring: set[asyncio.Task[None]] = set()
        self._out: deque[Emitted | Exception | None] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._woken = False

    async def stream(self) -> AsyncGenerator[Emitted]:
        """Yields what may be shown until the machine is done.

        Raises:
            InvalidRequestError: an engine refused a leg; nothing it could do would change that.
        """
        self._loop = asyncio.get_running_loop()
        try:
            with self._lock:
                self._act()
            while True:
                await self._ready.wait()
                self._ready.clear()
                # Before the queue is read: what comes later sends a wake-up of its own.
                self._woken = False
                while self._out:
                    part = self._out.popleft()
                    if part is None:
                        return
                    if isinstance(part, Exception):
                        raise part
                    yield part
        finally:
            with self._lock:
                self._closed = True
                self._leg_id = _NO_LEG
                self._recorder.watch(self._machine.cancel())
            # Nobody replaces the leg any more, and an engine's own lock is not taken under ours.
            if self._leg is not None:
                self._leg.cancel()
            for task in tuple(self._scoring):
                task.cancel()

    # -- on an engine's thread ----------------------------------------------------------------

    def _read(self, action: Generate, item: _Item) -> bool:
        """Takes what a leg delivered; returns whether that leg goes on."""
        with self._lock:
            if action.leg_id == self._leg_id:
                self._advance(partial(self._events, action, item))
            return action.leg_id == self._leg_id

    def _advance(self, events: Callable[[], list[Event]]) -> None:
        """Feeds the machine and does what it wants; an error goes to the reader."""
        try:
            for event in events():
                self._feed(event)
            self._act()
        except Exception as error:  # noqa: BLE001 - a thread of the engine must not die of it
            self._leg_id = _NO_LEG
            self._push(error)

    def _events(self, action: Generate, item: _Item) -> list[Event]:
        leg_id = action.leg_id
        if isinstance(item, EngineOutput):
            if item.prompt_evaluated is not None:
                self._recorder.note_evaluated(item.prompt_evaluated)
            if item.token_ids:
                self._retries.progressed()
            output = Output(leg_id, item.token_ids, item.scores)
            return [output] if item.end is None else [output, LegEnded(leg_id, item.end)]
        return [self._failure(action, item)]

    def _failure(self, action: Generate | Score, error: Exception) -> Event:
        if isinstance(error, ContextLengthError) and isinstance(action, Generate):
            return full_context(action, error)
        if isinstance(error, EngineError):
            return self._retries.failed(action.leg_id, error)
        raise error

    def _feed(self, event: Event) -> None:
        if self._small_busy is not None:
            self._machine.small_busy = self._small_busy()
        emitted = self._machine.receive(event)
        self._recorder.watch(emitted)
        for part in emitted:
            self._push(part)

    def _act(self) -> None:
        while actions := self._machine.next_actions():
            for action in actions:
                if self._closed:
                    return
                if isinstance(action, Generate):
                    self._submit(action)
                elif isinstance(action, Cancel):
                    self._leg_id = _NO_LEG  # the leg's own call, which is under way, returns False
                elif isinstance(action, Prefill):
                    with suppress(EngineError, InvalidRequestError):  # only a hint
                        engine = self._engines[action.role]
                        engine.submit_prefill(action.prompt_tokens, self._id)
                elif isinstance(action, Score):
                    self._leg_id = action.leg_id
                    self._call_on_loop(partial(self._begin_score, action))
                elif isinstance(action, Finish):
                    self._leg_id = _NO_LEG
                    self._push(None)

    def _submit(self, action: Generate) -> None:
        self._leg_id = action.leg_id
        sink = partial(self._read, action)
        try:
            self._leg = self._engines[action.role].submit(leg_request(action, self._id), sink)
        except (EngineError, InvalidRequestError) as error:
            self._feed(self._failure(action, error))

    def _push(self, part: Emitted | Exception | None) -> None:
        self._out.append(part)
        if not self._woken:
            self._woken = True
            self._call_on_loop(self._ready.set)
        elif self._loop is not None and self._loop.is_closed():
            self._abandon()

    def _call_on_loop(self, call: Callable[[], object]) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is gone, and the reader with it
            self._abandon()

    def _abandon(self) -> None:
        self._closed = True
        self._leg_id = _NO_LEG

    # -- on the event loop's thread -----------------------------------------------------------

    def _begin_score(self, action: Score) -> None:
        if self._closed:
            return
        task = asyncio.ensure_future(self._score(action))
        self._scoring.add(task)
        task.add_done_callback(self._scoring.discard)

    async def _score(self, action: Score) -> None:
        events: Callable[[], list[Event]]
        try:
            scores = await self._engines[action.role].score(
                action.prompt_tokens, action.from_token, generation_id=self._id
            )
        except Exception as error:  # noqa: BLE001 - a failure of the leg, or the reader's
            events = partial(self._score_failed, action, error)
        else:
            self._retries.progressed()
            events = partial(list, [Scored(action.leg_id, scores)])
        with self._lock:
            if action.leg_id == self._leg_id:
                self._advance(events)

    def _score_failed(self, action: Score, error: Exception) -> list[Event]:
        return [self._failure(action, error)]
