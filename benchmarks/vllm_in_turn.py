"""One problem at a time over two servers: every policy in turn, accuracy, the ratio to the limit.

What the limit takes of the servers (to write, to read, for a request) is measured between the
problems, and every figure comes with an interval over problems: this machine has two paces, 1.5
times apart, for seconds each, and nothing in it tells which one it has.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.asking import Asked, ask, first_token_ms
from benchmarks.handoff_losses import ROLES, ServerCosts, speed
from benchmarks.intervals import bootstrap, paired_difference, quantiles, wilson
from benchmarks.launched import Launched
from relaygen.demo_models import DemoProblem
from relaygen.demo_models.grading import is_right
from relaygen.planning import Costs
from relaygen.types import ModelRole

MODEL = "relay"
BLOCK = 32
POLICIES = ("large", "relay", "small")
# Ways to hand over that are not the default.
WAYS: dict[str, dict[str, Any]] = {
    "closing": {"stop_hints": False},
    "reading_along": {"read_ahead": 16},
}
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "max_tokens": 1200}
_EARLY = 5
_SHORT, _LONG = 64, 64 + 8 * BLOCK
_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """One problem.

    Attributes:
        problem: it.
        runs: its generations, by policy or way.
        read_ms: by model, from a request with a short and with a long prompt, both new, to its one
            token.
    """

    problem: DemoProblem
    runs: dict[str, Asked] = field(default_factory=dict)
    read_ms: dict[ModelRole, tuple[float, float]] = field(default_factory=dict)


async def one_at_a_time(
    session: aiohttp.ClientSession, at: Launched, problems: Sequence[DemoProblem], ways: int
) -> dict[str, Any]:
    """Accuracy, time and the ratio to the limit; other ways to hand over on the first `ways`."""
    names = [*POLICIES, *WAYS]
    draw = random.Random(0)
    for policy in names:
        await solve(session, at, policy, problems[0], 0)
    turns = []
    for index, problem in enumerate(problems):
        now = names if index < ways else list(POLICIES)
        first = index % len(now)
        turn = Turn(problem)
        for policy in now[first:] + now[:first]:
            turn.runs[policy] = await solve(session, at, policy, problem, index)
        for role in ROLES:
            turn.read_ms[role] = await reading_ms(session, at, role, draw)
        turns.append(turn)
        if index % 20 == 19:
            print(f"{index + 1} problems", flush=True)
    return figures_of(turns, ways)


async def solve(
    session: aiohttp.ClientSession, at: Launched, policy: str, problem: DemoProblem, seed: int
) -> Asked:
    """One problem by one policy, or in one of `WAYS`."""
    way = WAYS.get(policy)
    name = f"{MODEL}:{policy}" if way is None else MODEL
    question = problem.question
    return await ask(session, at.gateway, name, question, seed=seed, relaygen=way, **SAMPLING)


async def reading_ms(
    session: aiohttp.ClientSession, at: Launched, role: ModelRole, draw: random.Random
) -> tuple[float, float]:
    """See `Turn.read_ms`."""
    short, long = [
        await first_token_ms(
            session, at.gateway, f"{MODEL}:{role}", [draw.randrange(300, 1000) for _ in range(n)]
        )
        for n in (_SHORT, _LONG)
    ]
    return short, long


def figures_of(turns: Sequence[Turn], ways: int) -> dict[str, Any]:
    """All figures of one problem at a time."""
    runs = runs_of(turns, POLICIES)
    figures: dict[str, Any] = {
        "accuracy": accuracy(runs, [turn.problem for turn in turns]),
        "wall_s": {policy: sum(run.wall_s for run in runs[policy]) for policy in POLICIES},
        "relay": speed_of(turns, "relay") | {"interval_95": intervals(turns, "relay")},
        "costs_ms": {
            role: {"write": c.tokens.write, "read": c.tokens.read, "request": c.request}
            for role, c in costs_of(turns).items()
        },
        "ms_a_token_by_place": {name: by_place(runs[name]) for name in POLICIES},
    }
    if ways:
        few = turns[:ways]
        figures["first_problems"] = len(few)
        figures["ways"] = {
            name: speed_of(few, name) | {"interval_95": intervals(few, name)}
            for name in ("relay", *WAYS)
        }
    return figures


def runs_of(turns: Sequence[Turn], names: Sequence[str]) -> dict[str, list[Asked]]:
    """The generations of some policies, in the problems' order."""
    return {name: [turn.runs[name] for turn in turns] for name in names}


def costs_of(turns: Sequence[Turn]) -> dict[ModelRole, ServerCosts]:
    """What the servers take.

    Means, as what they are held against is a sum: the machine is slower at times.
    """
    costs = {}
    for role in ROLES:
        alone = [turn.runs[role] for turn in turns]
        write = sum((run.wall_s - run.first_s) * 1e3 for run in alone)
        write /= sum(run.completion_tokens - 1 for run in alone)
        short = statistics.fmean(turn.read_ms[role][0] for turn in turns)
        long = statistics.fmean(turn.read_ms[role][1] for turn in turns)
        read = max(0.0, long - short) / (_LONG - _SHORT)
        request = short - _SHORT * read - write
        costs[role] = ServerCosts(tokens=Costs(write=write, read=read), request=request)
    return costs


def speed_of(turns: Sequence[Turn], name: str) -> dict[str, Any]:
    """See `speed`, and what a reader notices of handoffs."""
    found = speed(runs_of(turns, ("large", name)), name, costs_of(turns), BLOCK)
    gaps = [gap for turn in turns for gap in turn.runs[name].handoff_gaps_ms]
    return found | {"handoff_gap_ms": quantiles(gaps)}


def intervals(turns: Sequence[Turn], name: str) -> dict[str, tuple[float, float]]:
    """95 % intervals over problems of what matters most."""

    def figures(drawn: Sequence[Turn]) -> Mapping[str, float]:
        found = speed_of(drawn, name)
        slower = found["lost_ms_a_turn"]["tokens_slower_than_alone"]
        wanted = ("speed_up_wall", "speed_up_equal_tokens", "limit", "ratio_to_limit")
        return {key: found[key] for key in wanted} | {"tokens_slower_than_alone_ms_a_turn": slower}

    return bootstrap(turns, figures, draws=_DRAWS, seed=0)


def by_place(asked: Sequence[Asked]) -> dict[str, Any]:
    """Milliseconds between two tokens at the beginning of segments and after it, by role.

    Where a machine has two paces, the 10th percentile is that of the faster one.
    """
    found: dict[str, Any] = {}
    for role in ROLES:
        gaps = [gap for run in asked for gap in run.gaps if gap.role == role]
        parts = {
            "early": [gap.ms for gap in gaps if gap.place <= _EARLY],
            "later": [gap.ms for gap in gaps if gap.place > _EARLY],
        }
        found[role] = {
            part: {"mean": statistics.fmean(ms), "p10": sorted(ms)[len(ms) // 10]}
            for part, ms in parts.items()
            if ms
        }
    return found


def accuracy(
    runs: Mapping[str, Sequence[Asked]], problems: Sequence[DemoProblem]
) -> dict[str, Any]:
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
