"""The paper's own matching, so that its numbers can be repeated. Not the default: see docs."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.policies.relay import RelayPolicy
from relaygen.relay.policy import Decision, Step, Write
from relaygen.types import ModelRole

SENTENCE_ENDS = (".", "!", "?", "\n\n")


class PaperPolicy(RelayPolicy):
    """Cues and sentence ends as plain substrings of the leg's text; ``know`` holds ``now``.

    Differences to the published code that remain: tokens are kept whole, where a stop string cuts
    its text inside a token; no text is tokenised again.

    Source: jiwonsong-dev/RelayGen, ``utils/utils.py`` (``relaygen_chat_completions``): stop strings
    on each call, ``min_tokens=5`` on the large one, before which stops are not looked for.
    """

    def __init__(self, cues: Sequence[SwitchCue], config: RelayConfig) -> None:
        super().__init__((), config)
        self._small_hints = SENTENCE_ENDS if config.stop_hints else ()
        self._cue_texts = tuple(cue.text for cue in cues)
        self._tail = ""
        self._longest = max((len(text) for text in (*self._cue_texts, *SENTENCE_ENDS)), default=1)

    @property
    def name(self) -> str:
        """``paper``."""
        return "paper"

    def token(self, step: Step) -> Decision:
        """Looks for the strings in what this token completed."""
        window = self._tail + step.text
        seen = len(self._tail)
        self._tail = window[-(self._longest - 1) :] if self._longest > 1 else ""
        if step.role is ModelRole.SMALL:
            if _found(window, SENTENCE_ENDS, seen):
                return self._handback("sentence_end", step.segment_tokens)
            return None
        if step.segment_tokens <= self._config.mute_tokens:
            return None
        cue = _found(window, self._cue_texts, seen)
        return self._handoff(f"cue:{cue}") if cue else None

    def _handoff(self, reason: str, drop: int = 0) -> Write:
        self._tail = ""  # a stop string is looked for in the text of one call
        return super()._handoff(reason, drop)

    def _handback(self, reason: str, tokens: int, drop: int = 0) -> Write:
        self._tail = ""
        return super()._handback(reason, tokens, drop)


def _found(window: str, texts: Sequence[str], seen: int) -> str | None:
    """The first of `texts` that ends after the `seen` characters."""
    for text in texts:
        if window.find(text, max(0, seen - len(text) + 1)) >= 0:
            return text
    return None
