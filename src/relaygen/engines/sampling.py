"""From logits to a token and its score, in NumPy: for engines that have no sampler of their own.

The order is llama.cpp's default chain: logit bias, penalties, top-k, top-p, min-p, temperature,
draw. (vLLM scales by the temperature first, so its top-p and min-p cut the scaled distribution.)

Source: llama.cpp, common/sampling.cpp and src/llama-sampler.cpp.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from relaygen.types import Sampling, TokenScore

Logits = npt.NDArray[np.floating[Any]]

_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """Scatters 64 bits: inputs that differ in one bit give unrelated outputs.

    Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014).
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Sampler:
    """Draws the tokens of one leg.

    The noise of a token is a pure function of (seed, position), so a leg that is continued from
    its own prefix with the same seed goes on as if it had never been interrupted.
    """

    def __init__(self, sampling: Sampling, generated: Iterable[int] = ()) -> None:
        """`generated`: the tokens of the generation before this leg; penalties count them."""
        self.sampling = sampling
        self._seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
        self._counts: Counter[int] = Counter(generated if sampling.has_penalties else ())
        self._bias_ids = np.fromiter(sampling.logit_bias.keys(), np.int64)
        self._bias = np.fromiter(sampling.logit_bias.values(), np.float32)

    def accept(self, token_id: int) -> None:
        """Counts a token that was written."""
        if self.sampling.has_penalties:
            self._counts[token_id] += 1

    def draw(self, logits: Logits, position: int) -> int:
        """Returns the next token.

        Args:
            logits: of shape (vocabulary,); not changed.
            position: of the token, its index in the whole sequence.
        """
        sampling = self.sampling
        adjusted = self._penalised(logits)
        if sampling.temperature == 0.0 or sampling.top_k == 1:
            return int(adjusted.argmax())
        ids, kept = _truncate(adjusted, sampling)
        weights = np.exp((kept - kept.max()).astype(np.float64) / sampling.temperature)
        cumulative = weights.cumsum()
        noise = mix(mix(self._seed) ^ position) / 2.0**64
        index = int(np.searchsorted(cumulative, noise * cumulative[-1], side="right"))
        return int(ids[min(index, len(ids) - 1)])

    def _penalised(self, logits: Logits) -> Logits:
        if not len(self._bias_ids) and not self._counts:
            return logits
        adjusted = logits.copy()
        adjusted[self._bias_ids] += self._bias
        if self._counts:
            ids = np.fromiter(self._counts.keys(), np.int64)
            counts = np.fromiter(self._counts.values(), np.float32)
            of_seen = adjusted[ids]
            factor = self.sampling.repetition_penalty
            of_seen = np.where(of_seen > 0, of_seen / factor, of_seen * factor)
            of_seen -= counts * self.sampling.frequency_penalty + self.sampling.presence_penalty
            adjusted[ids] = of_seen
        return adjusted


def _truncate(logits: Logits, sampling: Sampling) -> tuple[npt.NDArray[np.int64], Logits]:
    """Returns the ids that may be drawn and their logits."""
    ids = np.arange(len(logits))
    if 0 < sampling.top_k < len(ids):
        # A stable sort, so that which of two equal logits stays does not depend on the platform.
        ids = np.argsort(-logits, kind="stable")[: sampling.top_k]
    if sampling.top_p < 1.0:
        ids = ids[np.argsort(-logits[ids], kind="stable")]
        cumulative = np.exp((logits[ids] - logits[ids[0]]).astype(np.float64)).cumsum()
        mass = sampling.top_p * cumulative[-1]
        ids = ids[: int(np.searchsorted(cumulative, mass, side="left")) + 1]
    if sampling.min_p > 0.0:
        kept = logits[ids]
        ids = ids[kept >= kept.max() + np.log(sampling.min_p)]
    return ids, logits[ids]


def score_tokens(
    logits: Logits, token_ids: Sequence[int], top_logprobs: int = 0
) -> tuple[TokenScore, ...]:
    """Scores tokens by the unscaled softmax of the logits at their positions.

    Args:
        logits: of shape (tokens, vocabulary): row i is the distribution that token i came from.
        token_ids: of length ``tokens``.
        top_logprobs: alternatives to list a token.
    """
    scores = []
    for row, token_id in zip(logits, token_ids, strict=True):
        shifted = row.astype(np.float64)
        shifted -= shifted.max()
        probabilities = np.exp(shifted)
        total = float(probabilities.sum())
        logprobs = shifted - np.log(total)
        probabilities /= total
        first, second = _two_largest(probabilities)
        # Zero times minus infinity is 0 in an entropy, and NaN in floating point.
        entropy = -float(np.dot(probabilities, np.maximum(logprobs, -1e4)))
        scores.append(
            TokenScore(
                logprob=min(0.0, float(logprobs[token_id])),
                margin=first - second,
                entropy=max(0.0, entropy),
                top=_top(logprobs, top_logprobs),
                likeliest=bool(shifted[token_id] >= 0.0),  # the largest is zero
            )
        )
    return tuple(scores)


def _two_largest(values: Logits) -> tuple[float, float]:
    if len(values) < 2:
        return float(values[0]), 0.0
    second, first = np.partition(values, len(values) - 2)[-2:]
    return float(first), float(second)


def _top(logprobs: Logits, count: int) -> tuple[tuple[int, float], ...]:
    if count == 0:
        return ()
    ids = np.argsort(-logprobs, kind="stable")[:count]
    return tuple((int(i), min(0.0, float(logprobs[i]))) for i in ids)
