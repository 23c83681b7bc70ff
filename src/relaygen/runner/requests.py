"""From an action of the machine to a request of an engine."""

from __future__ import annotations

from relaygen.engines.base import GenerateRequest
from relaygen.relay.events import Generate


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
