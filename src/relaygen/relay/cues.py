"""Switch cues: the words after which the small model may go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relaygen.errors import CueProfileError
from relaygen.relay.segmentation import sentences

MAX_CUE_LENGTH: Final = 64
"""Characters."""

_NOT_IN_CUES: Final = frozenset("\\$`")


class CuePosition(StrEnum):
    """Where in a sentence a cue counts."""

    SENTENCE = "sentence"
    """As the first word of a sentence, after opening quotes, brackets, ``**`` or a list marker."""
    ANYWHERE = "anywhere"


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchCue:
    """Text that hands over to the small model.

    Attributes:
        text: begins with a letter; case matters. White space at its end is a condition on what
            follows (some white space), not a part of the cue.
        position: where it counts.
        confirm_tokens: 0: it counts at the first token boundary at or after its last character;
            1: where its word might still go on, only once the next token was looked at.

    Raises:
        CueProfileError: the cue cannot be matched, or would hold a sentence end.
    """

    text: str
    position: CuePosition = CuePosition.SENTENCE
    confirm_tokens: int = 0

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise CueProfileError(f"cue {self.text!r:.80}: {problem}")

    def _problem(self) -> str | None:
        if not isinstance(self.text, str) or not self.text.strip():
            return "a cue needs visible text"
        if len(self.text) > MAX_CUE_LENGTH:
            return f"it has {len(self.text)} characters; at most {MAX_CUE_LENGTH} are allowed"
        if not self.text[0].isalpha():
            return "it must begin with a letter; the word boundary before it goes without saying"
        if not all(c.isprintable() and c not in _NOT_IN_CUES for c in self.visible):
            return "line breaks, control characters, '\\', '$' and '`' cannot be part of a cue"
        if len(sentences(f"{self.visible} x")) > 1:
            return "a sentence ends inside it, so nothing would be left to hand over"
        if not isinstance(self.position, CuePosition):
            return f"position is {self.position!r}; it must be 'sentence' or 'anywhere'"
        if type(self.confirm_tokens) is not int or self.confirm_tokens not in (0, 1):
            return f"confirm_tokens is {self.confirm_tokens!r}; it must be 0 or 1"
        return None

    @property
    def visible(self) -> str:
        """The text that is matched: without the white space at its end."""
        return self.text.rstrip()

    @property
    def needs_space(self) -> bool:
        """Whether it counts only before white space."""
        return self.text[-1].isspace()


@dataclass(frozen=True, slots=True)
class CueMatch:
    """A cue that counts at the end of the token fed last.

    Attributes:
        cue: the cue.
        start: offset of its first character in the text fed so far.
        end: offset after its last one.
        confirmed: the token fed last was only the confirmation, and must be dropped.
    """

    cue: SwitchCue
    start: int
    end: int
    confirmed: bool
