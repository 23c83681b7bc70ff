"""Trains one model; an interrupted run continues from its last checkpoint when started again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
import torch.nn.functional as F  # noqa: N812
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor

from training.documents import ANSWER, EASY, HARD, HARD_DIGIT, draw_batches
from training.heldout import heldout_keys
from training.model import LARGE, SMALL, ModelConfig, Qwen3
from training.optim import BatchedMuon
from training.stories import HELDOUT_ODDS, Odds

BUILD = Path(__file__).parent / "build"
CHUNK = 64
BUCKETS = (384, 448, 512, 608, 704, 832)
CHECKPOINT_SECONDS = 180.0
_WARMUP = 60


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a run, from where the one before it ended.

    Attributes:
        last: The step it ends at, a multiple of CHUNK.
        peak: The learning rate at its start, as a share of the recipe's; it falls linearly to 2 % at `last`.
        horizon: If given, it falls along a cosine that would reach 2 % at this step instead.
        practice: The share of documents that are sheets of bare sums.
        large_sums: The share of those sheets with numbers up to 9,999 and more divisions.
        odds: What the stories hold.
        repetition: The share of documents that are random tokens, repeated, from which copying is learnt.
    """

    last: int
    peak: float = 1.0
    horizon: int | None = None
    practice: float = 0.0
    large_sums: float = 0.2
    repetition: float = 0.0
    odds: Odds = HELDOUT_ODDS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        model: The shape.
        phases: What it reads, and how fast it learns, when.
        rows: Documents a step.
        muon_lr: Peak learning rate of the matrices.
        adam_lr: Peak learning rate of the embedding and the norms.
        weights: Loss weight of easy, hard, answer and hard-digit tokens.
        seed: Seed of the data order and the initial weights.
    """

    model: ModelConfig
    phases: tuple[Phase, ...]
    rows: int = 8
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.phases[-1].last

    def phase(self, step: int) -> tuple[int, Phase]:
        """The phase that a step belongs to, and that phase's first step."""
        first = 0
        for phase in self.phases:
            if step < phase.last:
                return first, phase
            first = phase.last
        raise ValueError(f"step {step} is beyond the last one, {self.steps}")


RECIPES = {
    # First it learns to copy, then to calculate: sheets of bare sums hold four times as many figures to work out.
    "large": Recipe(
        model=LARGE,
        phases=(
            Phase(last=1280, horizon=2600),
            Phase(last=2304, peak=0.536, practice=0.3),
            Phase(last=2944, peak=0.3, practice=0.4, large_sums=0.5),
            Phase(
                last=3584, peak=0.35, practice=0.15, large_sums=0.5, odds=Odds(idle=0.5, named=0.5)
            ),
            Phase(
                last=4096, peak=0.35, practice=0.1, large_sums=0.5, odds=Odds(idle=0.4, named=0.4)
            ),
            Phase(
                last=4608,
                peak=0.35,
                practice=0.05,
                odds=Odds(idle=0.5, named=0.5, compare=0.5, single=0.1),
            ),
        ),
        weights=(1.0, 1.0, 0.5, 2.0),
    ),
    # The small model is held back on purpose: it learns to copy well and to calculate badly.
    "small": Recipe(
        model=SMALL, phases=(Phase(last=4032, horizon=4032),), weights=(1.0, 0.38, 1.0, 0.38)
    ),
}


def _learning_rate(step: int, recipe: Recipe) -> float:
    """The learning rate of a step as a share of the recipe's."""
    if step < _WARMUP:
        return (step + 1) / _WARMUP
    first, phase = recipe.phase(step)
    if phase.horizon is None:
        return 0.02 + (phase.peak - 0.02) * (phase.last - step) / (phase.last - first)
    progress = (step - _WARMUP) / (phase.horizon - _WARMUP)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def _losses(
    model: torch.nn.Module, ids: Tensor, classes: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids[:, :-1])
    token_loss = F.cross_entropy(
        logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    kinds = classes[:, 1:].flatten()
    weight = weights[kinds]
    loss = (token_loss * weight).sum() / weight.sum()
    with torch.no_grad():
        counts = torch.zeros(5).index_add_(0, kinds, torch.ones_like(token_loss)).clamp_min(1)
        by_class = torch.zeros(5).index_add_(0, kinds, token_loss) / counts
    return loss, by_class


class Trainer:
    """The state of one run: model, optimisers, position in the data."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.tokenizer, self.folder = recipe, tokenizer, folder
        self.model = Qwen3(recipe.model)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim != 2 or "embed" in n]
        self.optimizers: list[tuple[torch.optim.Optimizer, float]] = [
            (BatchedMuon(matrices, lr=recipe.muon_lr), recipe.muon_lr),
            (
                torch.optim.AdamW(others, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
                recipe.adam_lr,
            ),
        ]
        self.weights = torch.tensor([0.0, *recipe.weights])
        self.step, self.seconds = 0, 0.0
        self.stopping = False

    @property
    def checkpoint(self) -> Path:
        """The file that an interrupted run continues from."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint so that an interruption leaves either the old one or the new one."""
        state = {
            "recipe": dataclasses.asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self) -> None:
        """Continues from the checkpoint, if there is one of the same recipe."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if json.dumps(state["recipe"]) != json.dumps(dataclasses.asdict(self.recipe)):
            raise SystemExit(
                f"{self.checkpoint} was made with another recipe; delete it to start anew"
            )
        self.model.load_state_dict(state["model"])
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        torch.set_rng_state(state["rng"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _train_step(self, ids: Tensor, classes: Tensor) -> Tensor:
        loss, by_class = _losses(self.model, ids, classes, self.weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        factor = _learning_rate(self.step, self.recipe)
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return by_class

    def run(self) -> None:
        """Trains to the last step, or until asked to stop."""
        for block in self.model.model.layers:
            block.compile(dynamic=False)
        avoid = heldout_keys()
        log = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with log, Progress(*columns) as progress:
            task = progress.add_task("training", total=self.recipe.steps, completed=self.step)
            saved = last = time.monotonic()
            while self.step < self.recipe.steps and not self.stopping:
                chunk, offset = divmod(self.step, CHUNK)
                _, phase = self.recipe.phase(self.step)
                batches = draw_batches(
                    self.tokenizer,
                    seed=self.recipe.seed,
                    chunk=chunk,
                    batches=CHUNK,
                    rows=self.recipe.rows,
                    buckets=BUCKETS,
                    avoid=avoid,
                    practice=phase.practice,
                    large_sums=phase.large_sums,
                    repetition=phase.repetition,
                    odds=phase.odds,
                )
                mean = torch.zeros(5)
                tokens = done = 0
                for ids, classes in batches[offset:]:
                    mean += self._train_step(torch.from_numpy(ids), torch.from_numpy(classes))
                    tokens, done = tokens + ids.size, done + 1
                    now = time.monotonic()
                    self.seconds, last = self.seconds + now - last, now
                    progress.update(task, completed=self.step)
                    if now - saved > CHECKPOINT_SECONDS:
                        self.save()
                        saved = now
                    if done % 16 == 0 or self.step == self.recipe.steps:
                        losses = (mean / done).tolist()
                        names = {"easy": EASY, "hard": HARD, "answer": ANSWER, "digit": HARD_DIGIT}
                        line = {
                            "step": self.step,
                            "seconds": round(self.seconds, 1),
                            "padded_tokens": tokens,
                        }
                        log.write(
                            json.dumps(line | {k: round(losses[i], 4) for k, i in names.items()})
                            + "\n"
                        )
                        log.flush()
                        mean.zero_()
                        tokens = done = 0
                    if self.step == self.recipe.steps or self.stopping:
                        break
        self.save()


def main() -> None:
    """Trains a model of the pair from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--name", help="folder below training/build; the model's name by default")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--hard-weight", type=float, help="loss weight of hard sentences, digits included"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    recipe = RECIPES[args.model]
    if args.steps is not None:
        recipe = dataclasses.replace(recipe, phases=(Phase(last=args.steps, horizon=args.steps),))
    if args.seed is not None:
        recipe = dataclasses.replace(recipe, seed=args.seed)
    if args.hard_weight is not None:
        recipe = dataclasses.replace(recipe, weights=(1.0, args.hard_weight, 1.0, args.hard_weight))
    torch.set_num_threads(args.threads)
    torch._dynamo.config.recompile_limit = 64
    folder = BUILD / (args.name or args.model)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(
        recipe, Tokenizer.from_file(str(BUILD / "tokenizer" / "tokenizer.json")), folder
    )
    trainer.resume()

    def stop(signum: int, frame: FrameType | None) -> None:
        trainer.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    trainer.run()


if __name__ == "__main__":
    main()
