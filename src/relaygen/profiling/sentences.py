"""From tokens to sentences and cue occurrences, by the scanner that the relay itself uses."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from relaygen.profiling.trajectories import Bools, Ints, Trajectories
from relaygen.relay.cues import MAX_CUE_LENGTH, SwitchCue
from relaygen.relay.every_cue import EveryCueScanner
from relaygen.relay.segmentation import SentenceSegmenter
from relaygen.relay.vocabulary import Detokeniser, Vocabulary

_HEAD: Final = MAX_CUE_LENGTH + 16
"""Characters of a sentence's beginning: more than a cue may have."""

Texts = Sequence[str]
"""Of the tokens of one reasoning: what each of them completes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sentences:
    """The sentences of some texts, as columns; together they cover every token of a reasoning.

    Attributes:
        text: index of the text.
        start: index of the first token in the text; it may hold the white space before.
        stop: one past the last token.
        head: what the sentence begins with, from its first word on; "" if it has no words.
    """

    text: Ints
    start: Ints
    stop: Ints
    head: list[str]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Occurrences:
    """Where cues occur, as columns.

    Attributes:
        cue: index of the cue.
        text: index of the text.
        sentence: index of the sentence in `Sentences`.
        start: first token in the text after the cue: the first that the small model would write.
        stop: one past the last one that it would write.
    """

    cue: Ints
    text: Ints
    sentence: Ints
    start: Ints
    stop: Ints

    def only(self, chosen: Ints | Bools) -> Occurrences:
        """Those with these indices, or where a mask of that shape is true."""
        return Occurrences(
            cue=self.cue[chosen],
            text=self.text[chosen],
            sentence=self.sentence[chosen],
            start=self.start[chosen],
            stop=self.stop[chosen],
        )


def reasoning_texts(trajectories: Trajectories, vocabulary: Vocabulary) -> list[Texts]:
    """What each token of each reasoning completes."""
    first, ids = trajectories.first, trajectories.columns["token_id"]
    found: list[Texts] = []
    for base, record in zip(first, trajectories.records, strict=False):
        start, stop = record.reasoning
        push = Detokeniser(vocabulary).push
        found.append([push(i) for i in ids[base + start : base + stop].tolist()])
    return found


def find_sentences(texts: Sequence[Texts]) -> Sentences:
    """Splits texts into sentences."""
    text: list[int] = []
    start: list[int] = []
    stop: list[int] = []
    head: list[str] = []
    for index, tokens in enumerate(texts):
        ends, openings = _read(tokens)
        offsets = _offsets(tokens)
        joined = "".join(tokens)
        begun, at = 0, 0
        for end in [*ends, len(joined)]:
            last = bisect_left(offsets, end) + 1 if end < len(joined) else len(tokens)
            opened = at < len(openings) and openings[at] < end
            word = openings[at] if opened else end
            at += opened
            if last <= begun:
                continue  # the whole of it is in the last token of the one before
            text.append(index)
            start.append(begun)
            stop.append(last)
            head.append(joined[word : min(end, word + _HEAD)])
            begun = last
    return Sentences(text=_ints(text), start=_ints(start), stop=_ints(stop), head=head)


def find_cues(
    texts: Sequence[Texts],
    sentences: Sentences,
    cues: Sequence[SwitchCue],
    *,
    max_tokens: int,
) -> Occurrences:
    """Where each cue would count if it were the only one.

    Args:
        texts: of the tokens.
        sentences: of the same texts.
        cues: no text twice.
        max_tokens: the relay's limit on a small segment.
    """
    first = np.searchsorted(sentences.text, np.arange(len(texts) + 1))
    number = {cue.text: index for index, cue in enumerate(cues)}
    rows: list[tuple[int, int, int, int, int]] = []
    for index, tokens in enumerate(texts):
        stops = sentences.stop[first[index] : first[index + 1]].tolist()
        for cue, begin in _scan(tokens, cues):
            sentence = bisect_right(stops, begin)  # a sentence end at `begin` hands nothing back
            if sentence < len(stops):
                stop = min(stops[sentence], begin + max_tokens)
                where = int(first[index]) + sentence
                rows.append((number[cue.text], index, where, begin, stop))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Occurrences(
        cue=columns[0], text=columns[1], sentence=columns[2], start=columns[3], stop=columns[4]
    )


def _scan(tokens: Texts, cues: Sequence[SwitchCue]) -> Iterator[tuple[SwitchCue, int]]:
    """Each cue that counts, and the first token after it."""
    scanner = EveryCueScanner(cues)
    feed = scanner.feed
    for index, text in enumerate(tokens):
        feed(text)
        if scanner.found:
            for match in scanner.found:
                yield match.cue, index if match.confirmed else index + 1
            scanner.found = []


def _read(tokens: Texts) -> tuple[list[int], list[int]]:
    """Offsets of the sentence ends, and of the words that open a sentence."""
    segmenter = SentenceSegmenter()
    feed = segmenter.feed
    ends: list[int] = []
    openings: list[int] = []
    words = segmenter.words
    for text in tokens:
        ends += feed(text)
        if segmenter.words is not words:  # not merely skipped
            words = segmenter.words
            openings += [offset for offset, opens in words if opens]
    ends += segmenter.finish()
    return ends, openings


def _offsets(tokens: Texts) -> list[int]:
    """The end of each token in the text."""
    return np.cumsum([len(text) for text in tokens]).tolist() if tokens else []


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
