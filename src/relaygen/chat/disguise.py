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
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from relaygen.chat.messages import private_chars, unused_chars


class DisguisedMarkup:
    """What must be kept apart for one template and tokenizer, worked out once."""

    def __init__(self, markup: Collection[str], source: str) -> None:
        """Takes what no request changes.

        Args:
            markup: the texts that must not be taken from messages.
            source: of the template.
        """
        self._edges = sorted(
            {edge for text in markup for edge in text[:1] + text[-1:] if _is_mark(edge)}
        )
        # Markup that begins and ends with letters: exchanging those everywhere would garble words.
        words = sorted(
            (text for text in markup if text and not (_is_mark(text[0]) or _is_mark(text[-1]))),
            key=len,
            reverse=True,
        )
        self._letters = sorted({word[0] for word in words})
        self._words = re.compile("|".join(map(re.escape, words))) if words else None
        self._taken = private_chars(source)

    def disguise(self, data: Any) -> Disguise:
        """A fresh exchange for one rendering; `data`: everything that goes into it."""
        count = len(self._edges) + len(self._letters) + 1
        private = unused_chars(data, count, self._taken)
        end = private.pop()
        edges, letters = private[: len(self._edges)], private[len(self._edges) :]
        return Disguise(
            end=end,
            edges=dict(zip(self._edges, edges, strict=True)),
            letters=dict(zip(self._letters, letters, strict=True)),
            words=self._words,
        )


class Disguise:
    """The exchange for one rendering."""

    def __init__(
        self,
        *,
        end: str,
        edges: Mapping[str, str],
        letters: Mapping[str, str],
        words: re.Pattern[str] | None,
    ) -> None:
        """Takes private characters, which occur nowhere in what is rendered.

        Args:
            end: for the end of a message that is to be continued.
            edges: the character for each edge of markup.
            letters: the character for each first letter of a word of `words`.
            words: markup that begins and ends with letters.
        """
        self.end = end
        self._hidden = str.maketrans(dict(edges))
        self._letters = letters
        self._words = words
        self._shown = str.maketrans(
            {hidden: edge for edge, hidden in edges.items()}
            | {hidden: letter for letter, hidden in letters.items()}
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
