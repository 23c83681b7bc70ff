"""Keeps text from messages apart from the template's own markup while a template renders.

A user may write ``<|im_end|>`` or ``<think>``. In the rendered text nobody could tell it from the
template's, even where it is put together from two fields. So before rendering, the characters at the
edges of all markup (``<``, ``>``, ``[`` ...) are exchanged in every string from outside for private
characters that occur nowhere else, one for one. Templates see strings of the same length with the
same blanks and letters; markup whose edges were exchanged cannot be markup any more. After the
rendering, `Disguise.reveal` puts the characters back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from relaygen.chat.messages import unused_chars


class Disguise:
    """The exchange for one rendering."""

    def __init__(self, markup: Collection[str], data: Any) -> None:
        """Chooses private characters that occur neither in `data` nor twice.

        Args:
            markup: the texts that must not be taken from messages.
            data: everything that goes into the rendering, the template's source included.
        """
        edges = sorted({edge for text in markup for edge in text[:1] + text[-1:] if _is_mark(edge)})
        # Markup that begins and ends with letters: exchanging those everywhere would garble words.
        words = sorted(
            (text for text in markup if text and not (_is_mark(text[0]) or _is_mark(text[-1]))),
            key=len,
            reverse=True,
        )
        letters = sorted({word[0] for word in words})
        private = unused_chars(data, len(edges) + len(letters) + 1)
        self.end = private.pop()
        """A further private character, for the end of a message that is to be continued."""
        self._hidden = str.maketrans(dict(zip(edges, private, strict=False)))
        self._letters = dict(zip(letters, private[len(edges) :], strict=False))
        self._words = re.compile("|".join(map(re.escape, words))) if words else None
        self._shown = str.maketrans(
            {hidden: chr(code) for code, hidden in self._hidden.items()}
            | {hidden: letter for letter, hidden in self._letters.items()}
        )

    def hide(self, value: Any, keep: Iterable[str] = ()) -> Any:
        """Exchanges the edges in every string of JSON-like data, keys included.

        Args:
            value: the data; it is copied.
            keep: texts that stay as they are.
        """
        if isinstance(value, str):
            return self._hide_text(value, tuple(keep))
        if isinstance(value, dict):
            return {self.hide(key, keep): self.hide(item, keep) for key, item in value.items()}
        if isinstance(value, list):
            return [self.hide(item, keep) for item in value]
        return value

    def reveal(self, text: str) -> str:
        """Puts the characters back."""
        return text.translate(self._shown)

    def _hide_text(self, text: str, keep: tuple[str, ...]) -> str:
        if not keep:
            hidden = text
            if self._words is not None:
                hidden = self._words.sub(lambda m: self._letters[m[0][0]] + m[0][1:], text)
            return hidden.translate(self._hidden)
        parts = re.split("(" + "|".join(map(re.escape, keep)) + ")", text)
        return "".join(
            part if index % 2 else self._hide_text(part, ()) for index, part in enumerate(parts)
        )


def _is_mark(char: str) -> bool:
    return not char.isalnum()
