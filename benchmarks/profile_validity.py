"""Does profiling recover the truth of the embedded pair? Which sentence kinds are easy is known there.

    python -m benchmarks.profile_validity --folder FOLDER [--questions 20 50 100 200 400] [--seeds 5]

Each seed has its own questions and trajectories (`benchmarks.profile_generations`, which FOLDER keeps);
fewer questions are the first of them. Measured are:

* precision and recall of the cues taken, by discovery and from the listed openers, for the tested rule
  and the paper's. A cue is right if at least 95 % of the sentences that it opens are easy by
  construction; recall is the share of the true cues' segments that a right cue opens.
* false discoveries where labels are shuffled: the openers, and having none, change places within each
  trajectory, so that none has an effect; the share of p-values below 5 %, and of runs in which anything
  is taken, among cues with enough segments to be judged.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import write_results
from benchmarks.profile_generations import generate, in_set, questions_of
from benchmarks.profile_truth import LISTED, easy_by_opener, is_easy
from relaygen import demo_models
from relaygen.profiling.analysis import Analysis, AnalysisOptions, analyse
from relaygen.profiling.effects import Design, effects, rest_of_all
from relaygen.profiling.selection import Rule, RuleName, select, taken
from relaygen.profiling.sentences import Occurrences
from relaygen.profiling.trajectories import Bools, Trajectories
from relaygen.tokens import Tokenizer

EASY_SHARE = 0.95


def easy_share(analysis: Analysis, cue: int) -> float:
    """Of the sentences that a cue opens."""
    design = analysis.design
    own = design.occurrences.only(design.occurrences.cue == cue)
    start, stop = design.sentences.start[own.sentence], design.sentences.stop[own.sentence]
    kinds = [
        is_easy("".join(analysis.texts[t][a:b]))
        for t, a, b in zip(own.text, start, stop, strict=True)
    ]
    return float(np.mean(kinds))


def judged(analysis: Analysis, cues: Sequence[int]) -> dict[str, float]:
    """Precision, by cues and by tokens, and recall by segments of the true cues."""
    design = analysis.design
    found, heads = design.occurrences, design.sentences.head
    right = {cue: easy_share(analysis, cue) >= EASY_SHARE for cue in cues}
    tokens = {cue: analysis.statistics[cue].tokens for cue in cues}
    true = {i for i, head in enumerate(heads) if head.startswith(demo_models.cues())}
    hit = set(found.sentence[np.isin(found.cue, [c for c in cues if right[c]])].tolist())
    return {
        "taken": len(cues),
        "precision": sum(right.values()) / len(cues) if cues else 1.0,
        "precision_by_tokens": (
            sum(tokens[c] for c in cues if right[c]) / sum(tokens.values()) if cues else 1.0
        ),
        "recall": len(true & hit) / len(true),
    }


def recovery(
    sets: Sequence[Trajectories], tokenizer: Tokenizer, sizes: Sequence[int]
) -> dict[str, Any]:
    """By number of questions and way to take cues: one entry a set, and their means."""
    figures: dict[str, Any] = {}
    for size in sizes:
        runs: dict[str, list[dict[str, float]]] = {}
        for seed, found in enumerate(sets):
            part = first(found, seed, size)
            for way, options in (
                ("discovered", AnalysisOptions(seed=seed)),
                ("listed", AnalysisOptions(seed=seed, given=LISTED, discover=False)),
            ):
                analysis = analyse(part, tokenizer, options)
                for name in RuleName:
                    verdicts = select(analysis, Rule(name=name))
                    runs.setdefault(f"{way}, {name}", []).append(judged(analysis, taken(verdicts)))
                no_small = replace(
                    analysis,
                    agrees=None,
                    statistics=tuple(replace(s, agreement=None) for s in analysis.statistics),
                )
                alone = taken(select(no_small, Rule()))
                runs.setdefault(f"{way}, margin alone", []).append(judged(analysis, alone))
        figures[str(size)] = {
            way: {
                "mean": {key: round(float(np.mean([r[key] for r in rows])), 4) for key in rows[0]},
                "by_seed": [{key: round(r[key], 4) for key in r} for r in rows],
            }
            for way, rows in runs.items()
        }
        print(size, {way: f["mean"] for way, f in figures[str(size)].items()}, flush=True)
    return figures


def first(found: Trajectories, seed: int, questions: int) -> Trajectories:
    """Those of the first questions of a set."""
    return found.only(in_set(found, questions_of(seed, questions)))


def null_model(
    sets: Sequence[Trajectories], tokenizer: Tokenizer, sizes: Sequence[int], shuffles: int
) -> dict[str, Any]:
    """Openers change places within their trajectory, each with its own tokens left out."""
    figures: dict[str, Any] = {}
    for size in sizes:
        small, naive, any_taken, tests = 0, 0, 0, 0
        for seed, found in enumerate(sets):
            part = first(found, seed, size)
            analysis = analyse(part, tokenizer, AnalysisOptions(given=LISTED, discover=False))
            design = analysis.design
            everything = with_unlabelled(design)
            for shuffle in range(shuffles):
                mixed = replace(design, occurrences=shuffled(everything, shuffle))
                of = effects(mixed, analysis.margin, seed=shuffle, replicates=2)
                enough = often_enough(mixed, Rule())
                small += int((of.p[enough] < 0.05).sum())
                naive += int((of.mean > rest_of_all(mixed, analysis.margin))[enough].sum())
                any_taken += bool((of.q[enough] <= 0.05).any())
                tests += int(enough.sum())
        figures[str(size)] = {
            "shuffles": shuffles * len(sets),
            "tests": tests,
            "p_below_0.05": round(small / tests, 4),
            "runs_with_a_false_discovery": round(any_taken / (shuffles * len(sets)), 4),
            "taken_by_the_paper": round(naive / tests, 4),
        }
        print("null", size, figures[str(size)], flush=True)
    return figures


def often_enough(design: Design, rule: Rule) -> Bools:
    """Of shape (cues,): whether the rule would judge the cue at all."""
    found = design.occurrences
    count = np.bincount(found.cue, minlength=design.cues)
    pairs = np.unique(found.cue * design.questions + design.question_of[found.text])
    questions = np.bincount(pairs // design.questions, minlength=design.cues)
    return (count >= rule.min_count) & (questions >= rule.min_questions)


def with_unlabelled(design: Design) -> Occurrences:
    """One row a sentence: its opener's segment, or (cue -1) what follows its first two tokens."""
    found, sentences = design.occurrences, design.sentences
    others = np.setdiff1d(np.arange(len(sentences.text)), found.sentence)
    others = others[sentences.stop[others] - sentences.start[others] > 2]
    return Occurrences(
        cue=np.concatenate((found.cue, np.full(len(others), -1))),
        text=np.concatenate((found.text, sentences.text[others])),
        sentence=np.concatenate((found.sentence, others)),
        start=np.concatenate((found.start, sentences.start[others] + 2)),
        stop=np.concatenate((found.stop, sentences.stop[others])),
    )


def shuffled(rows: Occurrences, seed: int) -> Occurrences:
    """The labels exchanged within each text."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(rows.cue)), rows.text))
    home = np.argsort(rows.text, kind="stable")
    cue = np.empty_like(rows.cue)
    cue[home] = rows.cue[order]
    return replace(rows, cue=cue).only(cue >= 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--questions", type=int, nargs="+", default=[20, 50, 100, 200, 400])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shuffles", type=int, default=80, help="of each set")
    arguments = parser.parse_args()

    most = max(arguments.questions)
    sets = [asyncio.run(generate(arguments.folder, s, most)) for s in range(arguments.seeds)]
    tokenizer = Tokenizer.load(demo_models.gguf("large"))
    figures: dict[str, Any] = {
        "sets": [
            {"seed": seed, "trajectories": len(found.records), "tokens": found.tokens}
            for seed, found in enumerate(sets)
        ],
        "easy_by_opener": easy_by_opener(sets, tokenizer),
    }
    print(figures, flush=True)
    sizes = sorted({min(arguments.questions), *(n for n in (100, most) if n <= most)})
    figures["null"] = null_model(sets, tokenizer, sizes, arguments.shuffles)
    figures["recovery"] = recovery(sets, tokenizer, arguments.questions)
    print(write_results("profile_validity", "measured", 0, figures))


if __name__ == "__main__":
    main()
