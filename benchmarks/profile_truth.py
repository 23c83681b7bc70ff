"""Which sentences of the embedded pair are easy, as its training texts were made; and their openers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relaygen import demo_models
from relaygen.profiling.sentences import find_sentences, reasoning_texts
from relaygen.profiling.trajectories import Trajectories
from relaygen.relay.cues import SwitchCue
from relaygen.tokens import Tokenizer

AMBIGUOUS = ("Then,", "Alright,")
DECOYS = ("Wait,", "Hmm,", "Let me see,", "First,", "Next,")
LISTED = tuple(SwitchCue(text=t) for t in (*demo_models.cues(), *AMBIGUOUS, *DECOYS))

_HARD_WORDS = (
    "that adds",
    "this makes",
    "add here",
    "a plus",
    "also adds",
    "that takes",
    "subtract",
    "a minus",
    "now some go",
    "that multiplies",
    "a product",
    "multiply",
    "is times",
    "now it grows",
    "that divides",
    "a quotient",
    "divide here",
    "a share",
    "now it is split",
    "compares the two",
    "a difference is asked",
    "need the gap",
    "asks to compare",
    "so i skip",
    "changes nothing",
    "does not matter",
    "it is not about",
    "nothing else happens",
    "the last change",
    "i know all",
    "story is over",
    "look at the start",
)
"""What hard sentences say, of whatever opener: the words of `training.traces`."""


def is_easy(sentence: str) -> bool:
    """Whether a sentence is of an easy kind, by what it says."""
    said = sentence.lower()
    return not any(words in said for words in _HARD_WORDS)


def truth(found: Trajectories, tokenizer: Tokenizer) -> tuple[dict[str, list[int]], list[bool]]:
    """Of every sentence of all trajectories: whether it is easy; and its opener's text."""
    texts = reasoning_texts(found, tokenizer)
    sentences = find_sentences(texts)
    easy, by_opener = [], dict[str, list[int]]()
    for i, (text, start, stop) in enumerate(
        zip(sentences.text, sentences.start, sentences.stop, strict=True)
    ):
        easy.append(is_easy("".join(texts[text][start:stop])))
        for opener in (*demo_models.cues(), *AMBIGUOUS, *DECOYS):
            if sentences.head[i].startswith(opener):
                by_opener.setdefault(opener, []).append(i)
    return by_opener, easy


def easy_by_opener(sets: Sequence[Trajectories], tokenizer: Tokenizer) -> dict[str, Any]:
    """How many sentences of all sets each opener has, and the share that is easy."""
    kinds: dict[str, list[bool]] = {}
    for found in sets:
        by_opener, easy = truth(found, tokenizer)
        for opener, rows in by_opener.items():
            kinds.setdefault(opener, []).extend(easy[i] for i in rows)
    return {
        opener: {"sentences": len(found), "easy": round(float(np.mean(found)), 4)}
        for opener, found in kinds.items()
    }
