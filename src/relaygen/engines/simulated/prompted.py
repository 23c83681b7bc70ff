"""A model that recites another text for every prompt, and finds its place from the prefix alone.

A server is not told where a prompt ends and generated text begins. Here the prompt ends with the
last occurrence of a *marker* (the closing of a chat template, such as ``<think>`` and a newline),
and the text is a function of the prompt: whichever replica continues whichever prefix goes on with
the same text, and a test of thousands of prompts knows what each must come to.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from relaygen.engines.sampling import Logits, Sampler
from relaygen.engines.simulated.models import ScriptedModel, TokenModel
from relaygen.errors import InvalidRequestError


@runtime_checkable
class StartsLegs(Protocol):
    """A `TokenModel` that looks at a whole prefix once, where a leg begins."""

    def start(self, prefix: Sequence[int]) -> TokenModel:
        """The model of a leg that continues `prefix`."""
        ...


class PromptedScripts:
    """See the module. Implements `TokenModel` and `StartsLegs`."""

    def __init__(
        self,
        write: Callable[[int], Sequence[int]],
        *,
        marker: Sequence[int],
        vocab_size: int,
        end_token: int,
        seed: int = 0,
        margin: float = 0.9,
        kept: int = 4096,
    ) -> None:
        """Describes the model.

        Args:
            write: makes the tokens of a text from a number; the marker must not occur in them.
            marker: the tokens that every prompt ends with.
            vocab_size: of the model.
            end_token: written where the text is over.
            seed: another seed, other texts.
            margin: p(top-1) - p(top-2) at every place.
            kept: texts that are remembered.
        """
        if not marker:
            raise InvalidRequestError("the marker has no tokens; give at least one", param="marker")
        self.vocab_size = vocab_size
        self._write = write
        self._marker = _bytes(marker)
        self._end_token = end_token
        self._seed = seed
        self._margin = margin
        self._kept = kept
        self._texts: OrderedDict[bytes, ScriptedModel] = OrderedDict()

    def script(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """The whole text of a prompt, without the end token."""
        return tuple(self._write(self._number(self._digest(prompt[: self.origin(prompt)]))))

    def origin(self, prefix: Sequence[int]) -> int:
        """Where the generated tokens begin.

        Raises:
            InvalidRequestError: the marker is not there.
        """
        data = _bytes(prefix)
        size = array("I").itemsize
        at = data.rfind(self._marker)
        while at % size and at >= 0:  # found across two tokens
            at = data.rfind(self._marker, 0, at + len(self._marker) - 1)
        if at < 0:
            raise InvalidRequestError(
                "the prompt does not hold the marker that this simulated model looks for",
                param="prompt",
            )
        return (at + len(self._marker)) // size

    def start(self, prefix: Sequence[int]) -> TokenModel:
        """See `StartsLegs.start`."""
        origin = self.origin(prefix)
        key = self._digest(prefix[:origin])
        text = self._texts.pop(key, None)
        if text is None:
            text = ScriptedModel(
                self._write(self._number(key)),
                vocab_size=self.vocab_size,
                end_token=self._end_token,
                margin=self._margin,
            )
            if len(self._texts) >= self._kept:
                self._texts.popitem(last=False)
        self._texts[key] = text
        return _From(text, origin)

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        """See `TokenModel.logits`."""
        return self.start(prefix).logits(prefix, origin)

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        """See `TokenModel.draw`."""
        return self.start(prefix).draw(prefix, origin, sampler)

    def _digest(self, prompt: Sequence[int]) -> bytes:
        salt = self._seed.to_bytes(8, "little")
        return hashlib.blake2b(_bytes(prompt), digest_size=8, salt=salt).digest()

    def _number(self, digest: bytes) -> int:
        return int.from_bytes(digest, "little")


class _From:
    """A model that knows itself where the generated tokens begin.

    Inside the prompt, whose tokens a server may be asked to score as well, all are equally likely.
    """

    def __init__(self, model: TokenModel, origin: int) -> None:
        self.vocab_size = model.vocab_size
        self._model = model
        self._origin = origin

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        """See `TokenModel.logits`."""
        if len(prefix) < self._origin:
            return np.zeros(self.vocab_size)
        return self._model.logits(prefix, self._origin)

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        """See `TokenModel.draw`."""
        return self._model.draw(prefix, self._origin, sampler)


def _bytes(token_ids: Sequence[int]) -> bytes:
    return array("I", token_ids).tobytes()
