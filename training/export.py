"""Writes a trained model as safetensors in the Hugging Face layout and as GGUF."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer

from training.model import ModelConfig
from training.tokenizer import END_OF_TEXT, TURN_END, chat_template, save_tokenizer

BUILD = Path(__file__).parent / "build"
DEMO_MODELS = Path(__file__).parents[1] / "src" / "relaygen" / "demo_models"
CONTEXT = 2048

_GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def load_checkpoint(path: Path) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """Reads the shape and the weights from a training checkpoint."""
    state = torch.load(path, weights_only=True)
    return ModelConfig(**state["recipe"]["model"]), state["model"]


def write_safetensors(
    folder: Path, config: ModelConfig, weights: dict[str, torch.Tensor], tokenizer: Tokenizer
) -> None:
    """Writes weights in F16 with the configuration and tokenizer files that transformers reads."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    half = {name: tensor.half().contiguous() for name, tensor in weights.items()}
    save_file(half, temporary / "model.safetensors", metadata={"format": "pt"})
    end, end_of_text = tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END_OF_TEXT)
    _write_json(
        temporary / "config.json",
        config.to_hf() | {"eos_token_id": end, "pad_token_id": end_of_text},
    )
    generation = {
        "do_sample": True,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "eos_token_id": [end, end_of_text],
        "pad_token_id": end_of_text,
    }
    _write_json(temporary / "generation_config.json", generation)
    save_tokenizer(tokenizer, temporary)
    folder.mkdir(parents=True, exist_ok=True)
    # Each file is replaced in one move: a reader sees the old one or the new one, whole.
    for file in temporary.iterdir():
        file.chmod(0o644)
        os.replace(file, folder / file.name)
    temporary.rmdir()


def write_gguf(
    path: Path,
    config: ModelConfig,
    weights: dict[str, torch.Tensor],
    tokenizer: Tokenizer,
    *,
    quantization: gguf.GGMLQuantizationType,
    name: str,
) -> None:
    """Writes one GGUF file; norms stay in F32, as llama.cpp wants them."""
    temporary = path.with_name(f".{path.name}.tmp")
    writer = gguf.GGUFWriter(temporary, "qwen3")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(
        gguf.LlamaFileType.MOSTLY_Q8_0
        if quantization == gguf.GGMLQuantizationType.Q8_0
        else gguf.LlamaFileType.MOSTLY_F16
    )
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    _add_tokenizer(writer, tokenizer)
    for hf_name, tensor in weights.items():
        data: NDArray[Any] = tensor.float().numpy()
        kind = quantization if data.ndim == 2 else gguf.GGMLQuantizationType.F32
        if kind == gguf.GGMLQuantizationType.F16:
            data = data.astype(np.float16)
        elif kind == gguf.GGMLQuantizationType.Q8_0:
            data = gguf.quants.quantize(data, kind)
        writer.add_tensor(_gguf_name(hf_name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, path)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    description = json.loads(tokenizer.to_str())
    added = {entry["id"]: entry["special"] for entry in description["added_tokens"]}
    vocabulary = sorted(
        tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1]
    )
    types = []
    for _, index in vocabulary:
        if index not in added:
            types.append(gguf.TokenType.NORMAL)
        else:
            types.append(gguf.TokenType.CONTROL if added[index] else gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in description["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.token_to_id(TURN_END))
    writer.add_eot_token_id(tokenizer.token_to_id(TURN_END))
    writer.add_pad_token_id(tokenizer.token_to_id(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template())


def _gguf_name(name: str) -> str:
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in fixed:
        return fixed[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_GGUF_NAMES[rest.removesuffix('.weight')]}.weight"


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def export(checkpoint: Path, role: str, folder: Path) -> list[Path]:
    """Exports a checkpoint as `<role>/` (safetensors), `<role>-f16.gguf` and `<role>-q8_0.gguf`."""
    config, weights = load_checkpoint(checkpoint)
    tokenizer = Tokenizer.from_file(str(BUILD / "tokenizer" / "tokenizer.json"))
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / role, config, weights, tokenizer)
    written = [folder / role / "model.safetensors"]
    for suffix in ("f16", "q8_0"):
        path = folder / f"{role}-{suffix}.gguf"
        kind = gguf.GGMLQuantizationType[suffix.upper()]
        name = f"RelayGen demo {role}"
        write_gguf(path, config, weights, tokenizer, quantization=kind, name=name)
        written.append(path)
    return written


def main() -> None:
    """Exports models of the pair from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("large", "small"))
    parser.add_argument("--name", help="folder below training/build; the role by default")
    parser.add_argument("--to", type=Path, default=DEMO_MODELS)
    args = parser.parse_args()
    for path in export(BUILD / (args.name or args.role) / "checkpoint.pt", args.role, args.to):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
