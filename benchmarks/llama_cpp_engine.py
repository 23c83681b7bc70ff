"""What the llama.cpp engine costs: a token, a handoff, and several generations at once.

    python -m benchmarks.llama_cpp_engine [--large FILE --small FILE] [--repeats 15] [--busy]

A relay of fixed segments runs on two engines, each sink submitting the next leg. What lies between
two of llama.cpp's evaluations is the engine's own: its median is what a token, and a handoff, cost
beyond reading and writing. Times of whole generations are the best of several repeats, interleaved:
on a shared machine the best is the least disturbed. The limit is that of working in sequence
(`relaygen.planning.limit`), from the costs measured here.

On a machine that other programs use, ``--busy`` counts seconds of CPU time instead of the clock's,
and reads with one thread: two threads that wait for each other burn time without working.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.environment import write_results
from relaygen import demo_models
from relaygen.engines.base import EngineOutput, GenerateRequest, Sink
from relaygen.engines.llama_cpp import LlamaCppEngine, ModelOptions
from relaygen.engines.llama_cpp._batch import Piece
from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.planning import Costs, limit, reading_of
from relaygen.types import ModelRole, Sampling

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL
SEED = 0
PROMPT_TOKENS = 120
# A problem of the embedded pair, roughly: hard and easy sentences in turn, then the answer.
SEGMENTS = (*((LARGE, 25), (SMALL, 28)) * 5, (LARGE, 25), (SMALL, 110))
TOKENS = sum(count for _, count in SEGMENTS)
CONTEXT = 300
SENTENCE = 28
READS = (8, 16, SENTENCE, 64)
GREEDY = Sampling(temperature=0.0)
SAMPLED = Sampling(temperature=0.6, top_k=20, top_p=0.95, seed=SEED)
CONTEXT_TOKENS, SEQUENCES = 1024, 16

Engines = dict[ModelRole, LlamaCppEngine]


@dataclass(frozen=True)
class Setting:
    """How everything is measured."""

    clock: Callable[[], float]
    options: ModelOptions
    repeats: int


@dataclass
class Times:
    """Seconds of every repeat, by what was done."""

    clock: Callable[[], float]
    all: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, work: Callable[[], object]) -> None:
        began = self.clock()
        work()
        self.all.setdefault(name, []).append(self.clock() - began)

    def best(self, name: str) -> float:
        return min(self.all[name])

    def median(self, name: str) -> float:
        return statistics.median(self.all[name])


class Run:
    """One generation: its segments, each one leg, one after the other."""

    def __init__(
        self, engines: Engines, segments: Sequence[tuple[ModelRole, int]], name: str, seed: int
    ) -> None:
        self._engines = engines
        self._segments = segments
        self._name = name
        self._tokens = Random(seed).choices(range(10, 300), k=PROMPT_TOKENS)
        self.done = threading.Event()

    def start(self, index: int = 0, sampling: Sampling = GREEDY) -> None:
        role, count = self._segments[index]
        request = GenerateRequest(
            prompt=tuple(self._tokens), max_tokens=512, sampling=sampling, generation_id=self._name
        )
        self._engines[role].submit(request, self._sink(index, count, sampling))

    def _sink(self, index: int, count: int, sampling: Sampling) -> Sink:
        left = count

        def sink(item: object) -> bool:
            nonlocal left
            if not isinstance(item, EngineOutput):
                raise TypeError(f"a leg failed: {item}")
            self._tokens += item.token_ids
            left -= 1
            if left:
                return True
            if index + 1 < len(self._segments):
                self.start(index + 1, sampling)
            else:
                self.done.set()
            return False

        return sink


class Generations:
    """Names and seeds of generations: no two have a prefix in common."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._count = 0

    def run(
        self,
        segments: Sequence[tuple[ModelRole, int]],
        *,
        at_once: int = 1,
        sampling: Sampling = GREEDY,
    ) -> None:
        runs = []
        for _ in range(at_once):
            self._count += 1
            runs.append(Run(self._engines, segments, f"{self._count}", self._count))
        for run in runs:
            run.start(sampling=sampling)
        for run in runs:
            run.done.wait()


class Gaps:
    """Seconds between one evaluation and the next: all that is not llama.cpp's reading or writing.

    Between two evaluations of one model lies the drawing of a token and its delivery; between one
    of the large model and one of the small also the handoff.
    """

    def __init__(self, engines: Engines, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.tokens: dict[ModelRole, list[float]] = {role: [] for role in engines}
        self.handoffs: list[float] = []
        self._last: tuple[ModelRole, float] | None = None
        self._restore: list[Callable[[], None]] = []
        for role, engine in engines.items():
            self._watch(role, engine._model)

    def _watch(self, role: ModelRole, model: LlamaModel) -> None:
        original = model.evaluate

        def evaluate(pieces: Sequence[Piece]) -> list[int]:
            began = self._clock()
            if self._last is not None:
                before, ended = self._last
                gaps = self.tokens[role] if before == role else self.handoffs
                gaps.append(began - ended)
            firsts = original(pieces)
            self._last = (role, self._clock())
            return firsts

        model.evaluate = evaluate  # type: ignore[method-assign]
        self._restore.append(lambda: setattr(model, "evaluate", original))

    def next_generation(self) -> None:
        """What lies between two generations is no gap."""
        self._last = None

    def stop(self) -> None:
        for restore in self._restore:
            restore()


def measure_gaps(engines: Engines, generations: Generations, how: Setting) -> dict[str, Any]:
    gaps = Gaps(engines, how.clock)
    for _ in range(how.repeats):
        gaps.next_generation()
        generations.run(SEGMENTS)
    gaps.stop()
    token = {role: statistics.median(gaps.tokens[role]) * 1e3 for role in engines}
    handoff = statistics.median(gaps.handoffs) * 1e3
    return {
        "ms_between_two_tokens": token,
        "ms_at_a_handoff": handoff,
        "ms_lost_at_a_handoff": handoff - statistics.fmean(token.values()),
    }


def measure_costs(path: Path, how: Setting) -> dict[str, float]:
    """Milliseconds a token at 300 tokens of context, by llama.cpp alone."""
    times = Times(how.clock)
    model = LlamaModel(path, how.options)
    model.evaluate([Piece(0, 0, tuple(range(10, 10 + CONTEXT)), 1)])

    def write() -> None:
        for position in range(CONTEXT, CONTEXT + 32):
            model.evaluate([Piece(0, position, (5,), 1)])

    def read(count: int) -> Callable[[], object]:
        return lambda: model.evaluate([Piece(0, CONTEXT, tuple(range(10, 10 + count)), 1)])

    def rewound(name: str, work: Callable[[], object]) -> None:
        model.rewind(0, CONTEXT + 64, CONTEXT)
        times.measure(name, work)

    for _ in range(3 * how.repeats):
        model.rewind(0, CONTEXT + 64, CONTEXT)
        model.evaluate([Piece(0, CONTEXT, (5,), 1)])
        rewound("write", write)
        for count in READS:
            rewound(f"first read {count}", read(count))
            rewound(f"read {count}", read(count))
    costs = {"write": times.best("write") / 32 * 1e3}
    for count in READS:
        costs[f"read_{count}"] = times.best(f"read {count}") / count * 1e3
    # llama.cpp builds its graph anew whenever a step has another size than the one before.
    changes = [times.best(f"first read {count}") - times.best(f"read {count}") for count in READS]
    costs["change_of_step_size"] = statistics.median(changes) * 1e3
    model.close()
    return costs


def measure(paths: dict[ModelRole, Path], how: Setting) -> dict[str, Any]:
    engines: Engines = {role: LlamaCppEngine(path, how.options) for role, path in paths.items()}
    generations = Generations(engines)
    costs = {role: measure_costs(path, how) for role, path in paths.items()}
    generations.run(SEGMENTS)
    gaps = measure_gaps(engines, generations, how)
    times = Times(how.clock)
    repeats = how.repeats
    plans = {"relay": SEGMENTS, "large": ((LARGE, TOKENS),), "small": ((SMALL, TOKENS),)}
    for count, rounds in ((1, repeats), (4, repeats // 3), (16, repeats // 3)):
        for _ in range(max(3, rounds)):
            for name, plan in plans.items():
                times.measure(
                    f"{count} {name}",
                    lambda p=plan, c=count: generations.run(p, at_once=c, sampling=SAMPLED),  # type: ignore[misc]
                )
    models = {role: describe(engine) for role, engine in engines.items()}
    for engine in engines.values():
        engine.close()
    return {
        "models": models,
        "load_average": os.getloadavg()[0],
        "ms_a_token_by_llama_cpp": costs,
        **gaps,
        **speed(costs, gaps["ms_between_two_tokens"], times),
        "tokens_a_second": {
            name: {count: count * TOKENS / times.best(f"{count} {name}") for count in (1, 4, 16)}
            for name in plans
        },
    }


def speed(
    costs: dict[ModelRole, dict[str, float]], added: dict[ModelRole, float], times: Times
) -> dict[str, Any]:
    """The relay against the large model alone, and against the limit of working in sequence."""
    large, small = (
        Costs(write=costs[role]["write"] + added[role], read=costs[role][f"read_{SENTENCE}"])
        for role in (LARGE, SMALL)
    )
    bound = limit(reading_of(PROMPT_TOKENS, SEGMENTS), large, small)
    speed_up = times.best("1 large") / times.best("1 relay")
    return {
        "tokens": TOKENS,
        "handoffs": len(SEGMENTS) - 1,
        "relay_ms": times.best("1 relay") * 1e3,
        "relay_median_ms": times.median("1 relay") * 1e3,
        "large_alone_ms": times.best("1 large") * 1e3,
        "large_alone_median_ms": times.median("1 large") * 1e3,
        "speed_up": speed_up,
        "limit": bound,
        "ratio_to_limit": speed_up / bound,
    }


def describe(engine: LlamaCppEngine) -> dict[str, Any]:
    report = engine.report()
    return {
        "file": report.path.name,
        "parameters": report.parameters,
        "decode_threads": report.decode_threads,
        "read_threads": report.read_threads,
        "flash_attention": report.flash_attention,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--small", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--busy", action="store_true")
    arguments = parser.parse_args()
    paths = {
        LARGE: arguments.large or demo_models.gguf("large"),
        SMALL: arguments.small or demo_models.gguf("small"),
    }
    how = Setting(
        clock=time.process_time if arguments.busy else time.perf_counter,
        options=ModelOptions(
            context_tokens=CONTEXT_TOKENS,
            sequences=SEQUENCES,
            read_threads=1 if arguments.busy else None,
        ),
        repeats=arguments.repeats,
    )
    seconds = "of CPU time, reading with one thread" if arguments.busy else "of the clock"
    figures = {"seconds": seconds, **measure(paths, how)}
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(write_results("llama_cpp_engine", "measured", SEED, figures))


if __name__ == "__main__":
    main()
