"""Accuracy and speed of the embedded pair: large alone, small alone, relay, random control.

    python -m benchmarks.embedded_pair [--engine llama_cpp|hf] [--problems 500] [--timed 40]

Accuracy is measured on held-out problems, several at once. Speed is measured one problem at a time,
the policies interleaved, and once more as if every policy wrote the relay's number of tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.environment import write_results
from benchmarks.intervals import paired_difference, wilson
from relaygen import demo_models
from relaygen.api import Model, Options, Relay, open_model
from relaygen.demo_models import DemoProblem
from relaygen.demo_models.grading import is_right
from relaygen.engines.base import GenerateRequest
from relaygen.planning import Costs, limit, reading_of
from relaygen.profiles import load
from relaygen.runner import Result
from relaygen.types import ModelRole, Sampling

SAMPLING = Sampling(temperature=0.6, top_k=20, top_p=0.95)
READ_TOKENS = 28


@dataclass(frozen=True)
class Run:
    """One problem by one policy."""

    right: bool
    result: Result


def open_pair(engine: str, large: str, small: str, threads: int | None) -> Relay:
    """The embedded pair; `large` and `small` name encodings where the engine has several."""
    models: list[Model] = []
    for role, encoding in (("large", large), ("small", small)):
        path = (
            demo_models.hf_folder(role)  # type: ignore[arg-type]
            if engine == "hf"
            else demo_models.gguf(role, encoding)  # type: ignore[arg-type]
        )
        models.append(open_model(path, context_tokens=2048, threads=threads))
    return Relay(models[0], models[1], profile=load("demo"))


async def solve(relay: Relay, problem: DemoProblem, options: Options) -> Run:
    """Asks one problem."""
    result = await relay.generate(problem.question, options)
    return Run(is_right(problem.answer, result.answer), result)


async def accuracy(
    relay: Relay, problems: list[DemoProblem], options: Options, at_once: int
) -> list[Run]:
    """Asks all problems, several at once."""
    gate = asyncio.Semaphore(at_once)

    async def one(index: int, problem: DemoProblem) -> Run:
        async with gate:
            return await solve(relay, problem, replace(options, seed=(options.seed or 0) + index))

    return await asyncio.gather(*(one(i, p) for i, p in enumerate(problems)))


def utilisation(runs: list[Run]) -> float:
    """Share of all tokens that the large model wrote."""
    large = sum(run.result.trace.large_tokens for run in runs)
    return large / sum(run.result.usage.completion_tokens for run in runs)


async def calibrate_random(
    relay: Relay, problems: list[DemoProblem], options: Options, target: float, at_once: int
) -> float:
    """The share of sentences to hand over at random for the relay's utilisation."""
    low, high = 0.0, 1.0
    for _ in range(4):
        share = (low + high) / 2
        runs = await accuracy(
            relay, problems, replace(options, policy="random", handoff_share=share), at_once
        )
        low, high = (share, high) if utilisation(runs) > target else (low, share)
    return (low + high) / 2


async def costs_of(model: Model, context: tuple[int, ...]) -> Costs:
    """Milliseconds to write a token and to read one in a batch of a sentence's length."""
    write, read = [], []
    for repeat in range(12):
        ident = f"costs-{repeat}"
        base = GenerateRequest(prompt=context[:200], max_tokens=1, generation_id=ident)
        async for _ in model.engine.generate(base):
            pass
        started = time.perf_counter()
        tokens = 0
        longer = replace(base, max_tokens=64, sampling=Sampling(temperature=0))
        async for output in model.engine.generate(longer):
            tokens += len(output.token_ids)
        write.append((time.perf_counter() - started) * 1e3 / tokens)
        started = time.perf_counter()
        more = replace(base, prompt=context[: 200 + READ_TOKENS], max_tokens=1)
        async for _ in model.engine.generate(more):
            pass
        read.append(((time.perf_counter() - started) * 1e3 - write[-1]) / (READ_TOKENS - 1))
    return Costs(write=statistics.median(write), read=statistics.median(read))


async def speed(relay: Relay, problems: list[DemoProblem], options: Options) -> dict[str, Any]:
    """Wall-clock of the policies, interleaved; costs and limit from the same run."""
    names = ("large", "relay", "small")
    for name in names:  # warm up
        await solve(relay, problems[0], replace(options, policy=name))
    runs: dict[str, list[Run]] = {name: [] for name in names}
    costs: dict[ModelRole, list[Costs]] = {role: [] for role in ModelRole}
    for index, problem in enumerate(problems):
        for name in names[index % 3 :] + names[: index % 3]:
            runs[name].append(await solve(relay, problem, replace(options, policy=name)))
        if index % 10 == 0:
            trace = runs["relay"][-1].result.trace
            prompt = relay.prompt(problem.question).ids
            context = (*prompt, *(i for s in trace.segments for i in s.token_ids))
            for role, model in relay.models.items():
                if len(context) > 200 + READ_TOKENS:
                    costs[role].append(await costs_of(model, context))
    wall = {n: sum(r.result.trace.wall_s for r in rs) for n, rs in runs.items()}
    tokens = {n: sum(r.result.usage.completion_tokens for r in rs) for n, rs in runs.items()}
    per_token = {n: wall[n] * 1e3 / tokens[n] for n in names}
    cost = {
        role: Costs(
            write=statistics.median(c.write for c in found),
            read=statistics.median(c.read for c in found),
        )
        for role, found in costs.items()
    }
    alone = relayed = 0.0
    for run in runs["relay"]:
        result = run.result
        reading = reading_of(
            result.usage.prompt_tokens,
            [(s.role, len(s.token_ids)) for s in result.trace.segments],
        )
        factor = limit(reading, cost[ModelRole.LARGE], cost[ModelRole.SMALL])
        total = reading.large_written + reading.small_written
        own = reading.prompt * cost[ModelRole.LARGE].read + total * cost[ModelRole.LARGE].write
        alone += own
        relayed += own / factor
    equal = per_token["large"] / per_token["relay"]
    return {
        "problems": len(problems),
        "wall_s": wall,
        "tokens": tokens,
        "ms_per_token": per_token,
        "speed_up_wall": wall["large"] / wall["relay"],
        "speed_up_equal_tokens": equal,
        "costs_ms": {str(r): {"write": c.write, "read": c.read} for r, c in cost.items()},
        "limit": alone / relayed,
        "ratio_to_limit": equal / (alone / relayed),
        "handoffs_per_problem": sum(r.result.trace.handoffs for r in runs["relay"]) / len(problems),
        "overrun_tokens": sum(r.result.trace.overrun_tokens for r in runs["relay"]),
        "utilisation": utilisation(runs["relay"]),
    }


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    problems = list(demo_models.problems(unseen=arguments.unseen))[: arguments.problems]
    options = Options(sampling=SAMPLING, seed=arguments.seed, max_tokens=1200)
    at_once = arguments.at_once
    figures: dict[str, Any] = {"problems": len(problems), "accuracy": {}}
    async with open_pair(
        arguments.engine, arguments.large, arguments.small, arguments.threads
    ) as relay:
        if arguments.timed:
            figures["speed"] = await speed(relay, problems[: arguments.timed], options)
            print("speed", figures["speed"], flush=True)
        runs: dict[str, list[Run]] = {}
        for policy in ("large", "small", "relay", "random"):
            chosen = replace(options, policy=policy)
            if policy == "random":
                share = arguments.random_share
                if share is None:
                    share = await calibrate_random(
                        relay, problems[:24], options, utilisation(runs["relay"]), at_once
                    )
                chosen = replace(chosen, handoff_share=share)
                figures["random_share"] = share
            runs[policy] = await accuracy(relay, problems, chosen, at_once)
            right = sum(r.right for r in runs[policy])
            ends: dict[str, int] = {}
            for run in runs[policy]:
                reason = str(run.result.finish_reason)
                ends[reason] = ends.get(reason, 0) + 1
            figures["accuracy"][policy] = {
                "right": right,
                "share": right / len(problems),
                "interval_95": wilson(right, len(problems)),
                "utilisation": utilisation(runs[policy]),
                "tokens": sum(r.result.usage.completion_tokens for r in runs[policy]),
                "finish": ends,
            }
            print(policy, figures["accuracy"][policy], flush=True)
    for policy in ("small", "relay", "random"):
        figures["accuracy"][policy]["minus_large"] = paired_difference(
            [r.right for r in runs[policy]], [r.right for r in runs["large"]]
        )
    return figures


def main() -> None:
    """Parses, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("llama_cpp", "hf"), default="llama_cpp")
    parser.add_argument("--large", default="q8_0", help="encoding of the large model (GGUF)")
    parser.add_argument("--small", default="q8_0", help="encoding of the small model (GGUF)")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--timed", type=int, default=40, help="problems to time; 0: none")
    parser.add_argument("--unseen", action="store_true", help="names and things never trained on")
    parser.add_argument("--random-share", type=float, help="instead of calibrating it")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="", help="of the results file")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    figures["setting"] = {k: v for k, v in vars(arguments).items() if k != "name"}
    name = arguments.name or f"embedded_pair_{arguments.engine}"
    print(write_results(name, "measured", arguments.seed, figures))


if __name__ == "__main__":
    main()
