"""What one generation is asked to be: the machine's input, all of it plain data."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from relaygen.errors import InvalidRequestError
from relaygen.types import ModelRole, Sampling, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasoningTags:
    """How a model family marks its reasoning.

    Attributes:
        open_text: for example ``<think>``.
        close_text: for example ``</think>``.
        close_id: the closing tag's token; None where it is several tokens, then it is matched as
            text.
        forced_close_ids: what `RelayConfig.force_answer` inserts to end the reasoning.
    """

    open_text: str = "<think>"
    close_text: str = "</think>"
    close_id: int | None = None
    forced_close_ids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterFacts:
    """What the machine must know of one model.

    Attributes:
        eos_ids: *all* ids that end its output.
        sampling: how it draws; its seed is set for each leg.
    """

    eos_ids: frozenset[int] = frozenset()
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One generation.

    Attributes:
        prompt: the rendered prompt's token ids, at least one.
        max_tokens: most tokens to generate, over both models and both stages.
        writers: facts of each role.
        tags: None for a model without reasoning tags: one stage, in which cues count.
        first_stage: as read off the end of the rendered prompt; None: the model may still open its
            reasoning itself (Qwen3), which its first tokens show.
        stop: the client's stop strings; they apply to the answer (to everything where there is one
            stage).
        seed: of the request; None leaves it to the engines.
        choice_index: which of ``n`` choices this is.
        want_scores: deliver a `TokenScore` a token.
        top_logprobs: alternatives in each score.
        shared_ids: ids that mean the same in both vocabularies; None: all.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    writers: Mapping[ModelRole, WriterFacts]
    tags: ReasoningTags | None = None
    first_stage: Stage | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    choice_index: int = 0
    want_scores: bool = False
    top_logprobs: int = 0
    shared_ids: Container[int] | None = None

    def __post_init__(self) -> None:
        if not self.prompt:
            raise InvalidRequestError("the prompt has no tokens; give at least one", param="prompt")
        if self.max_tokens < 1:
            raise InvalidRequestError(
                f"max_tokens is {self.max_tokens}; it must be at least 1", param="max_tokens"
            )
        if self.shared_ids is not None:
            for token_id in self.prompt:
                if token_id not in self.shared_ids:
                    raise InvalidRequestError(
                        f"prompt token {token_id} does not mean the same to both models; remove "
                        "it, or use one model alone",
                        param="prompt",
                    )
