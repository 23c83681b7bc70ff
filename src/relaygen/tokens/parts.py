"""What a tokenizer is made of, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import tokenizers

from relaygen.tokens.pieces import PieceStyle, is_markup

END_TEXTS = frozenset(
    {
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<end_of_turn>",
        "<end_of_utterance>",
        "<｜end▁of▁sentence｜>",
        "<EOT>",
        "[EOT]",
        "[EOS]",
        "[e~[",
    }
)
"""Special tokens that end a turn in every family that has them; used where a model's files do not
list its end-of-sequence ids. Source: llama.cpp, ``llama-vocab.cpp``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedEntry:
    """An entry that is matched in the text as a whole, before any merging.

    Attributes:
        text: what it matches and what it stands for.
        special: control token or not, see `relaygen.tokens.pieces.is_special`.
        lstrip: it swallows white space to its left.
        rstrip: it swallows white space to its right.
    """

    text: str
    special: bool
    lstrip: bool = False
    rstrip: bool = False

    @property
    def markup(self) -> bool:
        """Whether it stands for structure, not for text."""
        return is_markup(self.text, self.special)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerParts:
    """The outcome of reading a file.

    Attributes:
        origin: name for messages.
        backend: the `tokenizers` object, without padding and truncation.
        style: how ordinary pieces spell bytes.
        vocab_size: one more than the largest id, padding included.
        pieces: id to piece of every entry that is neither padding nor unused.
        added: id to the added entries among them.
        eos_ids: ids that end a sequence.
        bos_id: the beginning-of-sequence token, or None.
        add_bos: whether every prompt starts with it.
        chat_template: Jinja source, or None.
        special_tokens: name (``eos_token``) to text, as chat templates expect them.
    """

    origin: str
    backend: tokenizers.Tokenizer = field(repr=False)
    style: PieceStyle
    vocab_size: int
    pieces: Mapping[int, str] = field(repr=False)
    added: Mapping[int, AddedEntry] = field(repr=False)
    eos_ids: frozenset[int]
    bos_id: int | None
    add_bos: bool
    chat_template: str | None = field(repr=False)
    special_tokens: Mapping[str, str]


def end_ids_by_text(added: Mapping[int, AddedEntry]) -> frozenset[int]:
    """Ids of the special entries whose text is a well-known end of sequence."""
    return frozenset(i for i, entry in added.items() if entry.special and entry.text in END_TEXTS)
