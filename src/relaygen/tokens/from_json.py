"""Builds a tokenizer from ``tokenizer.json`` and the files that lie beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from relaygen.errors import TokenizerError
from relaygen.tokens.parts import AddedEntry, TokenizerParts, end_ids_by_text
from relaygen.tokens.pieces import PieceStyle, is_padding, is_special

_AGAIN = "download the model's files again"


def parts_from_json(path: Path) -> TokenizerParts:
    """Reads ``tokenizer.json``; `path` is the file or the folder of a model.

    Raises:
        TokenizerError: a file is missing, damaged, or of a kind that has no bytes for its pieces.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise TokenizerError(
            f"{file}: there is no such file; give a tokenizer.json, the folder of a model, or a "
            ".gguf file"
        )
    try:
        backend = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for whatever it cannot parse
        raise TokenizerError(f"{file}: not a tokenizer.json ({error}); {_AGAIN}") from error
    backend.no_padding()
    backend.no_truncation()
    config, generation, model = (
        _read_object(file.with_name(name))
        for name in ("tokenizer_config.json", "generation_config.json", "config.json")
    )
    added = {
        token_id: AddedEntry(
            text=token.content,
            special=is_special(token.content, token.special),
            lstrip=token.lstrip,
            rstrip=token.rstrip,
        )
        for token_id, token in backend.get_added_tokens_decoder().items()
    }
    ids = backend.get_vocab(with_added_tokens=True)
    names = _special_tokens(config)
    bos_id = ids.get(names.get("bos_token", ""))
    return TokenizerParts(
        origin=file.parent.name if file.name == "tokenizer.json" else file.name,
        backend=backend,
        style=_style(file, backend),
        vocab_size=max(ids.values(), default=-1) + 1,
        pieces={i: text for text, i in ids.items() if not is_padding(text, i)},
        added=added,
        eos_ids=_end_ids(generation, model, ids.get(names.get("eos_token", "")))
        or end_ids_by_text(added),
        bos_id=bos_id,
        add_bos=_adds_bos(backend, config, bos_id),
        chat_template=_chat_template(file, config),
        special_tokens=names,
    )


def _read_object(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TokenizerError(f"{file}: not JSON ({error}); {_AGAIN}") from error
    if not isinstance(value, dict):
        raise TokenizerError(f"{file}: it holds no JSON object; {_AGAIN}")
    return value


def _style(file: Path, backend: tokenizers.Tokenizer) -> PieceStyle:
    state = backend.decoder.__getstate__() if backend.decoder is not None else b"null"
    decoder = state.decode("utf-8")
    if '"ByteLevel"' in decoder:
        return PieceStyle.BYTE_LEVEL
    if '"ByteFallback"' in decoder or '"Metaspace"' in decoder:
        return PieceStyle.SENTENCEPIECE
    raise TokenizerError(
        f"{file}: its decoder ({decoder[:80]}) is neither byte-level nor SentencePiece's, so the "
        "bytes of its pieces are not known; use a model with one of these"
    )


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        value = config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            names[name] = text
    return names


def _end_ids(
    generation: Mapping[str, Any], model: Mapping[str, Any], named: int | None
) -> frozenset[int]:
    found: set[int] = set() if named is None else {named}
    for config in (generation, model):
        value = config.get("eos_token_id")
        for token_id in value if isinstance(value, list) else [value]:
            if isinstance(token_id, int) and not isinstance(token_id, bool):
                found.add(token_id)
    return frozenset(found)


def _adds_bos(backend: tokenizers.Tokenizer, config: Mapping[str, Any], bos_id: int | None) -> bool:
    if bos_id is None:
        return False
    said = config.get("add_bos_token")
    if isinstance(said, bool):
        return said
    return backend.encode("a", add_special_tokens=True).ids[:1] == [bos_id]


def _chat_template(file: Path, config: Mapping[str, Any]) -> str | None:
    beside = file.with_name("chat_template.jinja")
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    value = config.get("chat_template")
    if isinstance(value, list):
        named = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None
