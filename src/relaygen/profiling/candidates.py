"""Candidates for cues: how sentences open, in whatever language.

An opener is the first one, two or three words of a sentence, each with the comma after it or
without. In scripts that put no spaces between words it is the first one to four characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from relaygen.errors import CueProfileError
from relaygen.profiling.sentences import Sentences
from relaygen.profiling.trajectories import Ints
from relaygen.relay.cues import SwitchCue
from relaygen.relay.words import is_unspaced, is_word_char

MAX_WORDS: Final = 3
_MAX_CHARS: Final = 4
_COMMAS: Final = frozenset(",，、،")
_INSIDE: Final = frozenset("'’-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """How sentences open.

    Attributes:
        text: the opener.
        count: sentences that it opens.
        questions: distinct questions among them.
        given: somebody listed it; it was not (only) discovered.
    """

    text: str
    count: int
    questions: int
    given: bool = False

    @property
    def words(self) -> int:
        """How many there are in it."""
        return len(self.text.split())


def openers(head: str) -> Iterator[str]:
    """All openers of a sentence that begins like this, the shortest first.

    Example:
        ```python
        from relaygen.profiling.candidates import openers

        assert list(openers("So, we add 3.")) == ["So", "So,", "So, we", "So, we add"]
        ```
    """
    if head and is_unspaced(head[0]):
        yield from _characters(head)
        return
    taken = ""
    for word in head.split()[:MAX_WORDS]:
        core, comma = (word[:-1], word[-1]) if word[-1] in _COMMAS else (word, "")
        if core[-1:] in ".!?:;":  # the sentence ends with it, or goes on after a colon
            core, comma = core.rstrip(".!?:;"), "end"
        if not _is_word(core):
            return
        taken = f"{taken} {core}" if taken else core
        yield taken
        if comma == "end":
            return
        if comma:
            taken += comma
            yield taken


def discover(
    sentences: Sentences, question_of: Ints, *, min_count: int, min_questions: int, most: int = 200
) -> list[Candidate]:
    """The openers with enough sentences and questions, the most frequent first.

    One that says nothing new is left out: a shorter form with the comma left away that never
    occurs otherwise, and words that always follow the same opener.

    Args:
        sentences: of all trajectories.
        question_of: of shape (texts,): index of each text's question.
        min_count: fewest sentences.
        min_questions: fewest distinct questions.
        most: largest number of candidates.
    """
    counts = count_openers(sentences, question_of)
    enough = {t: c for t, c in counts.items() if c[0] >= min_count and c[1] >= min_questions}
    kept = [
        Candidate(text=text, count=count, questions=questions)
        for text, (count, questions) in enough.items()
        if not _says_nothing_new(text, count, enough) and is_cue(text)
    ]
    kept.sort(key=lambda c: (-c.count, c.text))
    return kept[:most]


def given_candidates(
    texts: Iterable[str], sentences: Sentences, question_of: Ints
) -> list[Candidate]:
    """Listed cues as candidates, whether or not they occur."""
    counts = count_openers(sentences, question_of)
    found = [(text, counts.get(text.rstrip(), (0, 0))) for text in dict.fromkeys(texts)]
    return [
        Candidate(text=text, count=count, questions=questions, given=True)
        for text, (count, questions) in found
    ]


def count_openers(sentences: Sentences, question_of: Ints) -> dict[str, tuple[int, int]]:
    """(sentences, distinct questions) of every opener."""
    question = question_of[sentences.text]
    order = np.argsort(question, kind="stable")
    found: dict[str, list[int]] = {}  # sentences, questions, the last question
    memory: dict[str, tuple[str, ...]] = {}
    for index, asked in zip(order.tolist(), question[order].tolist(), strict=True):
        head = sentences.head[index]
        texts = memory.get(head)
        if texts is None:
            texts = memory[head] = tuple(openers(head))
        for text in texts:
            entry = found.get(text)
            if entry is None:
                found[text] = [1, 1, asked]
            else:
                entry[0] += 1
                if entry[2] != asked:
                    entry[1] += 1
                    entry[2] = asked
    return {text: (count, questions) for text, (count, questions, _) in found.items()}


def is_cue(text: str) -> bool:
    """Whether the matcher can match it."""
    try:
        SwitchCue(text=text)
    except CueProfileError:
        return False
    return True


def _says_nothing_new(text: str, count: int, counts: dict[str, tuple[int, int]]) -> bool:
    commas = (f"{text}{comma}" for comma in _COMMAS)
    if any(counts.get(longer, (0, 0))[0] == count for longer in commas):
        return True
    shorter = _before(text)
    while shorter:
        if counts.get(shorter, (0, 0))[0] == count:
            return True
        shorter = _before(shorter)
    return False


def _before(text: str) -> str:
    """The text without its last word, with the comma before that."""
    if is_unspaced(text[0]):
        return text[:-1] if text[-1] not in _COMMAS else ""
    return text.rpartition(" ")[0]


def _characters(head: str) -> Iterator[str]:
    for length, char in enumerate(head[: _MAX_CHARS + 1]):
        if char in _COMMAS:
            if length:
                yield head[: length + 1]
            return
        if length == _MAX_CHARS or not is_unspaced(char) or not char.isalpha():
            return
        yield head[: length + 1]


def _is_word(core: str) -> bool:
    return bool(core) and core[0].isalpha() and all(is_word_char(c) or c in _INSIDE for c in core)


def texts_of(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """The texts of candidates, in order."""
    return tuple(candidate.text for candidate in candidates)
