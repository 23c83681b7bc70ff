"""The growing record of a generation: tokens, segments, and the text they make.

Tokens are the truth. The text of one goes through three places: *held* (a later decision may still
take it back), *waiting* (kept, but it may be the beginning of a stop string), *emitted*.
"""

from __future__ import annotations

from relaygen.errors import ProtocolError
from relaygen.relay.emission import Emission
from relaygen.relay.events import Emitted
from relaygen.relay.generation import Generation
from relaygen.relay.held import Held
from relaygen.relay.scanner import NOTHING, Scan, TextScanner
from relaygen.relay.segment import Segment
from relaygen.relay.vocabulary import Detokeniser, Vocabulary
from relaygen.relay.vocabulary import State as Utf8State
from relaygen.types import ModelRole, Stage, TokenScore

__all__ = ["Segment", "Transcript"]


class Transcript:
    """Tokens, text and segments of one generation. Only the relay machine's parts write to it.

    Attributes:
        tokens: all generated tokens, undecided ones included.
        segments: in order.
        segment: the current one.
        segment_start: offset in the scanner's text at which the policy began to see it.
        segment_first: tokens before the first that the policy sees of it.
        decoder: makes text of tokens.
        scanner: reads the text in which sentences and cues are looked for.
        held: the newest text, not kept yet.
    """

    def __init__(
        self, generation: Generation, vocabulary: Vocabulary, scanner: TextScanner
    ) -> None:
        self.tokens: list[int] = []
        self.segments: list[Segment] = []
        self.segment: Segment
        self.decoder = Detokeniser(vocabulary)
        self.scanner = scanner
        tags = generation.tags
        self.held = Held(tags.close_text if tags and tags.close_id is None else None)
        self._emission = Emission(self.segments, generation.stop)
        self._want_scores = generation.want_scores
        self._mark: tuple[int, Utf8State, TextScanner] | None = None

    # -- segments -----------------------------------------------------------------------------

    def open_segment(self, role: ModelRole, stage: Stage) -> Segment:
        """Begins a segment; the tokens that follow belong to it."""
        self.segment = Segment(role=role, stage=stage)
        self.segments.append(self.segment)
        self.show_from_here()
        return self.segment

    def show_from_here(self) -> None:
        """What the policy sees of the current segment begins at this point."""
        self.segment_start = self.scanner.offset
        self.segment_first = len(self.tokens)

    def restage(self, stage: Stage) -> None:
        """The current segment, all of it held, turns out to belong to another stage."""
        self.segment.stage = stage
        self.held.restage(stage)

    @property
    def reasoning_tokens(self) -> int:
        """Tokens in the reasoning stage."""
        return sum(len(s.token_ids) for s in self.segments if s.stage is Stage.REASONING)

    # -- tokens in ----------------------------------------------------------------------------

    def push(self, token_id: int, score: TokenScore | None, *, scan: bool) -> tuple[str, Scan]:
        """Takes a token into the current segment and holds its text.

        Args:
            token_id: the token.
            score: of its writer.
            scan: whether the text is one in which sentences and cues are looked for.

        Returns:
            The text that it completed, and what the scanner found in it.
        """
        text = self.decoder.push(token_id)
        self._add(token_id, text, score)
        return text, (self.scanner.feed(text) if scan and text else NOTHING)

    def push_silent(self, token_id: int, score: TokenScore | None = None) -> None:
        """Takes a token that adds no text (end of sequence)."""
        self._finish_code_point()
        self._add(token_id, "", score)

    def push_tag(self, token_id: int, score: TokenScore | None = None) -> None:
        """Takes a token that is a reasoning tag."""
        self._finish_code_point()
        self._add(token_id, self.decoder.alone(token_id), score, is_tag=True)

    def _add(
        self, token_id: int, text: str, score: TokenScore | None, is_tag: bool = False
    ) -> None:
        segment = self.segment
        self.tokens.append(token_id)
        segment.token_ids.append(token_id)
        scores: tuple[TokenScore | None, ...] | None = None
        if self._want_scores:
            segment.scores.append(score)
            scores = (score,)
        index = len(self.segments) - 1
        self.held.pieces.append(
            Emitted(text, (token_id,), segment.role, segment.stage, index, is_tag, scores)
        )

    def _finish_code_point(self) -> None:
        if self.decoder.inside:
            self.held.complete(self.decoder.flush())

    # -- tokens back --------------------------------------------------------------------------

    def mark(self) -> None:
        """Remembers this point, so that tokens after it can be taken back."""
        if self._mark is None:
            self._mark = (len(self.tokens), self.decoder.save(), self.scanner.copy())

    def pin(self) -> None:
        """No token so far can be taken back any more, though its text may still be held."""
        self._mark = None

    @property
    def undecided(self) -> int:
        """Tokens after the mark."""
        return 0 if self._mark is None else len(self.tokens) - self._mark[0]

    def undecided_holding(self, characters: int) -> int:
        """How many tokens that can be taken back hold the last `characters` of the held text."""
        return min(self.held.holding(characters), self.undecided, len(self.segment.token_ids))

    def take_back(self, count: int) -> None:
        """Drops the newest `count` tokens of the current segment; their text was never emitted.

        Raises:
            ProtocolError: they are no longer undecided.
        """
        segment = self.segment
        undecided = min(self.undecided, len(segment.token_ids))
        if self._mark is None or not 0 <= count <= undecided:
            raise ProtocolError(
                f"a policy dropped {count} tokens, and {undecided} were undecided: it can take "
                "back what was looked ahead at, or tokens of a tentative segment"
            )
        start, utf8, scanner = self._mark
        kept = self.tokens[start : len(self.tokens) - count]
        del self.tokens[len(self.tokens) - count :]
        del segment.token_ids[len(segment.token_ids) - count :]
        if segment.scores:
            del segment.scores[len(segment.scores) - count :]
        segment.overrun_tokens += count
        self.held.drop(count)
        self.decoder.restore(utf8)
        self.scanner = scanner.copy()
        for token_id in kept:
            text = self.decoder.push(token_id)
            if text:
                self.scanner.feed(text)

    # -- text out -----------------------------------------------------------------------------

    def keep(self) -> bool:
        """Keeps everything held; it may be emitted as soon as no code point or stop string is open.

        Returns:
            Whether a stop string was completed: the generation is over, its text already cut.
        """
        self._mark = None
        return not self.decoder.inside and self._emission.keep(self.held.take())

    def finish(self) -> bool:
        """Keeps and emits what is left; a cut-off code point becomes U+FFFD.

        Returns:
            Whether this completed a stop string.
        """
        self._finish_code_point()
        stopped = self.keep()
        self._emission.flush()
        return stopped

    def take_emitted(self) -> list[Emitted]:
        """What may be shown and was not yet returned."""
        return self._emission.take()
