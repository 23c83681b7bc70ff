"""How real reasoning models open their sentences, and where published cues fall: text only, no scores.

    python -m benchmarks.trace_openers [--data DIR] [--html FILE]

The traces (466, of seven models) are cut into pieces of about three characters, as in
`benchmarks.scanner`, so lengths are in characters. Counts depend on no hardware.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import write_results
from benchmarks.scanner import tokens_of
from relaygen import profiles
from relaygen.profiling.candidates import count_openers
from relaygen.profiling.report import openers_page
from relaygen.profiling.sentences import Sentences, Texts, find_cues, find_sentences
from relaygen.profiling.trajectories import Ints

FILES = ("traces_mip.jsonl", "traces_thought_anchors.jsonl")
MAX_TOKENS = 128


def read(data: Path) -> dict[str, list[tuple[str, str]]]:
    """(question, reasoning) of every trace, by model."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in _entries(data):
        reasoning = entry["trace"].split("</think>")[0].removeprefix("<think>")
        found.setdefault(entry["model"], []).append((entry["question"], reasoning))
    return found


def _entries(data: Path) -> Iterator[dict[str, Any]]:
    for name in FILES:
        with (data / name).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def questions_of(traces: list[tuple[str, str]]) -> Ints:
    place = {question: i for i, question in enumerate(dict.fromkeys(q for q, _ in traces))}
    return np.array([place[question] for question, _ in traces], dtype=np.int64)


def of_model(texts: list[Texts], sentences: Sentences, question_of: Ints) -> dict[str, Any]:
    counts = count_openers(sentences, question_of)
    lengths = np.concatenate([[0], np.cumsum([sum(map(len, text)) for text in texts])])
    sizes = [
        len("".join(texts[t][a:b]).strip())
        for t, a, b in zip(sentences.text, sentences.start, sentences.stop, strict=True)
    ]
    total = len(sizes)
    figures: dict[str, Any] = {
        "traces": len(texts),
        "questions": int(question_of.max()) + 1,
        "characters": int(lengths[-1]),
        "sentences": total,
        "sentence_length": {
            name: float(np.quantile(sizes, share))
            for name, share in (
                ("median", 0.5),
                ("90th_percentile", 0.9),
                ("99th_percentile", 0.99),
            )
        },
        "openers": {
            text: {"sentences": count, "share": round(count / total, 4), "questions": questions}
            for text, (count, questions) in sorted(
                counts.items(), key=lambda item: (-item[1][0], item[0])
            )[:25]
        },
    }
    for name in ("qwen3", "r1-distill"):
        cues = profiles.load(name).cues
        found = find_cues(texts, sentences, cues, max_tokens=MAX_TOKENS)
        handed = set[tuple[int, int]]()
        for text, start, stop in zip(found.text, found.start, found.stop, strict=True):
            handed |= {(int(text), place) for place in range(start, stop)}
        characters = sum(len(texts[text][place]) for text, place in handed)
        figures[f"cues_{name}"] = {
            "occurrences": len(found.cue),
            "share_of_characters_after_one": round(characters / int(lengths[-1]), 4),
            "pieces_of_a_segment_median": float(np.median(found.stop - found.start)),
            "never": sorted(cues[i].text for i in set(range(len(cues))) - set(found.cue.tolist())),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--html", type=Path, help="also write a page with the openers")
    arguments = parser.parse_args()

    figures: dict[str, Any] = {}
    pages: dict[str, tuple[Sentences, Ints]] = {}
    for model, traces in sorted(read(arguments.data).items()):
        texts: list[Texts] = [tokens_of(reasoning) for _, reasoning in traces]
        sentences, question_of = find_sentences(texts), questions_of(traces)
        figures[model] = of_model(texts, sentences, question_of)
        pages[model] = (sentences, question_of)
        top = ", ".join(
            f"{t!r} {f['share']:.1%}" for t, f in list(figures[model]["openers"].items())[:8]
        )
        print(model, figures[model]["sentences"], top, flush=True)
    if arguments.html is not None:
        page = openers_page(pages, title="How reasoning models open their sentences")
        arguments.html.write_text(page, encoding="utf-8")
    print(write_results("trace_openers", "measured", None, figures))


if __name__ == "__main__":
    main()
