"""The growing text of a generation: kept tokens, segments, and what may be shown when.

Tokens are the truth. A token goes through three places: *held* (a later decision may still take it
back), *waiting* (kept, but its text may be the beginning of a stop string), *emitted*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from relaygen.errors import ProtocolError
from relaygen.relay.events import Emitted
from relaygen.relay.generation import Generation
from relaygen.relay.scanner import Scan, TextScanner
from relaygen.relay.stops import StopMatcher
from relaygen.relay.vocabulary import State as Utf8State
from relaygen.relay.vocabulary import Utf8Stream, Vocabulary
from relaygen.types import ModelRole, Stage, TokenScore

# In Python 3.11 a member of an enumeration costs 0.1 us where it is named.
_REASONING = Stage.REASONING
_ANSWER = Stage.ANSWER


@dataclass(kw_only=True, slots=True)
class Segment:
    """An unbroken run of tokens by one role in one stage.

    Attributes:
        role: who wrote it.
        stage: reasoning or answer.
        token_ids: kept tokens.
        scores: one a token where scores were asked for, else empty.
        legs: ids of the engine calls that wrote it.
        ended_by: why it ended ("cue:So,", "sentence_end", "reasoning_end", "eos", "length", ...).
        overrun_tokens: tokens an engine produced beyond a decision, or that were taken back.
    """

    role: ModelRole
    stage: Stage
    token_ids: list[int] = field(default_factory=list)
    scores: list[TokenScore | None] = field(default_factory=list)
    legs: list[int] = field(default_factory=list)
    ended_by: str = ""
    overrun_tokens: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The emitted text, reasoning tags included."""
        return "".join(self.texts)


class Transcript:
    """Tokens, text and segments of one generation. The machine alone writes to it."""

    def __init__(
        self, generation: Generation, vocabulary: Vocabulary, scanner: TextScanner
    ) -> None:
        self.prompt = generation.prompt
        self.tokens: list[int] = []
        self.segments: list[Segment] = []
        self.reasoning_tokens = 0
        self.inside_code_point = False  # the text ends with a piece of a code point
        self.scanner = scanner
        self._token_bytes: Callable[[int], bytes] = vocabulary.token_bytes
        self._want_scores = generation.want_scores
        self._utf8 = Utf8Stream()
        self._whole: dict[int, str] = {}  # the text of tokens that are no piece of a code point
        self._stops = StopMatcher(generation.stop) if generation.stop else None
        self._held: list[Emitted] = []
        self._waiting: list[Emitted] = []
        # Offset, in the text that stops apply to, of the first waiting piece.
        self._waiting_from = 0
        self._out: list[Emitted] = []
        self._mark: tuple[int, Utf8State, TextScanner] | None = None

    # -- segments ---------------------------------------------------------------------------

    def open_segment(self, role: ModelRole, stage: Stage) -> Segment:
        """Begins a segment; the tokens that follow belong to it."""
        segment = Segment(role=role, stage=stage)
        self.segments.append(segment)
        self.segment = segment  # the current one
        return segment

    # -- tokens in --------------------------------------------------------------------------

    def mark(self) -> None:
        """Remembers this point, so that tokens after it can be taken back."""
        if self._mark is None:
            self._mark = (len(self.tokens), self._utf8.save(), self.scanner.copy())

    @property
    def undecided(self) -> int:
        """Tokens after the mark."""
        return 0 if self._mark is None else len(self.tokens) - self._mark[0]

    def push(
        self, token_id: int, score: TokenScore | None, *, scan: bool
    ) -> tuple[str, Scan | None]:
        """Takes a token into the current segment and holds its text.

        Args:
            token_id: the token.
            score: of its writer.
            scan: whether the text is one in which sentences and cues are looked for.

        Returns:
            The text that it completed, and what the scanner found in it.
        """
        if self.inside_code_point or (text := self._whole.get(token_id, "")) == "":
            text = self._decode(token_id)
        self._add(token_id, text, score)
        return text, (self.scanner.feed(text) if scan and text else None)

    def _decode(self, token_id: int) -> str:
        starts_whole = not self.inside_code_point
        text = self._utf8.push(self._token_bytes(token_id))
        self.inside_code_point = self._utf8.pending
        if starts_whole and not self.inside_code_point:
            self._whole[token_id] = text
        return text

    def push_silent(self, token_id: int, score: TokenScore | None = None) -> None:
        """Takes a token that adds no text (end of sequence)."""
        self._finish_code_point()
        self._add(token_id, "", score)

    def push_tag(self, token_id: int, score: TokenScore | None = None) -> None:
        """Takes a token that is a reasoning tag."""
        self._finish_code_point()
        text = self._token_bytes(token_id).decode("utf-8", errors="replace")
        self._add(token_id, text, score, is_tag=True)

    def _add(
        self, token_id: int, text: str, score: TokenScore | None, is_tag: bool = False
    ) -> None:
        segment = self.segment
        self.tokens.append(token_id)
        segment.token_ids.append(token_id)
        stage = segment.stage
        if stage is _REASONING:
            self.reasoning_tokens += 1
        scores: tuple[TokenScore | None, ...] | None = None
        if self._want_scores:
            segment.scores.append(score)
            scores = (score,)
        index = len(self.segments) - 1
        self._held.append(Emitted(text, (token_id,), segment.role, stage, index, is_tag, scores))

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
        if segment.stage is _REASONING:
            self.reasoning_tokens -= count
        segment.overrun_tokens += count
        del self._held[len(self._held) - count :]
        self._utf8.restore(utf8)
        self.scanner = scanner.copy()
        for token_id in kept:
            text = self._utf8.push(self._token_bytes(token_id))
            if text:
                self.scanner.feed(text)
        self.inside_code_point = self._utf8.pending

    # -- text out ---------------------------------------------------------------------------

    @property
    def held_text(self) -> str:
        """Text that is not decided yet."""
        return "".join(piece.text for piece in self._held)

    def retag_held(self, tag: str, rest_stage: Stage | None) -> None:
        """Marks `tag` inside the held text as a reasoning tag (where it is several tokens).

        Args:
            tag: occurs in the held text.
            rest_stage: the stage of the text after the tag; None leaves it.
        """
        at = self.held_text.index(tag)
        count = 0
        while at >= len(self._held[count].text):
            at -= len(self._held[count].text)
            count += 1
        whole = _joined(self._held[count:])
        last = self._held[-1]
        nothing = () if whole.scores is not None else None
        first = replace(self._held[count], text=whole.text[:at], token_ids=(), scores=nothing)
        middle = replace(
            last, text=tag, token_ids=whole.token_ids, is_tag=True, scores=whole.scores
        )
        after = replace(
            last,
            text=whole.text[at + len(tag) :],
            token_ids=(),
            stage=rest_stage or last.stage,
            scores=nothing,
        )
        self._held[count:] = [first, middle, after]

    def tokens_holding(self, characters: int) -> int:
        """How many of the newest undecided tokens hold the last `characters` of the held text."""
        count = 0
        for piece in reversed(self._held):
            if characters <= 0 and piece.text:
                break
            characters -= len(piece.text)
            count += len(piece.token_ids)
        return min(count, self.undecided, len(self.segment.token_ids))

    def restage_held(self, stage: Stage) -> None:
        """The held text, the current segment's first, turns out to belong to another stage."""
        segment = self.segment
        if segment.stage is Stage.REASONING and stage is Stage.ANSWER:
            self.reasoning_tokens -= len(segment.token_ids)
        segment.stage = stage
        self._held = [replace(piece, stage=stage) for piece in self._held]

    def keep(self) -> bool:
        """Keeps everything held; it may be emitted as soon as no code point or stop string is open.

        Returns:
            Whether a stop string was completed: the generation is over, its text already cut.
        """
        self._mark = None
        if self.inside_code_point:
            return False
        held, self._held = self._held, []
        if self._stops is None:
            if len(held) == 1:
                self._emit_one(held[0])  # the usual case, and the hot one
            else:
                self._emit(held)
            return False
        for index, piece in enumerate(held):
            if self._wait(piece, self._stops):
                self._emit([replace(rest, text="") for rest in held[index + 1 :]])
                return True
        return False

    def _wait(self, piece: Emitted, stops: StopMatcher) -> bool:
        """Queues a kept piece behind the stop matcher; True if a stop string was completed."""
        if piece.stage is not _ANSWER or piece.is_tag:
            self._emit([piece])
            return False
        self._waiting.append(piece)
        safe, cut = stops.feed(piece.text)
        ready = []
        while self._waiting:
            end = self._waiting_from + len(self._waiting[0].text)
            if cut is None and end > safe:
                break
            first = self._waiting.pop(0)
            if cut is not None:
                first = replace(first, text=first.text[: max(0, cut - self._waiting_from)])
            self._waiting_from = end
            ready.append(first)
        self._emit(ready)
        return cut is not None

    def finish(self) -> bool:
        """Keeps and emits what is left; a cut-off code point becomes U+FFFD.

        Returns:
            Whether this completed a stop string.
        """
        self._finish_code_point()
        stopped = self.keep()
        self._emit(self._waiting)
        self._waiting = []
        return stopped

    def _finish_code_point(self) -> None:
        if self.inside_code_point:
            last = self._held[-1]
            self._held[-1] = replace(last, text=last.text + self._utf8.flush())
            self.inside_code_point = False

    def _emit(self, pieces: list[Emitted]) -> None:
        """Emits pieces in order, those of one kind together."""
        start = 0
        while start < len(pieces):
            first = pieces[start]
            end = start + 1
            while end < len(pieces) and _same_run(first, pieces[end]):
                end += 1
            self._emit_one(_joined(pieces[start:end]))
            start = end

    def _emit_one(self, piece: Emitted) -> None:
        if piece.text or piece.token_ids:
            self.segments[piece.segment].texts.append(piece.text)
            self._out.append(piece)

    def take_emitted(self) -> list[Emitted]:
        """What may be shown and was not yet returned."""
        out, self._out = self._out, []
        return out


def _joined(run: list[Emitted]) -> Emitted:
    if len(run) == 1:
        return run[0]
    scores: tuple[TokenScore | None, ...] | None = None
    if run[0].scores is not None:
        scores = tuple(score for piece in run for score in piece.scores or ())
    return replace(
        run[0],
        text="".join(piece.text for piece in run),
        token_ids=tuple(i for piece in run for i in piece.token_ids),
        scores=scores,
    )


def _same_run(a: Emitted, b: Emitted) -> bool:
    return a.segment == b.segment and a.stage is b.stage and a.is_tag == b.is_tag
