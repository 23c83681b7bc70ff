"""Where words begin and end, one character to either side."""

from __future__ import annotations

import unicodedata
from typing import Final

# Between two letters these hold a word together: "so-called", "now's", "x.now", "and/or".
_JOINERS: Final = frozenset("'’-‐‑_./")
# A name that follows one of these is a command or a tag, no word: "\now", "#now".
_SIGILS: Final = frozenset("\\@#$")


def is_word_char(char: str) -> bool:
    """Letters and digits of any script, and the marks that combine with them."""
    return char.isalnum() or (char > "\x7f" and unicodedata.category(char)[0] == "M")


def is_unspaced(char: str) -> bool:
    """Han and kana: scripts in which a word may begin and end between any two characters."""
    return "\u2e80" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or char >= "\U00020000"


def joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return (
        is_word_char(left)
        and is_word_char(right)
        and not is_unspaced(left)
        and not is_unspaced(right)
    )


def begins_word(char: str, previous: str, before_previous: str) -> bool:
    """Whether a word begins with the letter `char`; ``""`` stands for the start of the text."""
    if not char.isalpha():
        return False
    if not previous:
        return True
    if previous in _SIGILS or joined(previous, char):
        return False
    return not (previous in _JOINERS and before_previous != "" and joined(before_previous, char))


def goes_on(last: str, following: str) -> bool:
    """Whether the word that ends in `last` goes on in `following` (not empty)."""
    if joined(last, following[0]):
        return True
    return (
        following[0] in _JOINERS
        and len(following) > 1
        and following[1].isalpha()
        and joined(last, following[1])
    )
