"""The embedded pair behind two vLLM servers on this CPU, through the gateway.

    python -m benchmarks.vllm_pair --python .venv-vllm/bin/python [--problems 100] [--loaded 96]

First one problem at a time: large alone, small alone and relay interleaved, with accuracy and the
ratio to the limit of working in sequence. Then several at once: latency, gaps at handoffs, tokens a
second, legs that wait, and prefix-cache hits against what was possible.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import statistics
from collections.abc import Sequence
from typing import Any

import aiohttp

from benchmarks.asking import Asked, ask, first_token_ms
from benchmarks.environment import write_results
from benchmarks.intervals import paired_difference, wilson
from benchmarks.launched import Launched, launched
from benchmarks.prefix_blocks import PrefixBlocks
from relaygen import demo_models
from relaygen.demo_models import DemoProblem
from relaygen.demo_models.grading import is_right
from relaygen.planning import Costs, limit, reading_of

MODEL = "relay"
POLICIES = ("large", "relay", "small")
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "max_tokens": 1200}
BLOCK = 32
_SHORT, _LONG = 64, 64 + 8 * BLOCK
_METRIC = re.compile(r"^vllm:prefix_cache_(hits|queries)_total\{[^}]*\}\s+(\S+)", re.M)


async def solve(
    session: aiohttp.ClientSession, at: Launched, policy: str, problem: DemoProblem, seed: int
) -> Asked:
    """One problem by one policy."""
    name = f"{MODEL}:{policy}"
    return await ask(session, at.gateway, name, problem.question, seed=seed, **SAMPLING)


async def reading_ms(
    session: aiohttp.ClientSession, at: Launched, role: str, draw: random.Random
) -> float:
    """Milliseconds to read a token: the slope between a short and a long prompt, both new."""
    slopes = []
    for _ in range(12):
        times = {}
        for length in (_SHORT, _LONG):
            prompt = [draw.randrange(300, 1000) for _ in range(length)]
            times[length] = await first_token_ms(session, at.gateway, f"{MODEL}:{role}", prompt)
        slopes.append((times[_LONG] - times[_SHORT]) / (_LONG - _SHORT))
    return statistics.median(slopes)


async def one_at_a_time(
    session: aiohttp.ClientSession, at: Launched, problems: Sequence[DemoProblem]
) -> dict[str, Any]:
    """Accuracy, time and the ratio to the limit."""
    for policy in POLICIES:
        await solve(session, at, policy, problems[0], 0)
    runs: dict[str, list[Asked]] = {policy: [] for policy in POLICIES}
    for index, problem in enumerate(problems):
        for policy in POLICIES[index % 3 :] + POLICIES[: index % 3]:
            runs[policy].append(await solve(session, at, policy, problem, index))
        if index % 20 == 19:
            print(f"{index + 1} problems", flush=True)
    draw = random.Random(0)
    costs = {
        role: Costs(
            write=statistics.median(
                (run.wall_s - run.first_s) * 1e3 / (run.completion_tokens - 1) for run in runs[role]
            ),
            read=await reading_ms(session, at, role, draw),
        )
        for role in ("large", "small")
    }
    return {
        "accuracy": accuracy(runs, problems),
        **speed(runs, costs),
        "handoff_gap_ms": quantiles([g for run in runs["relay"] for g in run.handoff_gaps_ms]),
        "costs_ms": {role: {"write": c.write, "read": c.read} for role, c in costs.items()},
    }


def accuracy(runs: dict[str, list[Asked]], problems: Sequence[DemoProblem]) -> dict[str, Any]:
    """Right answers, each policy against the large model."""
    hits = {
        policy: [is_right(p.answer, run.answer) for p, run in zip(problems, asked, strict=True)]
        for policy, asked in runs.items()
    }
    return {
        policy: {
            "right": sum(right),
            "share": sum(right) / len(right),
            "interval_95": wilson(sum(right), len(right)),
            "minus_large": paired_difference(right, hits["large"]),
        }
        for policy, right in hits.items()
    }


def speed(runs: dict[str, list[Asked]], costs: dict[str, Costs]) -> dict[str, Any]:
    """Speed-up in wall-clock and at equal tokens, against the limit of the relay's own traces."""
    wall = {policy: sum(run.wall_s for run in asked) for policy, asked in runs.items()}
    tokens = {p: sum(run.completion_tokens for run in asked) for p, asked in runs.items()}
    alone = relayed = 0.0
    large_tokens = handoffs = overrun = 0
    for run in runs["relay"]:
        reading = reading_of(run.prompt_tokens, run.segments)
        written = reading.large_written + reading.small_written
        own = reading.prompt * costs["large"].read + written * costs["large"].write
        alone += own
        relayed += own / limit(reading, costs["large"], costs["small"])
        large_tokens += reading.large_written
        handoffs += run.trace["handoffs"]
        overrun += run.trace["overrun_tokens"]
    equal = (wall["large"] / tokens["large"]) / (wall["relay"] / tokens["relay"])
    return {
        "wall_s": wall,
        "tokens": tokens,
        "utilisation": large_tokens / tokens["relay"],
        "handoffs_per_problem": handoffs / len(runs["relay"]),
        "overrun_tokens_per_problem": overrun / len(runs["relay"]),
        "speed_up_wall": wall["large"] / wall["relay"],
        "speed_up_equal_tokens": equal,
        "limit": alone / relayed,
        "ratio_to_limit": equal / (alone / relayed),
        "lost_ms_per_handoff": (wall["relay"] * 1e3 - relayed) / (2 * handoffs),
    }


async def several_at_once(
    session: aiohttp.ClientSession,
    at: Launched,
    problems: Sequence[DemoProblem],
    policy: str,
    streams: int,
) -> dict[str, Any]:
    """Latency and throughput of one policy with so many streams."""
    places = asyncio.Semaphore(streams)
    before = {role: await cache_counters(session, url) for role, url in servers(at).items()}

    async def one(index: int, problem: DemoProblem) -> Asked:
        async with places:
            return await solve(session, at, policy, problem, index)

    began = asyncio.get_running_loop().time()
    asked = await asyncio.gather(*(one(i, p) for i, p in enumerate(problems)))
    took = asyncio.get_running_loop().time() - began
    hits: dict[str, Any] = {}
    for role, url in servers(at).items():
        after = await cache_counters(session, url)
        actual = after["hits"] - before[role]["hits"]
        queries = after["queries"] - before[role]["queries"]
        hits[role] = {"hit_tokens": actual, "prompt_tokens": queries}
    return {
        "policy": policy,
        "streams": streams,
        "problems": len(problems),
        "latency_s": quantiles([run.wall_s for run in asked]),
        "first_text_s": quantiles([run.first_s for run in asked]),
        "handoff_gap_ms": quantiles([g for run in asked for g in run.handoff_gaps_ms]),
        "token_gap_ms": quantiles([g for run in asked for g in run.gaps_ms]),
        "tokens_per_s": sum(run.completion_tokens for run in asked) / took,
        "leg_wait_ms": leg_waits(asked),
        "prefix_cache": hits,
        "asked": asked,
    }


def leg_waits(asked: Sequence[Asked]) -> dict[str, Any]:
    """From a leg's request to its first token, by role: reading, and waiting for others."""
    waits: dict[str, list[float]] = {"large": [], "small": []}
    for run in asked:
        for segment in run.trace["segments"]:
            if segment["first_token_s"] is not None:
                wait = (segment["first_token_s"] - segment["started_s"]) * 1e3
                waits[segment["role"]].append(wait)
    return {role: quantiles(found) for role, found in waits.items() if found}


def servers(at: Launched) -> dict[str, str]:
    """The model servers by role."""
    return {"large": at.large, "small": at.small}


async def cache_counters(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """The server's own counters, in tokens."""
    async with session.get(f"{url}/metrics") as reply:
        text = await reply.text()
    return {name: float(value) for name, value in _METRIC.findall(text)}


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Median, 90th and 99th percentile."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        f"p{p}": ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in (50, 90, 99)
    }


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    problems = list(demo_models.problems())
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    figures: dict[str, Any] = {}
    async with (
        launched(("--engine", "vllm", "--python", arguments.python)) as at,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
    ):
        if arguments.problems:
            figures["one_at_a_time"] = await one_at_a_time(
                session, at, problems[: arguments.problems]
            )
            print(figures["one_at_a_time"], flush=True)
        figures["several_at_once"] = []
        blocks = PrefixBlocks(BLOCK)
        first = arguments.problems
        for streams in arguments.streams:
            count = min(arguments.loaded, max(8, 4 * streams))
            for policy in ("large", "relay"):
                # New problems each time, so that no cache holds their prompts.
                chosen = problems[first : first + count]
                first += count
                found = await several_at_once(session, at, chosen, policy, streams)
                possible = blocks.possible(found.pop("asked"))
                for role, counted in found["prefix_cache"].items():
                    counted["possible_tokens"] = possible[role]
                figures["several_at_once"].append(found)
                print(found, flush=True)
    return figures


def main() -> None:
    """Parses, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=".venv-vllm/bin/python", help="one that has vLLM")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--loaded", type=int, default=64, help="most problems of a loaded run")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    figures["setting"] = vars(arguments)
    print(write_results("vllm_pair", "measured", 0, figures))


if __name__ == "__main__":
    main()
