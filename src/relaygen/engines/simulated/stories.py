"""Texts in the manner of a reasoning model, a function of a number: cues, sums, ``</think>``."""

from __future__ import annotations

from random import Random

_OPENERS = ("So,", "Thus,", "Now,", "Therefore,", "Next,", "Hmm,", "Wait,", "First,", "Then")
_PLAIN = ("The number", "That sum", "This value", "Each box", "The whole row", "It")
_VERBS = ("is", "gives", "becomes", "makes", "leaves", "adds up to")
_TAILS = ("", " in all", " at last", " again", ", as above", " (with no rest)", ", naïvely", " 😀")


def story(seed: int, *, sentences: int = 24) -> str:
    """A reasoning of some `sentences`, its end tag, and an answer.

    The reasoning is to follow a prompt that ends inside ``<think>``.
    """
    draw = Random(seed)
    reasoning = [_sentence(draw) for _ in range(max(1, sentences))]
    total = draw.randrange(1000)
    text = ""
    for sentence in reasoning:
        text += sentence + ("\n\n" if draw.random() < 0.2 else " ")
    return f"{text.rstrip()}\n</think>\n\nThe answer is {total}. {_sentence(draw)}"


def _sentence(draw: Random) -> str:
    opener = draw.choice(_OPENERS) + " " if draw.random() < 0.5 else ""
    subject = draw.choice(_PLAIN)
    subject = subject[0].lower() + subject[1:] if opener else subject
    left, right = draw.randrange(100), draw.randrange(100)
    what = draw.choice(("{a} + {b} = {c}", "{c}", "$x = {c}$", "{a}.5"))
    said = what.format(a=left, b=right, c=left + right)
    return f"{opener}{subject} {draw.choice(_VERBS)} {said}{draw.choice(_TAILS)}."
