"""Engines of a generation whose answer has a form."""

from __future__ import annotations

from collections.abc import Mapping

from relaygen.api.options import Options
from relaygen.engines.base import Engine
from relaygen.engines.constraint import constrained
from relaygen.engines.forced_call import ForcedCall, forced
from relaygen.engines.form_start import FormStart, Place
from relaygen.engines.formed import FormedAnswer
from relaygen.relay.config import RelayConfig
from relaygen.relay.generation import Generation
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole, Stage

SHARED_ANSWERS = ("relay", "random", "paper")
"""Policies under which either model may write the answer; the others name their one writer."""


def policy_under_form(options: Options, *, tagged: bool) -> str:
    """The policy to use: without a tag that ends the reasoning all is answer, and no cue may cut it."""
    if options.constraint is not None and not tagged and options.policy in SHARED_ANSWERS:
        return str(ModelRole.LARGE)
    return options.policy


def engines_under_form(
    engines: Mapping[ModelRole, Engine],
    options: Options,
    policy: str,
    config: RelayConfig,
    generation: Generation,
    tokenizer: Tokenizer,
) -> Mapping[ModelRole, Engine]:
    """The engines, of which those that may write the answer are held to the form of it.

    Raises:
        UnsupportedError: one of those cannot enforce it.
    """
    if options.constraint is None:
        return engines
    asked, start = options.constraint, _start(generation, tokenizer)
    found = dict(engines)
    for role in _answering(policy, config):
        if isinstance(asked, ForcedCall):
            formed = forced(engines[role], asked, role, tokenizer)
        else:
            formed = constrained(engines[role], asked, role)
        found[role] = FormedAnswer(engines[role], formed, start, streamed=options.stream_form)
    return found


def _start(generation: Generation, tokenizer: Tokenizer) -> FormStart:
    tags = generation.tags
    if tags is None or generation.first_stage is Stage.ANSWER:
        return FormStart(first=Place.CLOSED)
    reasons = generation.first_stage is Stage.REASONING
    return FormStart(
        first=Place.REASONING if reasons else Place.OPENING,
        open_text=tags.open_text,
        close_text=tags.close_text,
        close_id=tags.close_id,
        token_bytes=tokenizer.token_bytes,
    )


def _answering(policy: str, config: RelayConfig) -> tuple[ModelRole, ...]:
    """The roles that may write the answer; the large one takes over from a small one that fails."""
    if policy not in SHARED_ANSWERS:
        return (ModelRole(policy),)
    if config.answer_role is ModelRole.LARGE:
        return (ModelRole.LARGE,)
    return (ModelRole.LARGE, ModelRole.SMALL)
