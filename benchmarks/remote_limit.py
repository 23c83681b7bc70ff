"""How near a relay over HTTP comes to the limit of working in sequence.

    python -m benchmarks.remote_limit [--quick] [--openai-python PYTHON]

The models are simulated: two servers recite a story, in processes of their own, at exact times. The
same story is written by the published code's loop (`benchmarks.paper_loop`), by the library, and
through the gateway, in turn. The limit is that of `relaygen.planning.limit`, once with the times the
servers are told to take and once with those that a client measures in this run. The ceiling is what
is left of it where each request takes its 2 ms and nothing else is lost.

The published loop runs under ``--openai-python`` (which needs ``openai`` and ``tokenizers``), else
under this Python, with the standard library's HTTP client where ``openai`` is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from benchmarks.environment import keep_results
from benchmarks.processes import REPOSITORY, Fleet, Process
from benchmarks.scripted_trace import CUES, Story, story
from benchmarks.stand_in_pair import GREEDY, ROLES, Counts, Pace, Pair, Questions, check, limit_ms
from relaygen import demo_models
from relaygen.api import Options, Relay
from relaygen.planning import Costs, reading_of
from relaygen.runner import Result
from relaygen.types import ModelRole

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL
SEED = 0
TOKENS, LARGE_SHARE = 1800, 0.7
REQUEST_MS = 2.0
READ_MS = {LARGE: 0.2, SMALL: 0.02}
WRITE_MS = ((20.0, 3.0), (5.0, 0.8), (2.0, 0.4))
GOALS = {20.0: 0.99, 5.0: 0.97, 2.0: 0.94}
HANDOFFS = (27, 55)
"""At cues; the answer is one more. 28 handoffs are 56 requests, as in the paper's trace."""
OPTIONS = Options(sampling=GREEDY)
WAYS = ("paper's loop", "library", "gateway")


@dataclass(frozen=True)
class Written:
    """One generation by the library, and what the servers did for it."""

    result: Result
    counts: dict[ModelRole, Counts]


class Course:
    """One story at one pace, written in every way."""

    def __init__(self, fleet: Fleet, told: Story, pace: Pace, openai_python: str) -> None:
        self._pace = pace
        self._story = told
        self._pair = Pair(fleet, told, pace)
        self._python = openai_python
        self._door: Process = fleet.gateway(self._pair.settings())
        self._questions = Questions()
        self._http_client = ""

    async def run(self, rounds: int) -> dict[str, Any]:
        """Everything about it."""
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        found: list[Written] = []
        costs: list[dict[ModelRole, Costs]] = []
        bare: list[float] = []
        async with self._pair.relay() as relay, aiohttp.ClientSession() as session:
            await relay.generate(self._questions.next(), replace(OPTIONS, max_tokens=200))
            await self._through_gateway(session, max_tokens=200)
            for _ in range(rounds):
                costs.append(await self._pair.measured(relay))
                bare.append(self._pair.bare_round_trip_ms())
                seconds["paper's loop"].append(await self._paper(relay))
                found.append(await self._library(relay))
                seconds["library"].append(found[-1].result.trace.wall_s)
                seconds["gateway"].append(await self._through_gateway(session))
            prompt = len(relay.prompt(self._questions.next()).ids)
        own = {role: _median_costs([cost[role] for cost in costs]) for role in ROLES}
        figures = self._figures(prompt, own, seconds, found)
        return figures | {"bare_round_trip_ms": statistics.median(bare)}

    async def _paper(self, relay: Relay) -> float:
        prompt = relay.prompt(self._questions.next()).ids
        servers = self._pair.servers
        arguments = [self._python, str(REPOSITORY / "benchmarks" / "paper_loop.py")]
        arguments += ["--large", servers[LARGE].url, "--small", servers[SMALL].url]
        arguments += ["--tokenizer", str(demo_models.hf_folder("large") / "tokenizer.json")]
        arguments += ["--prompt", json.dumps(prompt), "--cues", json.dumps(CUES)]
        done = await asyncio.to_thread(
            subprocess.run, arguments, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the published loop failed: {done.stderr[-2000:]}")
        told = json.loads(done.stdout)
        assert told["requests"] == self._story.requests, told
        self._http_client = told["client"]
        return float(told["seconds"])

    async def _library(self, relay: Relay) -> Written:
        before = {role: self._pair.counts(role) for role in ROLES}
        result = await relay.generate(self._questions.next(), OPTIONS)
        check(self._story, result)
        after = {role: self._pair.counts(role) for role in ROLES}
        counts = {
            role: Counts(
                written=after[role].written - before[role].written,
                read=after[role].read - before[role].read,
            )
            for role in ROLES
        }
        return Written(result, counts)

    async def _through_gateway(self, session: aiohttp.ClientSession, **more: Any) -> float:
        body = {
            "model": "pair",
            "messages": [{"role": "user", "content": self._questions.next()}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            **more,
        }
        began = time.perf_counter()
        async with session.post(f"{self._door.url}/v1/chat/completions", json=body) as reply:
            data = await reply.read()
        seconds = time.perf_counter() - began
        last = json.loads(data.split(b"data: ")[-2])
        expected = sum(count for _, count in self._story.segments)
        written = last["usage"]["completion_tokens"]
        assert written == more.get("max_tokens", expected), f"{written} tokens, not {expected}"
        return seconds

    def _figures(
        self,
        prompt: int,
        costs: dict[ModelRole, Costs],
        seconds: dict[str, list[float]],
        found: Sequence[Written],
    ) -> dict[str, Any]:
        pace, requests = self._pace, self._story.requests
        nominal = limit_ms(prompt, self._story, pace.costs)
        measured = limit_ms(prompt, self._story, costs)
        wall = {way: statistics.median(times) * 1e3 for way, times in seconds.items()}
        return {
            "ms_a_token": {str(r): pace.costs[r].write for r in ROLES},
            "ms_a_token_measured": {
                str(r): {"write": costs[r].write, "read": costs[r].read} for r in ROLES
            },
            "tokens": sum(count for _, count in self._story.segments),
            "prompt_tokens": prompt,
            "requests": requests,
            "handoffs": self._story.handoffs,
            "utilisation": self._story.written(LARGE) / len(self._story.token_ids),
            "limit_ms": {"nominal": nominal, "measured": measured},
            "ceiling_of_the_requests": measured / (measured + requests * pace.request),
            "goal": GOALS[pace.costs[LARGE].write],
            "wall_ms": wall,
            "wall_ms_all": {way: [t * 1e3 for t in times] for way, times in seconds.items()},
            "ratio_to_limit": {way: measured / ms for way, ms in wall.items()},
            "ratio_to_nominal_limit": {way: nominal / ms for way, ms in wall.items()},
            "lost_ms_a_request": {way: (ms - measured) / requests for way, ms in wall.items()},
            "library_lost_ms_a_request": self._split(prompt, costs, found),
            "http_client_of_the_papers_loop": self._http_client,
        }

    def _split(
        self, prompt: int, costs: dict[ModelRole, Costs], found: Sequence[Written]
    ) -> dict[str, float]:
        """Where the library's time beyond the limit goes; the median of its runs."""
        parts = [self._split_one(prompt, costs, written) for written in found]
        return {name: statistics.median(part[name] for part in parts) for name in parts[0]}

    def _split_one(
        self, prompt: int, costs: dict[ModelRole, Costs], written: Written
    ) -> dict[str, float]:
        trace, requests = written.result.trace, self._story.requests
        first = inside = read_again = looked_ahead = beyond = 0.0
        for segment in trace.segments:
            write = costs[segment.role].write
            assert segment.first_token_s is not None
            first += (segment.first_token_s - segment.started_s) * 1e3 - write
            taken = len(segment.token_ids) + segment.overrun_tokens
            inside += (segment.ended_s - segment.first_token_s) * 1e3 - (taken - 1) * write
            looked_ahead += segment.overrun_tokens * write
        reading = reading_of(prompt, self._story.segments)
        due = {LARGE: prompt + reading.large_reads, SMALL: prompt + reading.small_reads}
        for role, counts in written.counts.items():
            first -= counts.read * costs[role].read
            read_again += (counts.read - due[role]) * costs[role].read
            beyond += counts.written - self._story.written(role)
        parts = {
            "request": self._pace.request * requests,
            "round_trip": first - self._pace.request * requests,
            "look_ahead_tokens": looked_ahead,
            "read_again": read_again,
            "late_tokens": inside,
        }
        figures = {name: ms / requests for name, ms in parts.items()}
        return figures | {"tokens_overrun_on_the_servers": beyond / requests}


def _median_costs(costs: Sequence[Costs]) -> Costs:
    return Costs(
        write=statistics.median(cost.write for cost in costs),
        read=statistics.median(cost.read for cost in costs),
    )


def _print(course: dict[str, Any]) -> None:
    large, small = course["ms_a_token"].values()
    own = course["ms_a_token_measured"]
    limits = course["limit_ms"]
    print(
        f"\n{large:g} / {small:g} ms a token (measured "
        f"{own['large']['write']:.3f} / {own['small']['write']:.3f}; reading "
        f"{own['large']['read']:.3f} / {own['small']['read']:.3f}), {course['tokens']} tokens, "
        f"{course['handoffs']} handoffs, {course['requests']} requests\n"
        f"limit {limits['measured']:.0f} ms (nominal {limits['nominal']:.0f}); ceiling of "
        f"{REQUEST_MS:g} ms a request {course['ceiling_of_the_requests']:.3f}; goal "
        f"{course['goal']}"
    )
    for way in WAYS:
        print(
            f"  {way:14} {course['wall_ms'][way]:9.0f} ms  {course['ratio_to_limit'][way]:.3f} of "
            f"the limit ({course['ratio_to_nominal_limit'][way]:.3f} of the nominal one)  "
            f"{course['lost_ms_a_request'][way]:6.2f} ms lost a request"
        )
    split = course["library_lost_ms_a_request"]
    print("  library, a request: " + ", ".join(f"{k} {v:.3f}" for k, v in split.items()))
    print(f"  round trip of a bare socket: {course['bare_round_trip_ms']:.3f}")


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One entry a pace and number of handoffs."""
    quick = arguments.quick
    courses = []
    for write in WRITE_MS[-1:] if quick else WRITE_MS:
        for handoffs in HANDOFFS[:1] if quick else HANDOFFS:
            told = story(tokens=TOKENS, handoffs=handoffs, large_share=LARGE_SHARE, seed=SEED)
            pace = Pace(
                request=REQUEST_MS,
                costs={
                    role: Costs(write=ms, read=READ_MS[role])
                    for role, ms in zip(ROLES, write, strict=True)
                },
            )
            with Fleet() as fleet:
                course = Course(fleet, told, pace, arguments.openai_python)
                courses.append(await course.run(1 if quick else arguments.rounds))
            _print(courses[-1])
    return courses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pace, once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openai-python", default=sys.executable)
    arguments = parser.parse_args()
    courses = asyncio.run(measure(arguments))
    figures = {"models": "simulated", "courses": courses}
    keep_results("remote_limit", SEED, figures, quick=arguments.quick)


if __name__ == "__main__":
    main()
