"""The embedded engine: a GGUF file, run by llama.cpp in this process."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from relaygen.engines.inline import check_score, stream
from relaygen.engines.llama_cpp.jobs import Job, ReadJob, ScoreJob, WriteJob
from relaygen.engines.llama_cpp.loop import ModelLoop
from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.engines.llama_cpp.options import ModelOptions
from relaygen.engines.llama_cpp.step_thread import SHARED, StepThread, close_at_exit
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import TokenScore

_MAX_TOP_LOGPROBS = 20

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReport:
    """What was loaded, and how: for ``relaygen doctor``.

    Attributes:
        path: the GGUF file.
        architecture: for example ``qwen3``.
        parameters: number of weights.
        library: llama.cpp's library.
        library_version: of the wheel that it came in, or ``unknown``.
        library_tested: the contract suite has passed on that version.
        context_tokens: that one sequence really gets.
        sequences: that run at once.
        decode_threads: for a step of one token.
        read_threads: for a step of several.
        flash_attention: None: as llama.cpp chooses.
        can_rewind: whether the model can forget the end of a sequence.
    """

    path: Path
    architecture: str
    parameters: int
    library: Path
    library_version: str
    library_tested: bool
    context_tokens: int
    sequences: int
    decode_threads: int
    read_threads: int
    flash_attention: bool | None
    can_rewind: bool


class LlamaCppEngine:
    """One model under the contract of `base.InlineEngine`.

    A leg continues the sequence that its generation used last: only tokens that differ from what
    the KV cache holds are read. Seeded legs repeat, but for the last bits of the logits: they
    depend on how many tokens were read in one step, as on every engine that batches.
    """

    def __init__(
        self, path: str | Path, options: ModelOptions | None = None, *, own_thread: bool = False
    ) -> None:
        """Loads the model; blocks meanwhile.

        Args:
            path: the GGUF file (of a split model the first part).
            options: None: the defaults.
            own_thread: step on a thread of its own instead of the one that all models share.

        Raises:
            ModelLoadError: the file or llama.cpp's library is missing, damaged, or of an unknown
                kind, or there is too little memory.
        """
        self._model = model = LlamaModel(path, options or ModelOptions())
        close_at_exit()
        self._thread = StepThread(f"llama-cpp {model.gguf.path.name}") if own_thread else SHARED
        self._loop = ModelLoop(model, self._thread.wake)
        self._capabilities = Capabilities(
            top_logprobs=min(_MAX_TOP_LOGPROBS, model.vocab_size),
            exact_scores=True,
            prompt_scoring=True,
            prefix_cache=True,
            rewind=model.can_rewind,
            inline=True,
            context_tokens=model.context_tokens,
            vocab_size=model.vocab_size,
        )
        self._thread.attach(self._loop)
        # An engine that nobody holds any more need not keep its memory.
        weakref.finalize(self, self._loop.stop).atexit = False

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    @property
    def tokens_evaluated(self) -> int:
        """Tokens that the model has read or written since it was loaded."""
        return self._model.tokens_evaluated

    def report(self) -> ModelReport:
        """What was loaded, and how."""
        model = self._model
        return ModelReport(
            path=model.gguf.path,
            architecture=model.gguf.architecture,
            parameters=model.parameters,
            library=model.library.path,
            library_version=model.library.version,
            library_tested=model.library.tested,
            context_tokens=model.context_tokens,
            sequences=model.sequences,
            decode_threads=model.decode_threads,
            read_threads=model.read_threads,
            flash_attention=model.flash_attention,
            can_rewind=model.can_rewind,
        )

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return stream(self, request)

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        """See `InlineEngine.submit`."""
        check_request(request, self._capabilities)
        for token_id in request.sampling.logit_bias:
            if not 0 <= token_id < self._capabilities.vocab_size:
                raise InvalidRequestError(
                    f"logit_bias names token {token_id}, which is outside the model's vocabulary "
                    f"of {self._capabilities.vocab_size}",
                    param="logit_bias",
                )
        leg = WriteJob(self._model, request, sink, self._loop.cancelled)
        self._loop.add(leg)
        return leg

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """Reads this prefix; returns when it is in the cache. See `Engine.prefill`.

        Raises:
            EngineError: the engine failed or was closed.
        """
        if not self._is_prefix(token_ids):
            return

        def make_job(done: Callable[[EngineError | None], None]) -> ReadJob:
            return ReadJob(token_ids, generation_id, done)

        await self._run(make_job)

    def submit_prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `InlineEngine.submit_prefill`."""
        if generation_id and self._is_prefix(token_ids):
            self._loop.add_hint(ReadJob(token_ids, generation_id, lambda _: None))

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`. A short segment costs one evaluation; its prefix stays cached."""
        check_score(token_ids, from_token, self._capabilities)
        return await self._run(
            lambda done: ScoreJob(self._model, token_ids, from_token, generation_id, done)
        )

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        self._loop.stop()
        # A sink runs on the thread that would be waited for.
        if not self._thread.is_current():
            await asyncio.to_thread(self._loop.stopped.wait)

    def close(self) -> None:
        """`aclose` for callers without an event loop."""
        self._loop.stop()
        if not self._thread.is_current():
            self._loop.stopped.wait()

    async def _run(
        self, make_job: Callable[[Callable[[_Result | EngineError], None]], Job]
    ) -> _Result:
        """Runs a job that ends by calling what it was given, on another thread."""
        event_loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = event_loop.create_future()

        def resolve(result: _Result | EngineError) -> None:
            if future.done():
                return
            if isinstance(result, EngineError):
                future.set_exception(result)
            else:
                future.set_result(result)

        def done(result: _Result | EngineError) -> None:
            with suppress(RuntimeError):  # the event loop is gone, and nobody waits any more
                event_loop.call_soon_threadsafe(resolve, result)

        job = make_job(done)
        self._loop.add(job)
        try:
            return await future
        finally:
            if not future.done() or future.cancelled():
                job.cancelled = True
                self._loop.cancelled()

    def _is_prefix(self, token_ids: Sequence[int]) -> bool:
        """Whether a leg could begin so. A hint that cannot help is no error; the leg will be."""
        try:
            check_request(GenerateRequest(prompt=token_ids, max_tokens=1), self._capabilities)
        except InvalidRequestError:
            return False
        return True
