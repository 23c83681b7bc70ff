"""What a caller may say about one generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relaygen.engines.constraint import Constraint
from relaygen.engines.forced_call import ForcedCall
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.types import ModelRole, Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of one generation; every default is a good choice.

    Attributes:
        policy: ``relay``, ``large``, ``small``, ``random`` or ``paper``.
        max_tokens: over both models and both stages; None: what the contexts leave room for.
        sampling: for both models, or by role; None: each model's own defaults.
        seed: makes the run repeatable.
        stop: strings that end the answer.
        margins: record a margin for every token.
        top_logprobs: alternatives in each score.
        cues: instead of the profile's.
        config: limits of the relay; None: those the relay was opened with, and the published
            code's for ``paper``.
        handoff_share: of the random control.
        template: variables for the chat template (``enable_thinking`` ...).
        tools: OpenAI's function definitions, for the chat template to show.
        add_generation_prompt: end the prompt with the opening of the assistant's next turn.
        continue_final_message: the model goes on inside the last message instead.
        constraint: the form that the answer must have, or the call that it must be; only engines
            that can enforce it take one.
        stream_form: pass an answer under a constraint on while it is written; a failure then ends it
            (`FormLostError`). Otherwise it is held back, and begun anew, until it is whole.
        choice_index: which of several generations from one prompt this is; enters the seeds.
        generation_id: keeps sequences apart in the engines' caches; turns of one chat share one.
    """

    policy: str = "relay"
    max_tokens: int | None = None
    sampling: Sampling | Mapping[ModelRole, Sampling] | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    margins: bool = False
    top_logprobs: int = 0
    cues: Sequence[SwitchCue] | None = None
    config: RelayConfig | None = None
    handoff_share: float = 0.5
    template: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    constraint: Constraint | ForcedCall | None = None
    stream_form: bool = False
    choice_index: int = 0
    generation_id: str = ""
