"""What one entry of a vocabulary stands for: its bytes, and whether it is markup.

Source: the byte map is GPT-2's (``bytes_to_unicode``); the pieces with U+2581 and ``<0x0A>`` are
SentencePiece's.
"""

from __future__ import annotations

import re
from enum import Enum

from relaygen.errors import TokenizerError


class PieceStyle(Enum):
    """How the pieces of a vocabulary spell bytes."""

    BYTE_LEVEL = "byte-level BPE"
    SENTENCEPIECE = "SentencePiece"


def _byte_map() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    moved = {chr(256 + index): byte for index, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | moved


BYTE_OF_CHAR = _byte_map()
"""Character of a byte-level piece -> the byte it stands for; all 256 of them."""

CHAR_OF_BYTE = {byte: char for char, byte in BYTE_OF_CHAR.items()}
"""The other way round."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|<pad>|<mask>|<unused\d+>", re.DOTALL)
_BRACKETED = re.compile(r"<.+>|\[.+\]|◁.+▷", re.DOTALL)


def piece_bytes(piece: str, style: PieceStyle) -> bytes:
    """The UTF-8 bytes that an ordinary (not added) piece adds to the text.

    A byte-level piece with a character outside the byte map stands for its own text, as in the
    `tokenizers` library.
    """
    if style is PieceStyle.BYTE_LEVEL:
        try:
            return bytes([BYTE_OF_CHAR[char] for char in piece])
        except KeyError:
            return piece.encode("utf-8")
    match = _BYTE_PIECE.fullmatch(piece)
    if match:
        return bytes.fromhex(match.group(1))
    return piece.replace("\u2581", " ").encode("utf-8")


def spell(text: str, style: PieceStyle) -> list[str]:
    """The one-byte pieces that spell `text` with nothing merged.

    Raises:
        TokenizerError: the style has no such pieces.
    """
    if style is not PieceStyle.BYTE_LEVEL:
        raise TokenizerError(f"the text {text!r} cannot be spelled byte by byte in {style.value}")
    return [CHAR_OF_BYTE[byte] for byte in text.encode("utf-8")]


def is_special(text: str, flagged: bool) -> bool:
    """Whether an added entry is special, by its flag or by its look.

    The look counts because the converters to GGUF mark entries such as ``<|fim_prefix|>`` as
    control tokens although ``tokenizer.json`` does not flag them; without this the two files of
    one model would differ.

    Source: llama.cpp's ``convert_hf_to_gguf.py``, ``does_token_look_special``.
    """
    return flagged or _LOOKS_SPECIAL.fullmatch(text) is not None


def is_markup(text: str, special: bool) -> bool:
    """Whether an added entry stands for structure (``<think>``, ``[INST]``), not for text.

    Runs of blanks and the like are text, although some vocabularies list them as added entries.
    """
    return special or _BRACKETED.fullmatch(text) is not None


def is_padding(text: str, token_id: int) -> bool:
    """Whether an entry only fills the vocabulary up to the number of embedding rows."""
    return text == f"[PAD{token_id}]"
