"""From the inline path to the async one: what every engine in this process shares.

An inline engine implements `submit`; its ``generate`` is then one line::

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        return stream(self, request)

The engine's thread never waits for the reader: blocking one sink would hold up every sequence of
the same batch. What a slow reader leaves in the queue is bounded by the leg's ``max_tokens``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from relaygen.engines.base import (
    Capabilities,
    EngineOutput,
    GenerateRequest,
    Leg,
    Sink,
    check_request,
)
from relaygen.errors import EngineError, InvalidRequestError


class Submits(Protocol):
    """The part of an `InlineEngine` that `stream` needs."""

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        """See `InlineEngine.submit`."""
        ...


async def stream(engine: Submits, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
    """Writes one leg of an inline engine as an async generator.

    The leg is submitted on the first step, and cancelled when the generator is closed, when the
    task that reads it is cancelled, and when its event loop is gone. Outputs come one by one as
    the engine delivered them, but many of them cost the loop one wake-up.

    Raises:
        InvalidRequestError: an argument is out of range.
        ContextLengthError: the prompt leaves no room for a token.
        EngineError: the engine failed; everything delivered before was yielded first.
    """
    inbox = _Inbox(asyncio.get_running_loop())
    leg = engine.submit(request, inbox.put)
    try:
        while True:
            for item in await inbox.take():
                if not isinstance(item, EngineOutput):
                    raise item
                yield item
                if item.end is not None:
                    return
    finally:
        leg.cancel()


class _Inbox:
    """Outputs on their way from the engine's thread to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[EngineOutput | EngineError | InvalidRequestError] = deque()
        self._ready = asyncio.Event()
        self._wake_up_sent = False

    def put(self, item: EngineOutput | EngineError | InvalidRequestError) -> bool:
        # The order matters: append, then look at the flag. `take` clears the flag, then reads, so
        # an item is either seen by the wake-up already under way or sends its own.
        self._items.append(item)
        if not self._wake_up_sent:
            self._wake_up_sent = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the loop was closed: nobody will read any more
                return False
        return True

    async def take(self) -> list[EngineOutput | EngineError | InvalidRequestError]:
        await self._ready.wait()
        self._ready.clear()
        self._wake_up_sent = False
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken


def check_score(token_ids: Sequence[int], from_token: int, capabilities: Capabilities) -> None:
    """Refuses by name what no engine could score, like `base.check_request` for legs.

    Raises:
        InvalidRequestError: ``from_token`` is not in 1 to ``len(token_ids) - 1``, or an id is
            outside the vocabulary.
        ContextLengthError: there are more tokens than the context holds.
    """
    if not 1 <= from_token < len(token_ids):
        raise InvalidRequestError(
            f"from_token is {from_token}; of {len(token_ids)} tokens those from 1 to "
            f"{len(token_ids) - 1} can be scored",
            param="from_token",
        )
    # The last token is scored without being read, so one more than a prompt may have fits.
    check_request(GenerateRequest(prompt=token_ids[:-1], max_tokens=1), capabilities)
    if not 0 <= token_ids[-1] < capabilities.vocab_size:
        raise InvalidRequestError(
            f"token id {token_ids[-1]} is outside the model's vocabulary of "
            f"{capabilities.vocab_size}",
            param="token_ids",
        )
