"""The plainest relay, and its random control, for measuring the pair while it is being made.

The package's own machine knows many more cases; this one is enough for the traces that the pair writes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tokenizers import Tokenizer

from training.lockstep import LARGE, SMALL, Row
from training.tokenizer import THINK_END, TURN_END
from training.traces import TRUE_CUES

_MAX_SMALL_TOKENS = 128
_OPENER_TOKENS = 2


class Alone:
    """One model writes everything."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end = tokenizer.token_to_id(TURN_END)

    def __call__(self, row: int, state: Row, proposals: Sequence[int]) -> int | None:
        """Ends the row at the end of the turn."""
        return None if proposals[0] == self.end else 0


class Relay:
    """Hands over after a cue, or at random, and takes back at the end of the sentence.

    Args:
        tokenizer: Of both models.
        cues: Openers after which the small model writes.
        random_share: If given, cues do not count: each sentence is handed over with this probability, after as many
            tokens as a cue has.
        seed: Of the random control.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        cues: Sequence[str] = TRUE_CUES,
        random_share: float | None = None,
        seed: int = 0,
    ) -> None:
        self.cues, self.random_share = frozenset(cues), random_share
        self.rng = random.Random(seed)
        self.end, self.think_end = (tokenizer.token_to_id(t) for t in (TURN_END, THINK_END))
        size = tokenizer.get_vocab_size()
        self.text = [tokenizer.decode([i], skip_special_tokens=False) for i in range(size)]
        self.sentence: dict[int, list[int]] = {}
        self.writer: dict[int, int] = {}
        self.answering: set[int] = set()
        self.sentences = self.handed = 0

    def __call__(self, row: int, state: Row, proposals: Sequence[int]) -> int | None:
        """Returns who writes the next token of a row."""
        if row in self.answering:
            return None if proposals[SMALL] == self.end else SMALL
        sentence = self.sentence.setdefault(row, [])
        if has_ended(self._joined(sentence), self.text[proposals[self.writer.get(row, LARGE)]]):
            sentence.clear()
            self.writer[row] = LARGE
        role = self.writer.get(row, LARGE)
        if role == SMALL and proposals[SMALL] in (self.end, self.think_end):
            role = self.writer[row] = LARGE
        token = proposals[role]
        if token == self.end:
            return None
        if token == self.think_end:
            self.answering.add(row)
            return role
        sentence.append(token)
        if role == LARGE and self._hands_over(sentence):
            self.writer[row] = SMALL
        elif role == SMALL and len(sentence) > _MAX_SMALL_TOKENS:
            self.writer[row] = LARGE
        return role

    def _joined(self, sentence: list[int]) -> str:
        return "".join(self.text[t] for t in sentence)

    def _hands_over(self, sentence: list[int]) -> bool:
        if len(sentence) == 1:
            self.sentences += 1
        if self.random_share is None:
            over = self._joined(sentence).strip() in self.cues
        else:
            over = len(sentence) == _OPENER_TOKENS and self.rng.random() < self.random_share
        self.handed += over
        return over


def has_ended(sentence: str, following: str) -> bool:
    """Whether a sentence is over, given the token after it; a decimal point ends nothing."""
    if sentence.endswith("\n"):
        return True
    return sentence.endswith((".", "?", "!")) and following[:1] in (" ", "\n", "")
