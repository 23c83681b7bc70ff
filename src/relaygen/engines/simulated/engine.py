"""An engine without a model: for tests, load and planning."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

from relaygen.engines.base import (
    Capabilities,
    EngineOutput,
    GenerateRequest,
    Leg,
    Sink,
    check_request,
)
from relaygen.engines.inline import check_score, stream
from relaygen.engines.sampling import Sampler, score_tokens
from relaygen.engines.simulated.behaviour import Counters, Fault, Latency
from relaygen.engines.simulated.leg_thread import LegThread
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.prefix_cache import PrefixCache
from relaygen.engines.simulated.prompted import StartsLegs
from relaygen.engines.simulated.stop_hints import StopHints, TokenBytes
from relaygen.errors import EngineError, EngineUnavailableError
from relaygen.types import LegEnd, TokenScore

_INSTANT = Latency()


class SimulatedEngine:
    """Runs a `TokenModel` under the contract of `base.InlineEngine`, with latencies and faults.

    Deterministic: the tokens depend on the prefix and the seed alone. Without ``inline`` a leg
    runs on the event loop of whoever reads it, so that a `sleep` that advances a virtual clock
    simulates hours in seconds; with it, legs run on a thread, as in the llama.cpp engine.
    """

    def __init__(
        self,
        model: TokenModel,
        *,
        vocabulary: TokenBytes | None = None,
        inline: bool = False,
        context_tokens: int = 32_768,
        latency: Latency = _INSTANT,
        faults: Fault | Mapping[int, Fault] | None = None,
        chunk_tokens: int = 1,
        cached_sequences: int = 16,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Describes the engine.

        Args:
            model: what chooses the tokens.
            vocabulary: for stop hints; None: they are ignored.
            inline: offer `submit`.
            context_tokens: prompt plus generation that one sequence can hold.
            latency: how long things take.
            faults: for every leg, or by the number of the leg, counted from 0.
            chunk_tokens: tokens in an output, as of a server that streams in lumps.
            cached_sequences: generations whose prefix is kept.
            sleep: awaited with seconds before every token; with 0 it must still yield.
        """
        self.counters = Counters()
        self._model = model
        self._vocabulary = vocabulary
        self._latency = latency
        self._faults = faults
        self._chunk_tokens = chunk_tokens
        self._sleep = sleep
        self._cache = PrefixCache(cached_sequences)
        self._origins: OrderedDict[str, int] = OrderedDict()
        self._thread: LegThread | None = None
        self._stalled: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._capabilities = Capabilities(
            top_logprobs=min(20, model.vocab_size),
            exact_scores=True,
            stop_strings=0 if vocabulary is None else 16,
            prompt_scoring=True,
            prefix_cache=cached_sequences > 0,
            rewind=cached_sequences > 0,
            inline=inline,
            context_tokens=context_tokens,
            vocab_size=model.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return stream(self, request) if self._capabilities.inline else self._write(request)

    def generate_as(
        self, model: TokenModel, request: GenerateRequest
    ) -> AsyncGenerator[EngineOutput]:
        """Does what `generate` does, with another model of the same vocabulary for this leg."""
        return self._write(request, model)

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        """See `InlineEngine.submit`."""
        check_request(request, self._capabilities)
        with self._lock:
            return self._legs().start_leg(self._write(request), sink)

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""
        await self._read(token_ids, generation_id)

    def submit_prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `InlineEngine.submit_prefill`."""
        with self._lock:
            self._legs().start(lambda: self.prefill(token_ids, generation_id))

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`."""
        check_score(token_ids, from_token, self._capabilities)
        await self._read(token_ids[:-1], generation_id)
        origin = self._origins.get(generation_id, from_token)
        model = self._started(token_ids[:from_token])
        return tuple(
            score_tokens(model.logits(token_ids[:i], origin)[None], token_ids[i : i + 1])[0]
            for i in range(from_token, len(token_ids))
        )

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        for loop, released in tuple(self._stalled):
            loop.call_soon_threadsafe(released.set)
        if thread is not None:
            await thread.aclose()

    def _legs(self) -> LegThread:
        self._check_open()
        if self._thread is None:
            self._thread = LegThread("simulated-engine")
        return self._thread

    async def _write(
        self, request: GenerateRequest, model: TokenModel | None = None
    ) -> AsyncGenerator[EngineOutput]:
        check_request(request, self._capabilities)
        self._check_open()
        held: list[EngineOutput] = []
        self.counters.active_legs += 1
        try:
            async with aclosing(self._one_by_one(request, model)) as outputs:
                async for output in outputs:
                    held.append(output)
                    if len(held) == self._chunk_tokens or output.end is not None:
                        yield _joined(held)
                        held.clear()
        except EngineError:
            if held:
                yield _joined(held)
            raise
        finally:
            self.counters.active_legs -= 1

    async def _one_by_one(
        self, request: GenerateRequest, model: TokenModel | None
    ) -> AsyncGenerator[EngineOutput]:
        fault = self._next_fault()
        origin = self._origin(request)
        sampler = Sampler(request.sampling, request.prompt[origin:])
        stop = StopHints(self._vocabulary, request.stop_hints[: self._capabilities.stop_strings])
        await self._pause(self._latency.request_ms)
        evaluated: int | None = await self._read(request.prompt, request.generation_id)
        prefix = list(request.prompt)
        model = model or self._started(prefix)
        limit = min(request.max_tokens, self._capabilities.context_tokens - len(prefix))
        for count in range(1, limit + 1):
            if fault is not None and fault.after == count - 1:
                await self._break_off(fault)
            await self._pause(self._latency.decode_ms)
            token_id = model.draw(prefix, origin, sampler)
            scores = None
            if request.want_scores:
                logits = model.logits(prefix, origin)[None]
                scores = score_tokens(logits, (token_id,), request.top_logprobs)
            if fault is not None and fault.kind == "garbage" and fault.after == count - 1:
                token_id = fault.token_id
            self.counters.generated_tokens += 1
            sampler.accept(token_id)
            prefix.append(token_id)
            end: LegEnd | None = None
            if token_id in request.eos_ids:
                end = LegEnd.EOS
            elif stop.matched_by(token_id):
                end = LegEnd.STOP_HINT
            elif count == limit:
                end = LegEnd.LENGTH
            yield EngineOutput((token_id,), scores, end, evaluated)
            if end is not None:
                return
            # Only a token that is read to choose the next one is in a real engine's cache.
            self._cache.append(request.generation_id, token_id)
            evaluated = None

    def _started(self, prefix: Sequence[int]) -> TokenModel:
        return self._model.start(prefix) if isinstance(self._model, StartsLegs) else self._model

    async def _read(self, token_ids: Sequence[int], generation_id: str) -> int:
        self._check_open()
        evaluated = self._cache.read(generation_id, token_ids)
        self.counters.prompt_tokens += evaluated
        await self._pause(self._latency.prefill_ms * evaluated)
        return evaluated

    async def _pause(self, milliseconds: float) -> None:
        await self._sleep(milliseconds / 1000.0)
        self._check_open()

    async def _break_off(self, fault: Fault) -> None:
        if fault.kind == "fail":
            raise EngineError(
                f"the simulated engine failed after {fault.after} tokens, as it was told to",
                retryable=fault.retryable,
            )
        if fault.kind == "stall":
            waiter = (asyncio.get_running_loop(), asyncio.Event())
            self._stalled.add(waiter)
            try:
                await waiter[1].wait()
            finally:
                self._stalled.discard(waiter)
            self._check_open()

    def _next_fault(self) -> Fault | None:
        number = self.counters.legs
        self.counters.legs += 1
        return self._faults.get(number) if isinstance(self._faults, Mapping) else self._faults

    def _origin(self, request: GenerateRequest) -> int:
        """Where the generated tokens begin; remembered, because `score` is not told."""
        origin = request.generated_from
        if origin is None:
            origin = len(request.prompt)
        if request.generation_id:
            self._origins[request.generation_id] = origin
            self._origins.move_to_end(request.generation_id)
            if len(self._origins) > 1024:
                self._origins.popitem(last=False)
        return origin

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailableError("the simulated engine was closed; open another")


def _joined(outputs: Sequence[EngineOutput]) -> EngineOutput:
    if len(outputs) == 1:
        return outputs[0]
    scores = [score for output in outputs for score in output.scores or ()]
    return EngineOutput(
        token_ids=tuple(token_id for output in outputs for token_id in output.token_ids),
        scores=tuple(scores) if outputs[0].scores is not None else None,
        end=outputs[-1].end,
        prompt_evaluated=outputs[0].prompt_evaluated,
    )
