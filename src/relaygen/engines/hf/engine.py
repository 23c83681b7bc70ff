"""The reference engine: transformers, with exact log-probabilities, margins and entropies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from relaygen.engines.base import (
    Capabilities,
    EngineOutput,
    GenerateRequest,
    Leg,
    Sink,
    check_request,
)
from relaygen.engines.hf.model import HfModel, SequenceState
from relaygen.engines.hf.step_loop import StepLoop, Steps
from relaygen.engines.inline import check_score, stream
from relaygen.engines.sampling import Logits, Sampler, score_tokens
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, TokenScore

_T = TypeVar("_T")


class HfEngine:
    """A directory in transformers' format behind the contract of `base.InlineEngine`.

    Legs that run at once take turns, a token each; there is no batching, so a leg's tokens never
    depend on its company. Sampling follows llama.cpp's order, see `engines.sampling`. Stop hints
    are ignored: there is no tokenizer here.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        threads: int | None = None,
        context_tokens: int | None = None,
        cached_sequences: int = 4,
    ) -> None:
        """Loads the model.

        Args:
            path: directory with ``config.json`` and ``*.safetensors``.
            dtype: torch's name of the number type to compute in.
            device: torch's name of the device.
            threads: of torch; a setting of the whole process. None leaves it as it is.
            context_tokens: at most so many; None: what the model was made for.
            cached_sequences: generations whose keys and values are kept.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelLoadError: the directory does not hold a whole model of a known kind.
        """
        model = HfModel(Path(path), dtype=dtype, device=device, cached_sequences=cached_sequences)
        self._model = model
        self._evaluated = 0
        self._capabilities = Capabilities(
            top_logprobs=model.vocab_size,
            exact_scores=True,
            prompt_scoring=True,
            prefix_cache=cached_sequences > 0,
            rewind=model.rewinds and cached_sequences > 0,
            inline=True,
            context_tokens=min(context_tokens or model.context_tokens, model.context_tokens),
            vocab_size=model.vocab_size,
        )
        self._loop = StepLoop(
            "hf-engine", lambda: None if threads is None else model.use_threads(threads)
        )

    @property
    def tokens_evaluated(self) -> int:
        """Tokens that the model has read since it was loaded, of prompts and its own."""
        return self._evaluated

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return stream(self, request)

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        """See `InlineEngine.submit`."""
        check_request(request, self._capabilities)
        return self._loop.add(self._write(request), sink)

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""

        def steps(done: Callable[[None], None]) -> Steps:
            return self._prefill(token_ids, generation_id, done)

        await self._call(steps)

    def submit_prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `InlineEngine.submit_prefill`."""

        def done(_: None) -> None:
            pass

        steps = self._prefill(token_ids, generation_id, done)
        self._loop.add(steps, lambda _: False, background=True)

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`."""
        check_score(token_ids, from_token, self._capabilities)
        return await self._call(
            lambda done: self._score(token_ids, from_token, generation_id, done)
        )

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await asyncio.to_thread(self._loop.close)

    def _write(self, request: GenerateRequest) -> Steps:
        prompt = list(request.prompt)
        origin = len(prompt) if request.generated_from is None else request.generated_from
        sampler = Sampler(request.sampling, prompt[origin:])
        limit = min(request.max_tokens, self._capabilities.context_tokens - len(prompt))
        # Without its last token, for the logits after that one are needed in any case.
        with self._model.sequence(request.generation_id, prompt[:-1]) as state:
            unread = prompt[len(state.tokens) :]
            evaluated: int | None = len(unread)
            for count in range(1, limit + 1):
                logits = yield from self._read(state, unread)
                token_id = sampler.draw(logits[0], len(prompt) + count - 1)
                sampler.accept(token_id)
                scores = None
                if request.want_scores:
                    scores = score_tokens(logits, (token_id,), request.top_logprobs)
                end: LegEnd | None = LegEnd.LENGTH if count == limit else None
                if token_id in request.eos_ids:
                    end = LegEnd.EOS
                yield EngineOutput((token_id,), scores, end, evaluated)
                evaluated, unread = None, [token_id]

    def _prefill(
        self, token_ids: Sequence[int], generation_id: str, done: Callable[[None], None]
    ) -> Steps:
        useful = token_ids[:-1]
        # A hint only: what cannot be read is not worth an error.
        in_range = all(0 <= token_id < self._capabilities.vocab_size for token_id in useful)
        fits = 0 < len(useful) < self._capabilities.context_tokens
        if generation_id and in_range and fits and not self._model.holds(generation_id, useful):
            with self._model.sequence(generation_id, useful) as state:
                yield from self._read(state, useful[len(state.tokens) :])
        done(None)

    def _score(
        self,
        token_ids: Sequence[int],
        from_token: int,
        generation_id: str,
        done: Callable[[tuple[TokenScore, ...]], None],
    ) -> Steps:
        with self._model.sequence(generation_id, token_ids[: from_token - 1]) as state:
            unread = token_ids[len(state.tokens) : -1]
            logits = yield from self._read(state, unread, len(token_ids) - from_token)
        done(score_tokens(logits, token_ids[from_token:]))

    def _read(
        self, state: SequenceState, token_ids: Sequence[int], rows: int = 1
    ) -> Generator[None, None, Logits]:
        logits = yield from self._model.read(state, token_ids, rows)
        self._evaluated += len(token_ids)
        return logits

    async def _call(self, work: Callable[[Callable[[_T], None]], Steps]) -> _T:
        """Runs steps on the engine's thread; they hand their result to the callback they get."""
        result: Future[_T] = Future()
        # A running future refuses to be cancelled, so that its result can always be set.
        result.set_running_or_notify_cancel()

        def failed(item: EngineOutput | EngineError | InvalidRequestError) -> bool:
            if not isinstance(item, EngineOutput):
                result.set_exception(item)
            return False

        job = self._loop.add(work(result.set_result), failed)
        try:
            return await asyncio.wrap_future(result)
        finally:
            job.cancel()
