from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relaygen.errors import TokenizerMismatchError
from relaygen.tokens import PRE_TOKENIZERS, Fingerprint, Tokenizer, compare, shared_ids
from relaygen.tokens.probe import PROBE_TEXT
from tests.tokens.tiny_models import train, write_gguf, write_json


def of_json(folder: Path, described: str) -> Fingerprint:
    return Fingerprint.of(Tokenizer.load(write_json(folder, described)))


@pytest.mark.parametrize("pre", sorted(PRE_TOKENIZERS))
def test_equal_for_both_files_of_a_model(pre: str, tmp_path: Path) -> None:
    from_json = of_json(tmp_path / "m", train(pre))
    from_gguf = Fingerprint.of(Tokenizer.load(write_gguf(tmp_path / "m.gguf", train(pre), pre=pre)))
    assert from_json.hexdigest == from_gguf.hexdigest
    compare(from_json, from_gguf)


def test_padding_of_the_vocabulary_does_not_count(tmp_path: Path) -> None:
    one, other = (
        Fingerprint.of(Tokenizer.load(write_gguf(tmp_path / f"{n}.gguf", train(), padding=n)))
        for n in (0, 65)
    )
    compare(one, other)
    assert shared_ids(one, other) == one.entries.keys()


def changed(change: Callable[[dict[str, Any]], None]) -> str:
    described = json.loads(train())
    change(described)
    return json.dumps(described)


def test_a_changed_merge_is_named(tmp_path: Path) -> None:
    def drop(described: dict[str, Any]) -> None:
        described["model"]["merges"].pop(0)

    original = of_json(tmp_path / "a", train())
    with pytest.raises(TokenizerMismatchError, match=r"token \d+ of the probe text.*merges"):
        compare(original, of_json(tmp_path / "b", changed(drop)))


def test_a_changed_special_flag_is_named(tmp_path: Path) -> None:
    def flag(described: dict[str, Any]) -> None:
        next(t for t in described["added_tokens"] if t["content"] == "<think>")["special"] = True

    one, other = of_json(tmp_path / "a", train()), of_json(tmp_path / "b", changed(flag))
    with pytest.raises(
        TokenizerMismatchError, match=r"'<think>' \(not special\).*'<think>' \(special\)"
    ):
        compare(one, other)
    think = next(i for i, entry in one.entries.items() if entry.data == b"<think>")
    assert think not in shared_ids(one, other)


def test_a_changed_token_is_named(tmp_path: Path) -> None:
    def rename(described: dict[str, Any]) -> None:
        next(t for t in described["added_tokens"] if t["content"] == "<think>")["content"] = "<hmm>"

    original = of_json(tmp_path / "a", train())
    with pytest.raises(TokenizerMismatchError, match=r"id \d+ is '<think>'.*'<hmm>'"):
        compare(original, of_json(tmp_path / "b", changed(rename)))


def test_another_pre_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerMismatchError, match="pre-tokenizers differ"):
        compare(
            Fingerprint.of(
                Tokenizer.load(write_gguf(tmp_path / "a.gguf", train("llama3"), pre="llama3"))
            ),
            Fingerprint.of(Tokenizer.load(write_gguf(tmp_path / "b.gguf", train("llama3")))),
        )


def test_an_entry_that_only_one_has_is_named(tmp_path: Path) -> None:
    def add(described: dict[str, Any]) -> None:
        last = described["added_tokens"][-1]
        described["added_tokens"].append(last | {"id": last["id"] + 1, "content": "<new>"})

    original = of_json(tmp_path / "a", train())
    with pytest.raises(TokenizerMismatchError, match=r"no entry in the first and '<new>'"):
        compare(original, of_json(tmp_path / "b", changed(add)))


def test_the_probe_does_not_depend_on_normalisation() -> None:
    assert unicodedata.is_normalized("NFC", PROBE_TEXT)
    assert 3_500 < len(PROBE_TEXT.encode()) < 5_000
