"""Models without weights: one that recites a script, one whose logits are a hash of its context.

Both are functions: the next token depends on the whole prefix and the seed, and on nothing else,
so that a continued prefix repeats one long generation, as it does with a real model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from relaygen.engines.sampling import Logits, Sampler, mix
from relaygen.errors import InvalidRequestError


class TokenModel(Protocol):
    """What `SimulatedEngine` runs."""

    @property
    def vocab_size(self) -> int:
        """Ids are in ``range(vocab_size)``."""
        ...

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        """The distribution of the next token, of shape (vocabulary,).

        Args:
            prefix: prompt and everything generated so far.
            origin: index in `prefix` of the first generated token.
        """
        ...

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        """The next token."""
        ...


class RandomModel:
    """Logits are a hash of the last `order` tokens: noise, but always the same noise."""

    def __init__(
        self, vocab_size: int, *, order: int = 3, seed: int = 0, spread: float = 3.0
    ) -> None:
        """`spread`: standard deviation of the logits; the larger, the surer the model is."""
        self.vocab_size = vocab_size
        self._order = order
        self._seed = seed
        self._spread = spread

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        """See `TokenModel.logits`."""
        state = mix(self._seed)
        for token_id in prefix[-self._order :]:
            state = mix(state ^ token_id)
        noise = np.random.Generator(np.random.PCG64(state)).standard_normal(self.vocab_size)
        return noise * self._spread

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        """See `TokenModel.draw`."""
        return sampler.draw(self.logits(prefix, origin), len(prefix))


class ScriptedModel:
    """Recites `script`, and after it `end_token` for ever, whatever the sampling says.

    The place in the script is the number of tokens generated so far, by whichever model: two
    models of a relay that share a script hand over in the middle of it and neither loses the
    thread. Two scripts may differ (the small model's own wording) where they are equally long.

    Only ``logit_bias`` moves it off the script, for the token that is biased.
    """

    _REST = 1e-4  # probability of everything but the best two tokens

    def __init__(
        self,
        script: Sequence[int],
        *,
        vocab_size: int,
        end_token: int,
        prompt: Sequence[int] | None = None,
        margin: float | Callable[[int], float] = 0.9,
    ) -> None:
        """Describes the model.

        Args:
            script: token ids to write.
            vocab_size: of the model; at least 3.
            end_token: written where the script is over, usually end-of-sequence.
            prompt: the one prompt it answers. None: any, and the engine says where it ends.
            margin: p(top-1) - p(top-2) at each place of the script, in 0..1.

        Raises:
            InvalidRequestError: an id is outside the vocabulary.
        """
        bad = [t for t in (*script, end_token) if not 0 <= t < vocab_size]
        if bad:
            raise InvalidRequestError(
                f"token id {bad[0]} is outside the vocabulary of {vocab_size}", param="script"
            )
        self.vocab_size = vocab_size
        self._script = tuple(script)
        self._end_token = end_token
        self._prompt = None if prompt is None else tuple(prompt)
        self._margin = margin

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        """See `TokenModel.logits`."""
        place = self._place(prefix, origin)
        best = self._token_at(place)
        margin = self._margin(place) if callable(self._margin) else self._margin
        runner_up = (best + 1 + mix(place) % (self.vocab_size - 1)) % self.vocab_size
        likely = 1.0 - self._REST
        logits = np.full(self.vocab_size, math.log(self._REST / (self.vocab_size - 2)))
        logits[runner_up] = math.log(likely * max(1.0 - margin, 1e-9) / 2)
        logits[best] = math.log(likely * (1.0 + margin) / 2)
        return logits

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        """See `TokenModel.draw`."""
        token_id = self._token_at(self._place(prefix, origin))
        bias = sampler.sampling.logit_bias
        if not bias:
            return token_id
        biased = self.logits(prefix, origin)
        for biased_id, value in bias.items():
            biased[biased_id] += value
        return int(biased.argmax())

    def _place(self, prefix: Sequence[int], origin: int) -> int:
        if self._prompt is None:
            return len(prefix) - origin
        if tuple(prefix[: len(self._prompt)]) != self._prompt:
            raise InvalidRequestError("this scripted model knows one prompt, and not this one")
        return len(prefix) - len(self._prompt)

    def _token_at(self, place: int) -> int:
        return self._script[place] if place < len(self._script) else self._end_token
