"""Builds a tokenizer from the metadata of a GGUF file."""

from __future__ import annotations

import tokenizers
from tokenizers import AddedToken, decoders, models

from relaygen.errors import ModelLoadError, TokenizerError
from relaygen.tokens.gguf import GGUFFile
from relaygen.tokens.parts import AddedEntry, TokenizerParts, end_ids_by_text
from relaygen.tokens.pieces import PieceStyle, is_padding, is_special
from relaygen.tokens.pretokenizers import PRE_TOKENIZERS, PreTokenizer

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 1, 2, 3, 4, 5
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
_NAMED = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id"}
_INSTEAD = "use the model's tokenizer.json, or a GGUF file of another model"


def parts_from_gguf(file: GGUFFile) -> TokenizerParts:
    """Reads the ``tokenizer.ggml.*`` keys.

    Raises:
        TokenizerError: the kind of tokenizer or its pre-tokenizer is not supported.
        ModelLoadError: the keys contradict each other.
    """
    rule = _rule(file)
    texts = file.strings("tokenizer.ggml.tokens")
    types = file.integers("tokenizer.ggml.token_type") or [_NORMAL] * len(texts)
    if not texts or len(types) != len(texts):
        raise ModelLoadError(
            f"{file.path.name}: it has {len(texts)} tokens and {len(types)} token types; "
            "convert the model again"
        )
    pieces = {
        token_id: text
        for token_id, (text, kind) in enumerate(zip(texts, types, strict=True))
        if kind != _UNUSED and text and not is_padding(text, token_id)
    }
    added = {
        token_id: AddedEntry(text=text, special=is_special(text, types[token_id] != _USER_DEFINED))
        for token_id, text in pieces.items()
        if types[token_id] in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    }
    bos_id = _checked_id(file, "bos_token_id", pieces)
    add_bos = file.boolean("tokenizer.ggml.add_bos_token")
    return TokenizerParts(
        origin=file.path.name,
        backend=_backend(file, rule, pieces, added),
        style=PieceStyle.BYTE_LEVEL,
        vocab_size=len(texts),
        pieces=pieces,
        added=added,
        eos_ids=_end_ids(file, pieces) | end_ids_by_text(added),
        bos_id=bos_id,
        add_bos=bos_id is not None and (rule.add_bos if add_bos is None else add_bos),
        chat_template=file.chat_template,
        special_tokens=_special_tokens(file, pieces),
    )


def _rule(file: GGUFFile) -> PreTokenizer:
    kind = file.string("tokenizer.ggml.model")
    if kind is None:
        raise TokenizerError(f"{file.path.name}: it has no tokenizer; {_INSTEAD}")
    if kind != "gpt2":
        raise TokenizerError(
            f"{file.path.name}: its tokenizer is of the kind {kind!r}, and only 'gpt2' (byte-level "
            f"BPE) is read from GGUF; {_INSTEAD}"
        )
    name = file.string("tokenizer.ggml.pre")
    if name not in PRE_TOKENIZERS:
        raise TokenizerError(
            f"{file.path.name}: its pre-tokenizer {name!r} is not known here (known: "
            f"{', '.join(sorted(PRE_TOKENIZERS))}); {_INSTEAD}"
        )
    return PRE_TOKENIZERS[name]


def _backend(
    file: GGUFFile, rule: PreTokenizer, pieces: dict[int, str], added: dict[int, AddedEntry]
) -> tokenizers.Tokenizer:
    vocab: dict[str, int] = {}
    for token_id, text in pieces.items():
        if text in vocab:
            raise ModelLoadError(
                f"{file.path.name}: the token {text!r} has the ids {vocab[text]} and {token_id}; "
                "convert the model again"
            )
        vocab[text] = token_id
    merges = [_merge(file, line) for line in file.strings("tokenizer.ggml.merges")]
    try:
        model = models.BPE(vocab=vocab, merges=merges, ignore_merges=rule.ignore_merges)
    except Exception as error:  # the library raises plain Exception for a merge of unknown pieces
        raise ModelLoadError(
            f"{file.path.name}: its merges do not fit its tokens ({error}); convert the model again"
        ) from error
    backend = tokenizers.Tokenizer(model)
    if rule.nfc:
        backend.normalizer = rule.normalizer()
    backend.pre_tokenizer = rule.build()
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(
        [AddedToken(e.text, special=e.special, normalized=False) for e in added.values()]
    )
    return backend


def _merge(file: GGUFFile, line: str) -> tuple[str, str]:
    # A piece may itself begin with a blank only in damaged files; llama.cpp, too, looks from 1 on.
    at = line.find(" ", 1)
    if at < 0 or at == len(line) - 1:
        raise ModelLoadError(
            f"{file.path.name}: the merge {line!r} is not two pieces; convert the model again"
        )
    return line[:at], line[at + 1 :]


def _checked_id(file: GGUFFile, key: str, pieces: dict[int, str]) -> int | None:
    token_id = file.integer(f"tokenizer.ggml.{key}")
    return token_id if token_id in pieces else None


def _end_ids(file: GGUFFile, pieces: dict[int, str]) -> frozenset[int]:
    found = (_checked_id(file, key, pieces) for key in _END_KEYS)
    return frozenset(token_id for token_id in found if token_id is not None)


def _special_tokens(file: GGUFFile, pieces: dict[int, str]) -> dict[str, str]:
    ids = {name: _checked_id(file, key, pieces) for name, key in _NAMED.items()}
    return {name: pieces[token_id] for name, token_id in ids.items() if token_id is not None}
