"""Checks that llama.cpp continues prompts with the very text that transformers does, greedily.

The prompt goes in as token ids, so it tests the weights; that both tokenizers agree is checked apart, on a text of
many scripts, by having llama.cpp count what it reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import xllamacpp
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from training.documents import render_prompt
from training.export import DEMO_MODELS
from training.heldout import plain_problems


def start_llama_cpp(path: Path) -> xllamacpp.Server:
    """Loads a GGUF file with one sequence and one thread."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    return xllamacpp.Server(params)


def _llama_greedy(server: xllamacpp.Server, ids: list[int], count: int) -> str:
    request = {
        "prompt": ids,
        "n_predict": count,
        "temperature": 0.0,
        "cache_prompt": False,
        "repeat_penalty": 1.0,
    }
    reply: dict[str, Any] = server.handle_completions(request)
    text: str = reply["choices"][0]["text"]
    return text


@torch.no_grad()
def _hf_greedy(model: Any, ids: list[int], count: int) -> list[int]:
    out = model.generate(
        torch.tensor([ids]),
        max_new_tokens=count,
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
    )
    return out[0, len(ids) :].tolist()


def compare(role: str, folder: Path, *, prompts: int, count: int) -> dict[str, int]:
    """Counts, for each GGUF of a role, the prompts that both continue alike.

    The end-of-turn token does not count, for llama.cpp leaves it out of its text.
    """
    tokenizer = Tokenizer.from_file(str(folder / role / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(folder / role, dtype=torch.float32)
    ends = set(model.generation_config.eos_token_id)
    cases = []
    for problem in plain_problems()[:prompts]:
        ids = tokenizer.encode(render_prompt([{"role": "user", "content": problem.question}])).ids
        wanted = _hf_greedy(model, ids, count)
        kept = [t for t in wanted if t not in ends]
        cases.append((ids, tokenizer.decode(kept, skip_special_tokens=False)))
    same: dict[str, int] = {}
    for path in sorted(folder.glob(f"{role}-*.gguf")):
        server = start_llama_cpp(path)
        same[path.name] = sum(_llama_greedy(server, ids, count) == wanted for ids, wanted in cases)
    return same


def main() -> None:
    """Compares both models of the pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEMO_MODELS)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=700)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for role in ("large", "small"):
        for name, same in compare(
            role, args.folder, prompts=args.prompts, count=args.tokens
        ).items():
            print(f"{name}: {same} of {args.prompts} prompts continued as by transformers in F32")


if __name__ == "__main__":
    main()
