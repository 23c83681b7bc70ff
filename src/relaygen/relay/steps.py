"""A token where the policy decides: what the policy sees of it, and what is done then."""

from __future__ import annotations

from dataclasses import replace

from relaygen.relay.policy import Judge, Policy, Write
from relaygen.relay.scanner import NOTHING
from relaygen.relay.stages import Stages
from relaygen.relay.transcript import Transcript
from relaygen.relay.turns import Turns
from relaygen.types import TokenScore


class Steps:
    """Takes tokens one at a time (rule 4) and asks the policy at whole code points (rule 2)."""

    def __init__(
        self, policy: Policy, transcript: Transcript, turns: Turns, stages: Stages
    ) -> None:
        self._policy = policy
        self._transcript = transcript
        self._decoder = transcript.decoder
        self._turns = turns
        self._step = turns.step
        self._stages = stages
        self._tag_is_text = stages.close_text is not None

    def take(self, token_id: int, score: TokenScore | None) -> None:
        """Takes a token that is none of those that are told by their id."""
        turns, step = self._turns, self._step
        self._read(token_id, score)
        if self._decoder.inside:
            turns.check_limit()
            return
        if self._tag_is_text and self._stages.closed_by_text():
            return
        transcript = self._transcript
        segment = transcript.segment
        step.role = segment.role
        step.token_id = token_id
        step.tokens = len(transcript.tokens) - step.position
        step.segment_start = transcript.segment_start
        step.segment_tokens = len(segment.token_ids)
        step.score = score
        decision = self._policy.token(step)
        if decision is None:
            if turns.tentative:
                turns.check_limit()
            elif self._tag_is_text:
                turns.keep_but_tag()
            else:
                turns.keep()
        elif isinstance(decision, Write):
            turns.turn(decision)
        elif isinstance(decision, Judge):
            turns.judge(decision)
        else:
            turns.keep_but_tag()

    def _read(self, token_id: int, score: TokenScore | None) -> None:
        """Adds the token, and what was found in its text, to the step that it belongs to."""
        transcript, step = self._transcript, self._step
        scanner = transcript.scanner
        if not self._decoder.inside:
            self._begin(scanner.pending)
        elif len(transcript.tokens) == transcript.segment_first:
            scanner.dismiss()  # what could be dropped is the segment's before
            self._begin(False)
        text, scan = transcript.push(token_id, score, scan=True)
        step.text = step.text + text if step.text else text
        if scan is not NOTHING:
            step.ends += scan.ends
            step.cue = step.cue or scan.cue
            if scan.cue is not None and scan.cue.confirmed and scan.cue.end > step.start:
                # Its own token cannot be dropped with the rest of the code point that confirmed it.
                step.cue = replace(scan.cue, confirmed=False)

    def _begin(self, was_pending: bool) -> None:
        transcript, step = self._transcript, self._step
        scanner = transcript.scanner
        if was_pending or self._tag_is_text or scanner.waiting:
            transcript.mark()
        step.was_pending = was_pending
        step.start = scanner.offset
        step.position = len(transcript.tokens)
        step.text = ""
        step.ends = ()
        step.cue = None
