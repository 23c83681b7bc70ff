"""The contract of an engine: whatever turns tokens into more tokens.

An engine is used in one of two ways, and the runner picks by `Capabilities.inline`:

* **async** (every engine): ``async for output in engine.generate(request)``. Closing the iterator
  cancels the work at once.
* **inline** (engines in this process): ``engine.submit(request, sink)``. The engine calls the sink on
  its own thread after each token, *before* it starts on the next one, and goes on only while the
  sink says so. No token crosses a thread, and no token is computed beyond a decision.

`tests/contract` runs one suite over every engine.

Source: the one-file-a-transport layout is httpx's; asking the consumer before the next step is
pull-style flow control as in h11.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from relaygen.engines.penalties import Penalties
from relaygen.errors import ContextLengthError, EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling, TokenScore


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What can be relied upon. The runner adapts to it; nothing else asks what kind an engine is.

    Attributes:
        token_prompts: takes token ids as the prompt.
        token_outputs: delivers token ids.
        top_logprobs: largest number of alternatives a token can be listed with; 0: none.
        exact_scores: margins and entropy come from the whole distribution.
        stop_strings: how many server-side stop strings it honours; 0: none.
        prompt_scoring: `score` works.
        prefix_cache: a prompt that extends an earlier one costs only its new tokens.
        rewind: tokens may be taken back without evaluating the prefix again.
        inline: `submit` works (the engine is an `InlineEngine`).
        seeds: a seeded leg repeats exactly.
        penalties: which ones it counts from `generated_from` on, and not over the leg alone.
        context_tokens: prompt plus generation that one sequence can hold.
        vocab_size: ids are in ``range(vocab_size)``.
    """

    token_prompts: bool = True
    token_outputs: bool = True
    top_logprobs: int = 0
    exact_scores: bool = False
    stop_strings: int = 0
    prompt_scoring: bool = False
    prefix_cache: bool = False
    rewind: bool = False
    inline: bool = False
    seeds: bool = True
    penalties: Penalties = Penalties.ALL
    context_tokens: int
    vocab_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """One leg.

    Attributes:
        prompt: token ids, the whole prefix: prompt and everything generated so far.
        max_tokens: most tokens to write, at least 1.
        sampling: how to draw.
        eos_ids: ids that end the leg; the one written is delivered as the last token.
        stop_hints: strings after which the leg may end early; an engine may ignore them.
        want_scores: deliver a `TokenScore` a token.
        top_logprobs: list so many alternatives in each score.
        generated_from: index in `prompt` of the first generated token; penalties count from here.
        generation_id: the generation this leg belongs to; an engine with a prefix cache keeps its
            sequence by it. Empty: no affinity.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    eos_ids: frozenset[int] = frozenset()
    stop_hints: tuple[str, ...] = ()
    want_scores: bool = False
    top_logprobs: int = 0
    generated_from: int | None = None
    generation_id: str = ""


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """Some tokens, and whether the leg ended with them.

    Attributes:
        token_ids: new tokens, in order; may be empty only in the output that ends the leg.
        scores: one a token where asked for, else None.
        end: set on the last output of the leg, None before.
        prompt_evaluated: on the first output of a leg, how many prompt tokens the model had to
            read (the others came from its cache); None where the engine does not know, and on
            later outputs.
        replica: on the first output of a leg, which of several servers writes it; None where there
            is one, and on later outputs.
    """

    token_ids: tuple[int, ...]
    scores: tuple[TokenScore, ...] | None = None
    end: LegEnd | None = None
    prompt_evaluated: int | None = None
    replica: str | None = None


@runtime_checkable
class Engine(Protocol):
    """One loaded (or remote) model. All methods may be called from the event loop's thread."""

    def capabilities(self) -> Capabilities:
        """What this engine can do; constant while it lives, costs nothing."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """Writes one leg. An async generator: ``aclose()`` cancels the work upstream at once.

        Raises:
            InvalidRequestError: an argument is out of range (raised on the first step).
            ContextLengthError: the prompt leaves no room for a token.
            EngineError: the engine failed; what was delivered before stays valid.
        """
        ...

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """A hint to have this prefix in the cache; an engine may ignore it, and bad ids do no harm.

        Raises:
            EngineUnavailableError: the engine was closed.
        """
        ...

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """Scores ``token_ids[from_token:]`` given what precedes each; ``from_token`` >= 1.

        Raises:
            InvalidRequestError: ``from_token`` is out of range.
            EngineError: the engine cannot score (see `Capabilities.prompt_scoring`).
        """
        ...

    async def aclose(self) -> None:
        """Cancels all work and frees the model. May be called twice.

        Whoever waits for a leg, a prefill or scores gets `EngineUnavailableError`.
        """
        ...


Sink = Callable[[EngineOutput | EngineError | InvalidRequestError], bool]
"""Called on the engine's thread with each output, in order; returns whether to go on.

After an output with `end` set, after an error, and after it returned False it is not called again
for that leg. It must be quick and must not raise. An engine calls it without holding a lock of its
own, for the sink may submit to another engine, or to the same one.
"""


class Leg(Protocol):
    """A submitted leg."""

    def cancel(self) -> None:
        """Stops the work before its next step, from any thread. The sink is not called after it
        returns, except for a call that is under way. May be called at any time, also from the
        sink itself and after the end.
        """
        ...


@runtime_checkable
class InlineEngine(Engine, Protocol):
    """An engine in this process that can be driven without crossing threads."""

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        """Queues a leg and returns at once; thread-safe; may be called from another engine's sink.

        Raises:
            InvalidRequestError: an argument is out of range.
            ContextLengthError: the prompt leaves no room for a token.
            EngineUnavailableError: the engine was closed.
        """
        ...

    def submit_prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """Thread-safe, returns at once: reads this prefix when the engine has nothing better to do."""
        ...


def check_request(request: GenerateRequest, capabilities: Capabilities) -> None:
    """Refuses by name what no engine could honour; every engine calls it first.

    Raises:
        InvalidRequestError: empty prompt, ids outside the vocabulary, ``max_tokens`` < 1, ...
        ContextLengthError: the prompt fills the context.
    """
    if len(request.prompt) == 0:
        raise InvalidRequestError("the prompt has no tokens; give at least one", param="prompt")
    if request.max_tokens < 1:
        raise InvalidRequestError(
            f"max_tokens is {request.max_tokens}; it must be at least 1", param="max_tokens"
        )
    if min(request.prompt) < 0 or max(request.prompt) >= capabilities.vocab_size:
        bad = next(t for t in request.prompt if not 0 <= t < capabilities.vocab_size)
        raise InvalidRequestError(
            f"token id {bad} is outside the model's vocabulary of {capabilities.vocab_size}",
            param="prompt",
        )
    if len(request.prompt) >= capabilities.context_tokens:
        raise ContextLengthError(
            f"the prompt has {len(request.prompt)} tokens, and the model's context holds "
            f"{capabilities.context_tokens}: shorten the prompt or load the model with a longer "
            "context",
            param="prompt",
        )
    if not 0 <= request.top_logprobs <= capabilities.top_logprobs:
        raise InvalidRequestError(
            f"top_logprobs is {request.top_logprobs}; this engine lists 0 to "
            f"{capabilities.top_logprobs}",
            param="top_logprobs",
        )
    if request.generated_from is not None and not (
        0 <= request.generated_from <= len(request.prompt)
    ):
        raise InvalidRequestError(
            f"generated_from is {request.generated_from}; the prompt has {len(request.prompt)} "
            "tokens",
            param="generated_from",
        )
    for token_id in request.sampling.logit_bias:
        if not 0 <= token_id < capabilities.vocab_size:
            raise InvalidRequestError(
                f"logit_bias names token id {token_id}, which is outside the model's vocabulary of "
                f"{capabilities.vocab_size}",
                param="logit_bias",
            )
    if "" in request.stop_hints:
        raise InvalidRequestError("a stop hint is empty; leave it out", param="stop_hints")
