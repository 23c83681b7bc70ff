"""The random control: the relay's mechanics without its cues, for equal utilisation."""

from __future__ import annotations

import hashlib

from relaygen.errors import InvalidRequestError
from relaygen.relay.config import RelayConfig
from relaygen.relay.policies.relay import RelayPolicy
from relaygen.relay.policy import Decision, Step, Write
from relaygen.types import ModelRole


class RandomPolicy(RelayPolicy):
    """Hands a sentence over, after its first token, with a fixed probability.

    The draw is a hash of (seed, token position): a run repeats exactly.
    """

    def __init__(self, share: float, seed: int, config: RelayConfig) -> None:
        """`share`: probability in 0..1 that a sentence is handed over."""
        super().__init__((), config)
        if not 0.0 <= share <= 1.0:
            raise InvalidRequestError(
                f"handoff_share is {share}; it must be between 0 and 1", param="handoff_share"
            )
        self._share = share
        self._seed = seed
        self._at_start = True

    @property
    def name(self) -> str:
        """``random``."""
        return "random"

    def token(self, step: Step) -> Decision:
        """Draws once at the beginning of every sentence that the large model opens."""
        if step.role is ModelRole.SMALL:
            decision = super().token(step)
            if isinstance(decision, Write) and decision.reason == "sentence_end":
                self._at_start = True
            return decision
        if step.ends:
            self._count_large_sentences(step)
            self._at_start = True
        if not self._at_start or not any(map(str.isalnum, step.text)):
            return None
        self._at_start = False
        if self._muted or self._draw(step.position) >= self._share:
            return None
        return self._handoff("random")

    def _draw(self, position: int) -> float:
        digest = hashlib.blake2b(f"{self._seed}/{position}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little") / 2**32
