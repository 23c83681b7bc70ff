"""Penalties over a whole generation, on a server that counts within one request.

A penalty per occurrence is a subtraction from a logit, and so is a logit bias: the occurrences of
earlier legs go in as bias, the server counts those of its own leg, and the sum is exact. A penalty
for mere presence is subtracted once, whoever saw the token first: a server would subtract it again
from a token that this leg repeats. And repetition multiplies, which no bias can do. Those two are
refused wherever they could come out wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from relaygen.engines.base import GenerateRequest
from relaygen.errors import UnsupportedError
from relaygen.types import Sampling

# vLLM cuts a bias to this; and no token comes back from -100.
_MOST = 100.0


def within_one_request(request: GenerateRequest, *, server_counts: bool = True) -> Sampling:
    """The sampling to ask a server for, so that the whole generation is penalised.

    Args:
        request: the leg.
        server_counts: the server counts the tokens of its own request, and nothing else. False:
            it counts something else, so that its penalties have to stay neutral.

    Raises:
        UnsupportedError: a penalty cannot be kept exact; names it.
    """
    sampling = request.sampling
    if not sampling.has_penalties:
        return sampling
    if sampling.repetition_penalty != 1.0:
        raise _refused("repetition_penalty", sampling.repetition_penalty)
    origin = len(request.prompt) if request.generated_from is None else request.generated_from
    earlier = Counter(request.prompt[origin:])
    # With one token to draw, everything is known beforehand, and the bias says it all.
    one_draw = request.max_tokens == 1
    counts = server_counts and not one_draw
    if not counts and not one_draw and sampling.frequency_penalty:
        raise _refused("frequency_penalty", sampling.frequency_penalty)
    if sampling.presence_penalty and not one_draw and not (counts and _alone(request)):
        raise _refused("presence_penalty", sampling.presence_penalty)
    bias = dict(sampling.logit_bias)
    for token_id, count in earlier.items():
        penalty = count * sampling.frequency_penalty
        penalty += sampling.presence_penalty if one_draw else 0.0
        bias[token_id] = min(_MOST, max(-_MOST, bias.get(token_id, 0.0) - penalty))
    return replace(
        sampling,
        presence_penalty=sampling.presence_penalty if counts else 0.0,
        frequency_penalty=sampling.frequency_penalty if counts else 0.0,
        logit_bias=bias,
    )


def _alone(request: GenerateRequest) -> bool:
    """Whether this leg is all of its generation, as far as the request tells."""
    return request.generated_from is None


def _refused(name: str, value: float) -> UnsupportedError:
    return UnsupportedError(
        f"{name} is {value:g}: this server counts it within one request, and a generation has "
        f"several; send {getattr(Sampling(), name):g}",
        param=name,
    )
