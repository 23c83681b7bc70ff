"""The leg that goes on where another one of the same engine call ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaygen.engines.base import GenerateRequest
from relaygen.engines.sampling import mix


def continued(request: GenerateRequest, written: Sequence[int], max_tokens: int) -> GenerateRequest:
    """`request` after `written`, as another leg of at most `max_tokens`.

    It has no stop hints: they may end a leg early, and what is held to a form must not be cut.
    """
    if not written:
        return replace(request, max_tokens=max_tokens, stop_hints=())
    prompt = (*request.prompt, *written)
    seed, origin = request.sampling.seed, request.generated_from
    if seed is not None:  # the same one would repeat the noise of what came before
        seed = mix(seed ^ len(prompt)) & 0xFFFFFFFF
    return replace(
        request,
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=replace(request.sampling, seed=seed),
        generated_from=len(request.prompt) if origin is None else origin,
        stop_hints=(),
    )
