"""Measures the pair: each model alone, the relay, its random control, and what the margins look like."""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from benchmarks.intervals import wilson
from relaygen.demo_models.grading import boxed
from training.documents import render_prompt
from training.export import DEMO_MODELS
from training.handover import Alone, Relay
from training.heldout import plain_problems, unseen_problems
from training.lockstep import LARGE, Chooser, Row, generate
from training.margins import by_opener, copying
from training.model import ModelConfig
from training.stories import Problem

Model = tuple[ModelConfig, dict[str, Tensor]]
_FIELDS = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_size": "head_dim",
    "ffn": "intermediate_size",
    "vocab": "vocab_size",
}


def load_model(folder: Path) -> Model:
    """Reads an exported model."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = ModelConfig(**{ours: config[theirs] for ours, theirs in _FIELDS.items()})
    return shape, load_file(folder / "model.safetensors")


def run(
    models: Sequence[Model],
    choose: Chooser,
    problems: Sequence[Problem],
    tokenizer: Tokenizer,
    *,
    temperature: float,
    seed: int,
    batch: int = 250,
) -> list[Row]:
    """Generates one completion a problem, longest prompts together."""
    prompts = [
        tokenizer.encode(render_prompt([{"role": "user", "content": p.question}])).ids
        for p in problems
    ]
    rows: list[Row] = []
    for first in range(0, len(prompts), batch):
        # Policies tell rows apart by their number, so each batch gets numbers of its own.
        def numbered(
            row: int, state: Row, proposals: Sequence[int], first: int = first
        ) -> int | None:
            return choose(first + row, state, proposals)

        part = prompts[first : first + batch]
        rows += generate(models, part, numbered, temperature=temperature, seed=seed + first)
    return rows


def summarise(
    rows: Sequence[Row], problems: Sequence[Problem], tokenizer: Tokenizer
) -> dict[str, Any]:
    """Accuracy with its interval, tokens, and the large model's share of them."""
    texts = [tokenizer.decode(row.tokens, skip_special_tokens=False) for row in rows]
    hits = [
        boxed(text.rpartition("</think>")[2]) == problem.answer
        for text, problem in zip(texts, problems, strict=True)
    ]
    kinds: dict[str, list[bool]] = defaultdict(list)
    for hit, problem in zip(hits, problems, strict=True):
        for kind in problem.kinds:
            kinds[kind].append(hit)
    low, high = wilson(sum(hits), len(hits))
    tokens = sum(len(row.tokens) for row in rows)
    return {
        "n": len(hits),
        "right": sum(hits),
        "accuracy": round(sum(hits) / len(hits), 4),
        "wilson_95": [round(low, 4), round(high, 4)],
        "tokens_per_problem": round(tokens / len(rows), 1),
        "utilisation": round(sum(row.roles.count(LARGE) for row in rows) / tokens, 4),
        "handoffs_per_problem": round(sum(_handoffs(row) for row in rows) / len(rows), 2),
        "by_kind": {k: f"{sum(v)}/{len(v)}" for k, v in sorted(kinds.items())},
    }


def _handoffs(row: Row) -> int:
    return sum(a < b for a, b in zip(row.roles, row.roles[1:], strict=False))


def measure(
    large: Model, small: Model, tokenizer: Tokenizer, args: argparse.Namespace
) -> dict[str, Any]:
    """Runs all that was asked for."""
    problems = (unseen_problems() if args.unseen else plain_problems())[: args.count]
    options: dict[str, Any] = {"temperature": args.temperature, "seed": args.seed}
    out: dict[str, Any] = {}
    share = 0.6
    for name in args.runs:
        started = time.monotonic()
        choose: Chooser = Alone(tokenizer)
        models = [large, small]
        if name == "large":
            models = [large]
        elif name == "small":
            models = [small]
        elif name == "relay":
            choose = Relay(tokenizer)
        elif name == "random":
            choose = Relay(tokenizer, random_share=share, seed=args.seed)
        rows = run(models, choose, problems, tokenizer, **options)
        out[name] = summarise(rows, problems, tokenizer)
        if isinstance(choose, Relay):
            out[name]["sentences_handed_over"] = round(choose.handed / choose.sentences, 4)
            share = out[name]["sentences_handed_over"] if name == "relay" else share
        if name == "large":
            out["margins"] = by_opener(rows, tokenizer)
        out[name]["seconds"] = round(time.monotonic() - started)
    if "small" in args.runs:
        out["copying"] = copying(small, problems[:100], tokenizer, **options)
    return out


def show(results: dict[str, Any]) -> None:
    """Prints the results as tables."""
    console = Console(width=110)
    table = Table(
        "run", "right", "accuracy", "95 % interval", "tokens", "large's share", "handoffs"
    )
    for name in ("large", "small", "relay", "random"):
        if name in results:
            r = results[name]
            low, high = r["wilson_95"]
            table.add_row(
                name, f"{r['right']}/{r['n']}", f"{r['accuracy']:.1%}", f"{low:.1%} to {high:.1%}",
                f"{r['tokens_per_problem']}", f"{r['utilisation']:.1%}", f"{r['handoffs_per_problem']}",
            )  # fmt: skip
    console.print(table)
    if "margins" in results:
        table = Table("opener", "sentences", "mean margin after it", "standard error")
        for opener, m in results["margins"].items():
            table.add_row(opener, str(m["sentences"]), f"{m['margin']:.4f}", f"{m['se']:.4f}")
        console.print(table)
    if "copying" in results:
        console.print("easy sentences that the small model writes exactly:", results["copying"])


def main() -> None:
    """Evaluates the exported pair from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEMO_MODELS)
    parser.add_argument("--small", type=Path, help="folder of another small model")
    parser.add_argument("--runs", nargs="+", default=["large", "small", "relay", "random"])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--unseen", action="store_true", help="unseen names and things")
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.from_file(str(args.folder / "large" / "tokenizer.json"))
    small = load_model(args.small or args.folder / "small")
    results = measure(load_model(args.folder / "large"), small, tokenizer, args)
    show(results)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        settings = {"temperature": args.temperature, "seed": args.seed, "unseen": args.unseen}
        text = json.dumps({"measured": True, **settings, **results}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
