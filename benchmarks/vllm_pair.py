"""The embedded pair behind two vLLM servers on this CPU, through the gateway.

    python -m benchmarks.vllm_pair --python .venv-vllm/bin/python [--problems 100]

First one problem at a time: large alone, small alone and relay interleaved, with accuracy and the
ratio to the limit of working in sequence. Then several at once: latency, gaps at handoffs, tokens a
second, legs that wait, and prefix-cache hits against what was possible.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp

from benchmarks.asking import Asked
from benchmarks.environment import write_results
from benchmarks.intervals import quantiles
from benchmarks.launched import Launched, launched
from benchmarks.pinning import pin_engines
from benchmarks.prefix_blocks import PrefixBlocks
from benchmarks.vllm_in_turn import BLOCK, one_at_a_time, solve
from relaygen import demo_models
from relaygen.demo_models import DemoProblem

_METRIC = re.compile(r"^vllm:prefix_cache_(hits|queries)_total\{[^}]*\}\s+(\S+)", re.M)


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
        if arguments.pin:
            pin_engines()
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
    parser.add_argument("--pin", action="store_true", help="the engines on a core of their own")
    parser.add_argument("--result", default="vllm_pair", help="the results file's name")
    parser.add_argument("--loaded", type=int, default=64, help="most problems of a loaded run")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    figures["setting"] = vars(arguments)
    print(write_results(arguments.result, "measured", 0, figures))


if __name__ == "__main__":
    main()
