"""What the scanner costs a token: segmenter and cue matcher on real reasoning traces.

    python -m benchmarks.scanner [--data DIR]

The traces are cut by a regular expression into pieces of about three characters, much as
byte-pair encodings cut them: a word with the space before it, digits one at a time, runs of
punctuation.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.environment import write_results
from relaygen import profiles
from relaygen.relay.scanner import TextScanner
from relaygen.relay.segmentation import SentenceSegmenter

PIECE = re.compile(r" ?[^\W\d_]{1,7}|\d|\n+| ?[^\w\s]{1,3}|\s+(?!\S)|\s|_")


def tokens_of(text: str) -> list[str]:
    pieces = PIECE.findall(text)
    assert "".join(pieces) == text
    return pieces


def load(data: Path) -> list[list[str]]:
    traces = []
    for name in ("traces_mip.jsonl", "traces_thought_anchors.jsonl"):
        with (data / name).open(encoding="utf-8") as lines:
            traces += [tokens_of(json.loads(line)["trace"]) for line in lines]
    return traces


def seconds(traces: list[list[str]], new: Callable[[], TextScanner | SentenceSegmenter]) -> float:
    began = time.process_time()
    for tokens in traces:
        feed = new().feed
        for token in tokens:
            feed(token)
    return time.process_time() - began


def loop_seconds(traces: list[list[str]]) -> float:
    """The loop and the call alone, which are no work of the scanner."""
    began = time.process_time()
    for tokens in traces:
        feed = str
        for token in tokens:
            feed(token)
    return time.process_time() - began


def copy_seconds(traces: list[list[str]], scanner: TextScanner) -> float:
    for token in traces[0]:
        scanner.feed(token)
    began = time.process_time()
    for _ in range(100_000):
        scanner.copy()
    return (time.process_time() - began) / 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    traces = load(arguments.data)
    count = sum(map(len, traces))
    characters = sum(len(token) for tokens in traces for token in tokens)
    figures: dict[str, float | str] = {
        "tokens": count,
        "characters_per_token": round(characters / count, 2),
    }
    cases: dict[str, Callable[[], TextScanner | SentenceSegmenter]] = {
        "segmenter_alone": SentenceSegmenter
    }
    for name in profiles.available():
        cues = profiles.load(name).cues
        cases[f"scanner_{name}"] = lambda cues=cues: TextScanner(cues)  # type: ignore[misc]
    for name, new in cases.items():
        runs = [seconds(traces, new) / count * 1e6 for _ in range(arguments.repeats)]
        figures[f"{name}_us_per_token_median"] = round(statistics.median(runs), 3)
        figures[f"{name}_us_per_token_min"] = round(min(runs), 3)
    figures["empty_loop_us_per_token"] = round(loop_seconds(traces) / count * 1e6, 3)
    scanner = TextScanner(profiles.load("qwen3").cues)
    figures["copy_us"] = round(copy_seconds(traces, scanner) * 1e6, 3)
    figures["clock"] = "CPU time of the process"
    path = write_results("scanner", "measured", None, figures)
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
