"""Tiny GGUF files of random weights for tests of the llama.cpp engine, and requests for them."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import gguf
import numpy as np
import numpy.typing as npt

from relaygen.engines.base import GenerateRequest
from relaygen.types import Sampling

VOCABULARY = 320
CONTEXT = 512
GREEDY = Sampling(temperature=0.0)


@functools.cache
def tiny_qwen3() -> Path:
    """A decoder with attention, sharp enough that rounding never decides between two tokens."""
    return _in_folder_of_tests("tiny-qwen3.gguf", write_qwen3)


@functools.cache
def tiny_mamba() -> Path:
    """A recurrent model: it cannot forget a part of a sequence."""
    return _in_folder_of_tests("tiny-mamba.gguf", write_mamba)


def write_qwen3(path: Path, *, layers: int = 2, width: int = 64, seed: int = 0) -> None:
    heads, head_size, ffn = 2, 32, 96
    writer = _writer(path, "qwen3", layers=layers, width=width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(1)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_freq_base(10_000.0)
    random = _random(seed)
    tensors: dict[str, npt.NDArray[np.float32]] = {
        "token_embd.weight": random(VOCABULARY, width),
        "output_norm.weight": np.ones(width, np.float32),
        "output.weight": 8 * random(VOCABULARY, width),
    }
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors |= {
            block + "attn_norm.weight": np.ones(width, np.float32),
            block + "attn_q.weight": random(heads * head_size, width),
            block + "attn_k.weight": random(head_size, width),
            block + "attn_v.weight": random(head_size, width),
            block + "attn_output.weight": random(width, heads * head_size),
            block + "attn_q_norm.weight": np.ones(head_size, np.float32),
            block + "attn_k_norm.weight": np.ones(head_size, np.float32),
            block + "ffn_norm.weight": np.ones(width, np.float32),
            block + "ffn_gate.weight": random(ffn, width),
            block + "ffn_up.weight": random(ffn, width),
            block + "ffn_down.weight": random(width, ffn),
        }
    _write(writer, tensors)


def write_mamba(path: Path, *, layers: int = 2, seed: int = 0) -> None:
    width, inner, state, kernel, rank = 32, 64, 16, 4, 2
    writer = _writer(path, "mamba", layers=layers, width=width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    random = _random(seed)
    tensors: dict[str, npt.NDArray[np.float32]] = {
        "token_embd.weight": random(VOCABULARY, width),
        "output_norm.weight": np.ones(width, np.float32),
        "output.weight": 8 * random(VOCABULARY, width),
    }
    decay = np.broadcast_to(-np.arange(1, state + 1, dtype=np.float32), (inner, state))
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors |= {
            block + "attn_norm.weight": np.ones(width, np.float32),
            block + "ssm_in.weight": random(2 * inner, width),
            block + "ssm_conv1d.weight": random(inner, kernel),
            block + "ssm_conv1d.bias": np.zeros(inner, np.float32),
            block + "ssm_x.weight": random(rank + 2 * state, inner),
            block + "ssm_dt.weight": random(inner, rank),
            block + "ssm_dt.bias": np.zeros(inner, np.float32),
            block + "ssm_a": np.ascontiguousarray(decay),
            block + "ssm_d": np.ones(inner, np.float32),
            block + "ssm_out.weight": random(width, inner),
        }
    _write(writer, tensors)


def _in_folder_of_tests(name: str, write: Callable[[Path], None]) -> Path:
    path = _folder() / name
    write(path)
    return path


@functools.cache
def _folder() -> Path:
    # A model outlives the test that first asks for it, so no fixture of pytest's will do.
    folder = Path(tempfile.mkdtemp(prefix="tiny-gguf-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def _writer(path: Path, architecture: str, *, layers: int, width: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(["a", "b", "ab", *(f"t{i}" for i in range(3, VOCABULARY))])
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    return writer


def _write(writer: gguf.GGUFWriter, tensors: dict[str, npt.NDArray[np.float32]]) -> None:
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random(seed: int) -> Callable[[int, int], npt.NDArray[np.float32]]:
    generator = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> npt.NDArray[np.float32]:
        values = generator.standard_normal((rows, columns)) * 1.5 / columns**0.5
        return values.astype(np.float32)

    return matrix


def prompt(length: int, seed: int = 0) -> tuple[int, ...]:
    return tuple(Random(seed).choices(range(VOCABULARY), k=length))


def request(
    tokens: Sequence[int], max_tokens: int = 8, generation_id: str = "one", **fields: object
) -> GenerateRequest:
    fields.setdefault("sampling", GREEDY)
    return GenerateRequest(
        prompt=tokens, max_tokens=max_tokens, generation_id=generation_id, **fields
    )
