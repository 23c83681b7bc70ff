"""What the profiler's analysis costs: a million scored tokens of real reasoning traces.

    python -m benchmarks.profile_analysis [--data DIR] [--tokens 1000000]

The text is real, cut as in `benchmarks.scanner`; margins and agreement are drawn, for the cost does not
depend on them. Two traces make a question.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from benchmarks.environment import write_results
from benchmarks.scanner import load
from relaygen.profiling.analysis import analyse
from relaygen.profiling.frontier import frontier
from relaygen.profiling.selection import Rule, select
from relaygen.profiling.trajectories import COLUMNS, Record, Trajectories


class Pieces:
    """A vocabulary of the pieces that occur. Implements `relaygen.relay.vocabulary.Vocabulary`."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.data: list[bytes] = []

    def token_bytes(self, token_id: int) -> bytes:
        return self.data[token_id]

    def id_of(self, piece: str) -> int:
        found = self.ids.setdefault(piece, len(self.data))
        if found == len(self.data):
            self.data.append(piece.encode())
        return found


def trajectories_of(texts: list[list[str]], most: int) -> tuple[Trajectories, Pieces]:
    """The first `most` tokens, a few more to end with a whole text."""
    pieces = Pieces()
    ids: list[int] = []
    records = []
    for number, text in enumerate(texts):
        if len(ids) >= most:
            break
        ids += [pieces.id_of(piece) for piece in text]
        records.append(
            Record(
                question=str(number // 2),
                sample=number % 2,
                prompt_tokens=0,
                tokens=len(text),
                reasoning=(0, len(text)),
                end="eos",
            )
        )
    rng = np.random.default_rng(0)
    columns = {name: np.zeros(len(ids), dtype=kind) for name, kind in COLUMNS.items()}
    columns["token_id"][:] = ids
    columns["margin"][:] = rng.beta(5, 1, len(ids))
    columns["agrees"][:] = rng.random(len(ids)) < 0.8
    return Trajectories(records=tuple(records), columns=columns), pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokens", type=int, default=1_000_000)
    arguments = parser.parse_args()

    trajectories, pieces = trajectories_of(load(arguments.data), arguments.tokens)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    analysis = analyse(trajectories, pieces)
    verdicts = select(analysis, Rule())
    points = frontier(analysis, range(len(analysis.statistics)))
    figures = {
        "tokens": trajectories.tokens,
        "trajectories": len(trajectories.records),
        "candidates": len(verdicts),
        "points_of_the_frontier": len(points),
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "memory_before_mb": before // 1024,
    }
    print(write_results("profile_analysis", "measured", 0, figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
