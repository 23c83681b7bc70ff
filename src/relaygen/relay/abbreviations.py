"""Punctuation that ends no sentence, told from the text before it alone.

Looking back only keeps the decision free of what comes later, which a stream does not have yet.
"""

from __future__ import annotations

import re
from typing import Final

LOOKBACK: Final = 48
"""Characters before a full stop that may decide about it."""

# "etc." is left out on purpose: in real reasoning traces it ends its sentence 85 times of 89.
_TITLES: Final = (
    "Dr Mr Mrs Ms Prof St Mt Sr Jr Gov Gen Sen Rep Rev Hon Capt Lt Col Sgt Dept Inc Ltd Corp"
)
_MONTHS: Final = "Jan Feb Apr Aug Sep Sept Oct Nov Dec"
_REFERENCES: Final = (
    "Fig Figs fig figs Eq Eqs eq eqs Eqn Eqns eqn eqns "
    "Thm Lem Def Prop Cor Sec Ch Vol Ref Refs Nos Ex pp al"
)
_LATIN: Final = "vs cf Cf resp Resp approx Approx ca viz incl esp"
_ABBREVIATIONS: Final = frozenset(f"{_TITLES} {_MONTHS} {_REFERENCES} {_LATIN}".split())
# "e.g", "i.e", "w.r.t", "U.S", "p.m"
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_LEADING: Final = "([{\"'“‘*_-–—/"
_FACTORIAL_ENDS: Final = frozenset(")]}")


def is_abbreviation(before: str, first_word: bool) -> bool:
    """Whether the full stop after `before` belongs to an abbreviation, an initial or an ellipsis.

    Args:
        before: the text up to the full stop, at most `LOOKBACK` characters of it.
        first_word: the word that it follows is the first of its sentence.
    """
    if not before or before[-1].isspace():
        return False
    if before[-1] in ".…":
        return True
    words = before.split()
    word = words[-1].lstrip(_LEADING)
    if word in _ABBREVIATIONS or _DOTTED.fullmatch(word):
        return True
    if len(word) != 1 or not word.isupper():
        return False
    # "J. Smith" and "George W. Bush" hold initials; "at point A. So" ends a sentence.
    return first_word or (len(words) > 1 and words[-2].rstrip(".").istitle())


def is_factorial(before: str) -> bool:
    """Whether the exclamation mark after `before` is a factorial: "5!", "n!", "(n-1)!"."""
    last = before[-1:]
    if last.isdigit() or last in _FACTORIAL_ENDS:
        return True
    return last.isalpha() and not (before[-2:-1].isalpha() or before[-2:-1] in {"'", "’"})
