"""Does the margin say whether the answer stays right when the small model writes a sentence?

    python -m benchmarks.profile_margin_outcome --trajectories FOLDER [--trials 300]

FOLDER is what ``relaygen profile`` kept of the embedded pair on its calibration questions. A trial takes
one sentence of a trajectory with a right answer, lets the small model write it from the second token on,
and the large model everything after it. As a control the large model writes on from the same place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import write_results
from benchmarks.intervals import wilson
from benchmarks.profile_truth import is_easy
from relaygen import demo_models
from relaygen.api import Model, open_model
from relaygen.chat import ChatEncoder
from relaygen.demo_models.grading import is_right
from relaygen.engines.base import GenerateRequest
from relaygen.profiling.sentences import find_sentences, reasoning_texts
from relaygen.profiling.store import load_trajectories
from relaygen.relay.segmentation import SentenceSegmenter
from relaygen.relay.vocabulary import Detokeniser
from relaygen.types import Sampling

SKIP = 2
SAMPLING = Sampling(temperature=0.6, top_k=20, top_p=0.95)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A sentence that is written anew.

    Attributes:
        prefix: prompt and what stands before.
        sentence: what the large model wrote from there to the sentence's end.
        before: text of the reasoning up to there.
        answer: the right one.
        margin: mean over `sentence`.
        agreement: likewise.
        easy: the sentence is of an easy kind.
    """

    prefix: tuple[int, ...]
    sentence: tuple[int, ...]
    before: str
    answer: str
    margin: float
    agreement: float
    easy: bool


def draw(folder: Path, model: Model, count: int, seed: int) -> list[Trial]:
    """One sentence each of `count` trajectories with a right answer."""
    lines = demo_models.calibration().read_text(encoding="utf-8").splitlines()
    asked = {entry["id"]: entry for entry in map(json.loads, lines)}
    encoder, tokenizer = ChatEncoder(model.tokenizer), model.tokenizer
    found = load_trajectories(folder)
    texts = reasoning_texts(found, tokenizer)
    sentences = find_sentences(texts)
    rng = np.random.default_rng(seed)
    trials = []
    for index in rng.permutation(len(found.records)).tolist():
        record, columns = found.records[index], found.of(index)
        entry = asked[record.question]
        first, stop = record.reasoning
        said = "".join(Detokeniser(tokenizer).push(i) for i in columns["token_id"][stop:].tolist())
        rows = np.flatnonzero(
            (sentences.text == index) & (sentences.stop - sentences.start > SKIP + 2)
        )
        if not is_right(entry["answer"], said) or not len(rows):
            continue
        row = int(rng.choice(rows))
        start, end = int(sentences.start[row]) + SKIP, int(sentences.stop[row])
        ids = columns["token_id"].tolist()
        prompt = encoder.encode([{"role": "user", "content": entry["question"]}]).ids
        trials.append(
            Trial(
                prefix=(*prompt, *ids[: first + start]),
                sentence=tuple(ids[first + start : first + end]),
                before="".join(texts[index][:start]),
                answer=entry["answer"],
                margin=float(columns["margin"][first + start : first + end].mean()),
                agreement=float(columns["agrees"][first + start : first + end].mean()),
                easy=is_easy("".join(texts[index][start - SKIP : end])),
            )
        )
        if len(trials) == count:
            break
    return trials


async def one_sentence(model: Model, trial: Trial, seed: int) -> tuple[int, ...]:
    """What the model writes up to the end of the sentence."""
    segmenter = SentenceSegmenter()
    segmenter.feed(trial.before)
    begun, written = segmenter.offset, list[int]()
    push = Detokeniser(model.tokenizer).push
    request = GenerateRequest(
        prompt=trial.prefix,
        max_tokens=128,
        sampling=replace(SAMPLING, seed=seed),
        eos_ids=model.tokenizer.eos_ids,
    )
    close = model.tokenizer.markup["</think>"]
    async with aclosing(model.engine.generate(request)) as outputs:
        async for output in outputs:
            for token_id in output.token_ids:
                if token_id == close or token_id in model.tokenizer.eos_ids:
                    return tuple(written)
                at = segmenter.offset
                ends = [end for end in segmenter.feed(push(token_id)) if end > begun]
                if ends and ends[0] <= at:
                    return tuple(written)  # the token was only looked at
                written.append(token_id)
                if ends:
                    return tuple(written)
    return tuple(written)


async def finish(model: Model, prefix: Sequence[int], seed: int) -> str:
    """The answer that the model comes to."""
    room = model.engine.capabilities().context_tokens - len(prefix)
    request = GenerateRequest(
        prompt=tuple(prefix),
        max_tokens=room,
        sampling=replace(SAMPLING, seed=seed),
        eos_ids=model.tokenizer.eos_ids,
    )
    ids: list[int] = []
    async for output in model.engine.generate(request):
        ids += output.token_ids
    return model.tokenizer.decode(ids).rpartition("</think>")[2]


async def run(
    trials: list[Trial], large: Model, small: Model, at_once: int
) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(at_once)

    async def one(number: int, trial: Trial) -> dict[str, Any]:
        async with gate:
            written = await one_sentence(small, trial, 2 * number)
            relayed = await finish(large, (*trial.prefix, *written), 2 * number + 1)
            alone = await finish(large, trial.prefix, 2 * number + 1)
        return {
            "margin": trial.margin,
            "agreement": trial.agreement,
            "easy": trial.easy,
            "same": written == trial.sentence,
            "right": is_right(trial.answer, relayed),
            "right_alone": is_right(trial.answer, alone),
        }

    return await asyncio.gather(*(one(i, t) for i, t in enumerate(trials)))


def area(score: Sequence[float], right: Sequence[bool]) -> float:
    """The chance that a right trial has the higher score (area under the ROC curve)."""
    yes = np.array([s for s, r in zip(score, right, strict=True) if r])
    no = np.array([s for s, r in zip(score, right, strict=True) if not r])
    if not len(yes) or not len(no):
        return float("nan")
    above = (yes[:, None] > no[None, :]).mean() + 0.5 * (yes[:, None] == no[None, :]).mean()
    return float(above)


def interval(rows: Sequence[dict[str, Any]], name: str, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    right = [row["right"] for row in rows]
    drawn = []
    for _ in range(1000):
        some = rng.integers(len(rows), size=len(rows))
        drawn.append(area([rows[i][name] for i in some], [right[i] for i in some]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    found = area([row[name] for row in rows], right)
    return {"auc": round(found, 4), "interval_95": [round(float(low), 4), round(float(high), 4)]}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    n, right = len(rows), sum(row["right"] for row in rows)
    return {
        "trials": n,
        "right": round(right / n, 4),
        "interval_95": [round(x, 4) for x in wilson(right, n)],
        "right_alone": round(sum(row["right_alone"] for row in rows) / n, 4),
        "same_sentence": round(sum(row["same"] for row in rows) / n, 4),
        "mean_margin": round(float(np.mean([row["margin"] for row in rows])), 4),
        "mean_agreement": round(float(np.mean([row["agreement"] for row in rows])), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    large, small = (
        open_model(demo_models.gguf(role), context_tokens=2048, threads=1)
        for role in ("large", "small")
    )
    trials = draw(arguments.trajectories, large, arguments.trials, arguments.seed)
    rows = asyncio.run(run(trials, large, small, arguments.at_once))
    ranked = sorted(rows, key=lambda row: row["margin"])
    quarter = len(ranked) // 4
    figures: dict[str, Any] = {
        "all": summary(rows),
        "easy": summary([row for row in rows if row["easy"]]),
        "hard": summary([row for row in rows if not row["easy"]]),
        "by_margin": [summary(ranked[i * quarter : (i + 1) * quarter]) for i in range(4)],
        "margin": interval(rows, "margin", arguments.seed),
        "agreement": interval(rows, "agreement", arguments.seed),
        "margin_among_easy": interval([r for r in rows if r["easy"]], "margin", arguments.seed),
        "margin_among_hard": interval([r for r in rows if not r["easy"]], "margin", arguments.seed),
    }
    print(json.dumps(figures, indent=1))
    print(write_results("profile_margin_outcome", "measured", arguments.seed, figures))


if __name__ == "__main__":
    main()
