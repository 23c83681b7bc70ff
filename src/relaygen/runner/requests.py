"""From an action of the machine to a request of an engine."""

from __future__ import annotations

from relaygen.engines.base import GenerateRequest
from relaygen.errors import ContextLengthError
from relaygen.relay.events import Event, Generate, LegEnded, LegFailed
from relaygen.types import LegEnd, ModelRole


def leg_request(action: Generate, generation_id: str) -> GenerateRequest:
    """The engine's view of a leg."""
    return GenerateRequest(
        prompt=action.prompt_tokens,
        max_tokens=action.max_tokens,
        sampling=action.sampling,
        eos_ids=action.eos_ids,
        stop_hints=action.stop_hints,
        want_scores=action.want_scores,
        top_logprobs=action.top_logprobs,
        generated_from=action.generated_from,
        generation_id=generation_id,
    )


def full_context(action: Generate, error: ContextLengthError) -> Event:
    """What it means that the prompt of a leg fills its model's context.

    In the course of a generation that is an end by length, as from one model. A small model whose
    context is shorter drops out, and the large one writes on.

    Raises:
        ContextLengthError: the request's own prompt is too long for the model that begins.
    """
    if len(action.prompt_tokens) == action.generated_from:
        raise error
    if action.role is ModelRole.SMALL:
        return LegFailed(action.leg_id, str(error))
    return LegEnded(action.leg_id, LegEnd.LENGTH)
