"""Independent sets of trajectories of the embedded pair: own questions and own draws for each seed.

    python -m benchmarks.profile_generations --folder FOLDER [--seeds 0 1 2 3 4] [--questions 400]

The questions are drawn by the generator of the pair's training texts, with seeds that neither training
nor the calibration file uses, and none is held out. A run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from relaygen import demo_models
from relaygen.datasets import Question
from relaygen.profiling.collecting import CollectOptions, Progress, collect
from relaygen.profiling.models import Source, fitting_pair, open_pair
from relaygen.profiling.store import TrajectoryStore
from relaygen.profiling.trajectories import Trajectories
from training.heldout import HELDOUT_SEED, heldout_keys
from training.stories import draw_split


def questions_of(seed: int, count: int) -> list[Question]:
    """The questions of a set; the first few of a larger count are those of a smaller one."""
    drawn = draw_split(HELDOUT_SEED + 1 + seed, f"profile-{seed}", count, avoid=heldout_keys())
    return [Question(id=p.id, question=p.question, answer=p.answer) for p in drawn]


async def generate(folder: Path, seed: int, count: int) -> Trajectories:
    """The first `count` trajectories of a set; writes what the folder does not hold yet."""
    large, small = (
        Source(place=str(demo_models.gguf(role)), name=f"relaygen-demo-{role}")
        for role in ("large", "small")
    )
    questions = questions_of(seed, count)
    with TrajectoryStore(folder / f"seed-{seed}", {"seed": seed}) as store:
        if any((question.id, 0) not in store.keys for question in questions):
            async with open_pair(await fitting_pair(large, small)) as pair:
                await collect(
                    pair.large.engine,
                    pair.small.engine,
                    pair.match.encoder,
                    questions,
                    store,
                    CollectOptions(seed=seed, sampling=pair.large.sampling),
                    told=_telling(seed),
                )
        found = store.load()
    return found.only(in_set(found, questions))


def in_set(found: Trajectories, questions: list[Question]) -> list[bool]:
    """Of each trajectory: whether it is of one of the questions."""
    names = {question.id for question in questions}
    return [record.question in names for record in found.records]


def _telling(seed: int) -> Callable[[Progress], None]:
    told: set[int] = set()

    def tell(progress: Progress) -> None:
        if progress.done % 20 == 0 and progress.done not in told:
            told.add(progress.done)
            print(f"seed {seed}: {progress.done} of {progress.total}", flush=True)

    return tell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        found = asyncio.run(generate(arguments.folder, seed, arguments.questions))
        print(f"seed {seed}: {len(found.records)} trajectories, {found.tokens:,} tokens")


if __name__ == "__main__":
    main()
