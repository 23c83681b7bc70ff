"""Rule 7: where the reasoning begins and where it ends, told by its tags."""

from __future__ import annotations

from relaygen.relay.endings import Endings
from relaygen.relay.generation import Generation
from relaygen.relay.policy import Policy
from relaygen.relay.transcript import Transcript
from relaygen.relay.turns import Turns
from relaygen.types import Stage, TokenScore


class Stages:
    """Reads reasoning tags.

    Attributes:
        close_id: the closing tag's token; None where it is several.
        close_text: the tag, where it is matched as text.
    """

    def __init__(
        self,
        generation: Generation,
        policy: Policy,
        transcript: Transcript,
        turns: Turns,
        endings: Endings,
    ) -> None:
        tags = generation.tags
        self._tagged = tags is not None
        self.close_id = tags.close_id if tags else None
        self.close_text = tags.close_text if tags and tags.close_id is None else None
        self._open_text = tags.open_text if tags else ""
        self._policy = policy
        self._transcript = transcript
        self._turns = turns
        self._endings = endings

    def begin(self, first: Stage | None) -> None:
        """The generation begins; `first` is its stage where the prompt shows it."""
        if not self._tagged:
            self._turns.write(self._policy.begin(), Stage.ANSWER)
        elif first is Stage.ANSWER:
            self._turns.answer()
        else:
            self._turns.opening = first is None
            self._turns.write(self._policy.begin(), Stage.REASONING)

    def open(self, token_id: int, score: TokenScore | None) -> None:
        """One of the first tokens of a model that opens its reasoning itself: do they do it?"""
        transcript, turns = self._transcript, self._turns
        transcript.push(token_id, score, scan=False)
        begun = transcript.held.text.lstrip()
        if begun.startswith(self._open_text):
            transcript.held.retag(self._open_text, None)
            turns.opening = False
            transcript.show_from_here()
            transcript.pin()
            turns.keep_but_tag()
        elif self._open_text.startswith(begun):
            turns.check_limit()
        else:
            turns.answer_here()

    def close(self, token_id: int, score: TokenScore | None) -> None:
        """The closing tag: the large model's ends the reasoning, the small one's is dropped."""
        segment = self._transcript.segment
        if self._policy.may_end_reasoning(segment.role):
            self._transcript.push_tag(token_id, score)
            self._end_reasoning()
        else:
            segment.overrun_tokens += 1
            self._endings.refuse("close_tag")

    def closed_by_text(self) -> bool:
        """Does what `close` does, where what is held has the tag in it; returns whether it has."""
        transcript = self._transcript
        characters = transcript.held.from_tag
        if self.close_text is None or not characters:
            return False
        if self._policy.may_end_reasoning(transcript.segment.role):
            transcript.held.retag(self.close_text, Stage.ANSWER)
            self._end_reasoning()
        else:
            own = transcript.undecided_holding(characters)
            self._endings.refuse("close_tag", drop=own)
        return True

    def _end_reasoning(self) -> None:
        segment = self._transcript.segment
        segment.ended_by = "reasoning_end"
        if self._turns.settle():
            self._turns.answer()
