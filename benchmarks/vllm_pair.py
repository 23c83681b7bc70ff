"""The embedded pair behind two vLLM servers on this CPU, through the gateway.

    python -m benchmarks.vllm_pair --python .venv-vllm/bin/python [--problems 100]

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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp

from benchmarks.asking import Asked, ask, first_token_ms
from benchmarks.environment import write_results
from benchmarks.handoff_losses import ServerCosts, speed
from benchmarks.intervals import paired_difference, wilson
from benchmarks.launched import Launched, launched
from benchmarks.prefix_blocks import PrefixBlocks
from relaygen import demo_models
from relaygen.demo_models import DemoProblem
from relaygen.demo_models.grading import is_right
from relaygen.planning import Costs
from relaygen.types import ModelRole

MODEL = "relay"
POLICIES = ("large", "relay", "small")
# Ways to hand over that are not the default, on the first `--ways` problems.
WAYS: dict[str, dict[str, Any]] = {
    "closing": {"stop_hints": False},
    "reading_along": {"read_ahead": 16},
}
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "max_tokens": 1200}
BLOCK = 32
_EARLY = 5
_SHORT, _LONG = 64, 64 + 8 * BLOCK
_METRIC = re.compile(r"^vllm:prefix_cache_(hits|queries)_total\{[^}]*\}\s+(\S+)", re.M)


async def solve(
    session: aiohttp.ClientSession, at: Launched, policy: str, problem: DemoProblem, seed: int
) -> Asked:
    """One problem by one policy, or in one of `WAYS`."""
    way = WAYS.get(policy)
    name = f"{MODEL}:{policy}" if way is None else MODEL
    question = problem.question
    return await ask(session, at.gateway, name, question, seed=seed, relaygen=way, **SAMPLING)


async def reading_ms(
    session: aiohttp.ClientSession, at: Launched, role: str, draw: random.Random
) -> tuple[float, float]:
    """Milliseconds to read a token, and for a request of one token that reads nothing.

    The slope between a short and a long prompt, both new, and where it meets zero.
    """
    slopes, shorts = [], []
    for _ in range(12):
        times = {}
        for length in (_SHORT, _LONG):
            prompt = [draw.randrange(300, 1000) for _ in range(length)]
            times[length] = await first_token_ms(session, at.gateway, f"{MODEL}:{role}", prompt)
        slopes.append((times[_LONG] - times[_SHORT]) / (_LONG - _SHORT))
        shorts.append(times[_SHORT])
    read = statistics.median(slopes)
    return read, statistics.median(shorts) - _SHORT * read


async def one_at_a_time(
    session: aiohttp.ClientSession, at: Launched, problems: Sequence[DemoProblem], ways: int
) -> dict[str, Any]:
    """Accuracy, time and the ratio to the limit; other ways to hand over on the first `ways`."""
    names = [*POLICIES, *WAYS]
    for policy in names:
        await solve(session, at, policy, problems[0], 0)
    runs: dict[str, list[Asked]] = {policy: [] for policy in names}
    for index, problem in enumerate(problems):
        now = names if index < ways else list(POLICIES)
        turn = index % len(now)
        for policy in now[turn:] + now[:turn]:
            runs[policy].append(await solve(session, at, policy, problem, index))
        if index % 20 == 19:
            print(f"{index + 1} problems", flush=True)
    draw = random.Random(0)
    costs = {}
    for role in ModelRole:
        # A mean, as what it is held against is a sum: the machine is slower at times.
        write = sum((run.wall_s - run.first_s) * 1e3 for run in runs[role])
        write /= sum(run.completion_tokens - 1 for run in runs[role])
        read, one_token = await reading_ms(session, at, role, draw)
        costs[role] = ServerCosts(tokens=Costs(write=write, read=read), request=one_token - write)
    figures: dict[str, Any] = {
        "accuracy": accuracy({policy: runs[policy] for policy in POLICIES}, problems),
        "wall_s": {policy: sum(run.wall_s for run in runs[policy]) for policy in POLICIES},
        "relay": speed(runs, "relay", costs, BLOCK) | gaps(runs["relay"]),
        "costs_ms": {
            role: {"write": c.tokens.write, "read": c.tokens.read, "request": c.request}
            for role, c in costs.items()
        },
    }
    figures["ms_a_token_by_place"] = {name: by_place(runs[name]) for name in POLICIES}
    if ways:
        few = {name: own[:ways] for name, own in runs.items()}
        figures["first_problems"] = ways
        figures["ways"] = {
            name: speed(few, name, costs, BLOCK) | gaps(few[name]) for name in ("relay", *WAYS)
        }
    return figures


def gaps(asked: Sequence[Asked]) -> dict[str, Any]:
    """What a reader notices of handoffs."""
    return {"handoff_gap_ms": quantiles([g for run in asked for g in run.handoff_gaps_ms])}


def by_place(asked: Sequence[Asked]) -> dict[str, Any]:
    """Mean milliseconds between two tokens at the beginning of segments and after it, by role."""
    found: dict[str, Any] = {}
    for role in ModelRole:
        gaps = [gap for run in asked for gap in run.gaps if gap.role == role]
        parts = {
            "early": [gap.ms for gap in gaps if gap.place <= _EARLY],
            "later": [gap.ms for gap in gaps if gap.place > _EARLY],
        }
        found[role] = {name: statistics.fmean(ms) if ms else None for name, ms in parts.items()}
    return found


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
        "token_gap_ms": quantiles([g.ms for run in asked for g in run.gaps]),
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
    figures: dict[str, Any] = {}
    fresh = iter(problems[arguments.problems :])  # new ones each time, so no cache holds them
    async with servers_and_session(arguments) as (at, session):
        if arguments.problems:
            figures["one_at_a_time"] = await one_at_a_time(
                session, at, problems[: arguments.problems], arguments.ways
            )
            print(figures["one_at_a_time"], flush=True)
        figures["several_at_once"] = []
        blocks = PrefixBlocks(BLOCK)
        for streams in arguments.streams:
            for policy in ("large", "relay"):
                chosen = list(islice(fresh, min(arguments.loaded, max(8, 4 * streams))))
                found = await several_at_once(session, at, chosen, policy, streams)
                possible = blocks.possible(found.pop("asked"))
                for role, counted in found["prefix_cache"].items():
                    counted["possible_tokens"] = possible[role]
                figures["several_at_once"].append(found)
                print(found, flush=True)
    figures["more_streams_than_slots"] = []
    for queue in (None, 0) if arguments.slots else ():
        async with servers_and_session(arguments, slots=arguments.slots, queue=queue) as opened:
            at, session = opened
            for policy in ("large", "relay") if queue is None else ("relay",):
                chosen = list(islice(fresh, arguments.loaded))
                found = await several_at_once(session, at, chosen, policy, 4 * arguments.slots)
                left_out = sum(run.trace["handoffs_left_out"] for run in found.pop("asked"))
                found |= {"max_queue_for_handoff": queue, "handoffs_left_out": left_out}
                figures["more_streams_than_slots"].append(found)
                print(found, flush=True)
    return figures


@asynccontextmanager
async def servers_and_session(
    arguments: argparse.Namespace, slots: int | None = None, queue: int | None = None
) -> AsyncIterator[tuple[Launched, aiohttp.ClientSession]]:
    """The pair and its gateway; servers that hold only so many sequences, a bound on the queue."""
    flags = ["--engine", "vllm", "--python", arguments.python]
    if slots is not None:
        flags += ["--slots", str(slots)]
    name = "RELAYGEN_RELAY__MAX_QUEUE_FOR_HANDOFF"
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        launched(flags, {} if queue is None else {name: str(queue)}) as at,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=connector
        ) as session,
    ):
        yield at, session


def main() -> None:
    """Parses, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=".venv-vllm/bin/python", help="one that has vLLM")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--ways", type=int, default=30, help="problems for other ways to hand over")
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument(
        "--slots", type=int, default=8, help="of servers that are too small; 0: none"
    )
    parser.add_argument("--result", default="vllm_pair", help="the results file's name")
    parser.add_argument("--loaded", type=int, default=64, help="most problems of a loaded run")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    figures["setting"] = vars(arguments)
    print(write_results(arguments.result, "measured", 0, figures))


if __name__ == "__main__":
    main()
