"""How a leg draws its tokens: argmax, or a chain of llama.cpp's samplers.

The order is llama.cpp's default: logit bias, penalties, top-k, top-p, min-p, temperature, draw.
Bias and penalties are applied here, to the logits in place, and taken back after the draw: the
arguments of llama.cpp's penalty sampler have changed between versions without a compiler to notice
it, and counting a long generation again at every handoff is quicker in Python than a call a token.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from relaygen.engines.llama_cpp._capi import Api, Handle, SamplerChainParams
from relaygen.engines.llama_cpp.model import LlamaModel, Logits
from relaygen.types import Sampling

_RANDOM_SEED = 0xFFFFFFFF  # llama.cpp reads this one as "choose a seed yourself"


class LegSampler:
    """Draws the tokens of one leg; not used after `close`."""

    def __init__(self, model: LlamaModel, sampling: Sampling, generated: Sequence[int]) -> None:
        """Makes the chain.

        Args:
            model: whose logits are drawn from.
            sampling: how.
            generated: tokens of the generation before this leg; penalties count them.
        """
        self._model = model
        self._api = model.library.api
        greedy = sampling.temperature == 0.0 or sampling.top_k == 1
        self._chain = None if greedy else _build_chain(self._api, sampling)
        self._adjustment: _Adjustment | None = None
        if sampling.logit_bias or sampling.has_penalties:
            self._adjustment = _Adjustment(sampling, generated)

    def draw(self, index: int) -> int:
        """Draws from an output of the model's last evaluation, and counts the token."""
        adjustment = self._adjustment
        if adjustment is None:
            return self._draw(index)
        logits = self._model.logits(index)
        adjustment.apply(logits)
        token_id = self._draw(index)
        adjustment.take_back(logits)
        adjustment.count(token_id)
        return token_id

    def _draw(self, index: int) -> int:
        if self._chain is None:
            return int(self._model.logits(index).argmax())
        return self._model.sample(self._chain, index)

    def close(self) -> None:
        """Frees the chain. May be called twice."""
        chain, self._chain = self._chain, None
        if chain is not None:
            self._api.sampler_free(chain)


class _Adjustment:
    """Logit bias and penalties of one leg."""

    def __init__(self, sampling: Sampling, generated: Sequence[int]) -> None:
        self._sampling = sampling
        self._penalised = sampling.has_penalties
        self._counts: Counter[int] = Counter(generated if self._penalised else ())
        self._changed: npt.NDArray[np.int64] | None = None  # ids; None: to be collected again
        self._biases: Logits = np.empty(0, np.float32)
        self._times: Logits = np.empty(0, np.float32)
        self._saved: Logits = np.empty(0, np.float32)

    def count(self, token_id: int) -> None:
        """Adds a token to the generation."""
        if self._penalised:
            self._counts[token_id] += 1
            self._changed = None

    def apply(self, logits: Logits) -> None:
        """Changes the logits in place."""
        if self._changed is None:
            self._collect()
        ids = self._changed
        assert ids is not None
        self._saved = logits[ids]
        adjusted = self._saved + self._biases
        sampling = self._sampling
        if self._penalised:
            factor = sampling.repetition_penalty
            if factor != 1.0:
                repeated = np.where(adjusted > 0, adjusted / factor, adjusted * factor)
                adjusted = np.where(self._times > 0, repeated, adjusted)
            adjusted -= self._times * sampling.frequency_penalty
            adjusted -= (self._times > 0) * sampling.presence_penalty
        logits[ids] = adjusted

    def take_back(self, logits: Logits) -> None:
        """Restores what `apply` changed: scores are of the model's own distribution."""
        logits[self._changed] = self._saved

    def _collect(self) -> None:
        bias = self._sampling.logit_bias
        ids = list(bias.keys() | self._counts.keys())
        self._changed = np.array(ids, np.int64)
        self._biases = np.array([bias.get(token_id, 0.0) for token_id in ids], np.float32)
        self._times = np.array([self._counts[token_id] for token_id in ids], np.float32)


def _build_chain(api: Api, sampling: Sampling) -> Handle:
    chain = api.sampler_chain_init(SamplerChainParams(no_perf=True))
    if sampling.top_k > 0:
        api.sampler_chain_add(chain, api.sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1.0:
        api.sampler_chain_add(chain, api.sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0.0:
        api.sampler_chain_add(chain, api.sampler_init_min_p(sampling.min_p, 1))
    if sampling.temperature != 1.0:
        api.sampler_chain_add(chain, api.sampler_init_temp(sampling.temperature))
    api.sampler_chain_add(chain, api.sampler_init_dist(_seed(sampling.seed)))
    return chain


def _seed(seed: int | None) -> int:
    """32 bits for llama.cpp, from up to 64."""
    if seed is None:
        seed = secrets.randbits(32)
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF
    return folded if folded != _RANDOM_SEED else 0x9E3779B9
