"""How the contract suite writes legs and watches them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from relaygen.engines.base import Engine, EngineOutput, GenerateRequest
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling, TokenScore

GREEDY = Sampling(temperature=0.0)
PATIENCE_S = 60.0  # only reached where an engine hangs


@dataclass(frozen=True)
class Written:
    tokens: tuple[int, ...]
    scores: tuple[TokenScore, ...] | None
    end: LegEnd | None
    prompt_evaluated: int | None


def prompt_for(engine: Engine, length: int = 12, seed: int = 1) -> list[int]:
    size = min(
        256 if engine.capabilities().token_prompts else 128, engine.capabilities().vocab_size
    )
    return Random(seed).choices(range(1, size), k=length)


def leg(prompt: list[int], max_tokens: int = 20, **fields: Any) -> GenerateRequest:
    return GenerateRequest(
        prompt=tuple(prompt), max_tokens=max_tokens, **{"sampling": GREEDY, **fields}
    )


async def write(engine: Engine, request: GenerateRequest) -> Written:
    async with asyncio.timeout(PATIENCE_S):
        return joined([output async for output in engine.generate(request)])


def joined(outputs: list[EngineOutput]) -> Written:
    """Checks what every leg's outputs must look like, and puts them together."""
    assert outputs
    assert all(output.end is None for output in outputs[:-1])
    assert all(output.token_ids for output in outputs[:-1])
    assert all(output.prompt_evaluated is None for output in outputs[1:])
    tokens = tuple(token for output in outputs for token in output.token_ids)
    scores: tuple[TokenScore, ...] | None = None
    if any(output.scores is not None for output in outputs):
        assert all(len(output.scores or ()) == len(output.token_ids) for output in outputs)
        scores = tuple(score for output in outputs for score in output.scores or ())
    return Written(tokens, scores, outputs[-1].end, outputs[0].prompt_evaluated)


async def take(generator: Any, count: int) -> list[int]:
    """Reads until there are `count` tokens."""
    tokens: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(tokens) < count:
            tokens.extend((await anext(generator)).token_ids)
    return tokens


def opened_leg(engine: Engine, request: GenerateRequest) -> AsyncGenerator[EngineOutput, None]:
    return cast(AsyncGenerator[EngineOutput, None], engine.generate(request))


class Recorder:
    """A sink that writes down what it is told, and says when to stop."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.items: list[EngineOutput | EngineError | InvalidRequestError] = []
        self.threads: set[int] = set()
        self.on_call: Callable[[int], None] = lambda number: None
        self._stop_after = stop_after
        self._ended = threading.Event()

    def __call__(self, item: EngineOutput | EngineError | InvalidRequestError) -> bool:
        assert not self._ended.is_set(), f"called again after the end, with {item}"
        self.items.append(item)
        self.threads.add(threading.get_ident())
        self.on_call(len(self.items))
        ended = not isinstance(item, EngineOutput) or item.end is not None
        stop = len(self.items) == self._stop_after
        if ended or stop:
            self._ended.set()
        return not stop

    def wait(self) -> None:
        assert self._ended.wait(PATIENCE_S), "the sink was not called to the end"

    @property
    def outputs(self) -> list[EngineOutput]:
        return [item for item in self.items if isinstance(item, EngineOutput)]

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for output in self.outputs for token in output.token_ids)
