"""Small tokenizers in both file formats, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from relaygen.tokens.pretokenizers import PRE_TOKENIZERS

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PLAIN = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|fim_prefix|>")

_CORPUS = [
    "So, the answer is 42. Thus we know that it is so. I'm sure it isn't.\n\n",
    "Therefore 12 apples and 345 pears, now 1234567 in all.  def add(a, b):\n    return a + b\n",
    "你好，世界。因此答案是。 Привет мир. naïve café 😀😀 [INST] think im_start end|> <| </ ",
    "think im_start im_end endoftext tool_call user assistant system\n",
] * 20


@cache
def train(pre: str = "qwen2", size: int = 600) -> str:
    """The ``tokenizer.json`` of a small byte-level BPE."""
    rule = PRE_TOKENIZERS[pre]
    tokenizer = Tokenizer(models.BPE(ignore_merges=rule.ignore_merges))
    if rule.nfc:
        tokenizer.normalizer = rule.normalizer()
    tokenizer.pre_tokenizer = rule.build()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in PLAIN])
    return tokenizer.to_str()


def write_json(
    folder: Path, described: str, config: Mapping[str, Any] | None = None, **files: Any
) -> Path:
    """Writes a model's folder; `files` are further JSON files by stem."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(described, encoding="utf-8")
    default = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    for name, value in {"tokenizer_config": default if config is None else config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def write_gguf(
    path: Path,
    described: str,
    *,
    pre: str = "qwen2",
    padding: int = 0,
    template: str | None = None,
    special: Sequence[str] = (*SPECIAL, "<|fim_prefix|>"),
    model: str = "gpt2",
    tensors: bool = True,
) -> Path:
    """Writes a GGUF file the way llama.cpp's converter does."""
    parsed = json.loads(described)
    texts = {i: text for text, i in parsed["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in parsed["added_tokens"]}
    texts |= added
    size = max(texts) + 1 + padding
    kinds = [5 if i not in texts else 1 for i in range(size)]
    for i, text in added.items():
        kinds[i] = 3 if text in special else 4
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("Tiny")
    writer.add_context_length(2048)
    writer.add_block_count(2)
    writer.add_file_type(1)
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([texts.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types(kinds)
    merges = [m if isinstance(m, str) else " ".join(m) for m in parsed["model"]["merges"]]
    writer.add_token_merges(merges)
    writer.add_eos_token_id(next(i for i, text in added.items() if text == "<|im_end|>"))
    if template is not None:
        writer.add_chat_template(template)
    if tensors:
        writer.add_tensor("token_embd.weight", np.zeros((8, 64), dtype=np.float16))
        writer.add_tensor("output_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
