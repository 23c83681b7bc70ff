"""How near served models come to the limit of working in sequence, and where the rest goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.asking import Asked
from relaygen.planning import Costs, limit, reading_of
from relaygen.types import ModelRole

ROLES = (ModelRole.LARGE, ModelRole.SMALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerCosts:
    """Milliseconds that one server takes.

    Attributes:
        tokens: to write and to read one.
        request: for a leg, beside its tokens.
    """

    tokens: Costs
    request: float


def speed(
    runs: Mapping[str, Sequence[Asked]],
    relay: str,
    costs: Mapping[ModelRole, ServerCosts],
    block: int,
) -> dict[str, Any]:
    """Speed-up of one way to relay in wall-clock and at equal tokens, against its traces' limit.

    Args:
        runs: of the same problems, by name; the large model alone is "large".
        relay: the name of the way.
        costs: of both servers.
        block: tokens of a block of the servers' prefix caches.
    """
    wall = {name: sum(run.wall_s for run in runs[name]) for name in ("large", relay)}
    tokens = {name: sum(run.completion_tokens for run in runs[name]) for name in ("large", relay)}
    write_read = [costs[role].tokens for role in ROLES]
    alone = limited = 0.0
    large_tokens = handoffs = turns = early = 0
    lost = dict.fromkeys(
        ("requests", "blocks_read_again", "overrun_tokens", "tokens_slower_than_alone"), 0.0
    )
    paces = {role: _Pace() for role in ROLES}
    overrun = 0
    for run in runs[relay]:
        reading = reading_of(run.prompt_tokens, run.segments)
        written = reading.large_written + reading.small_written
        own = reading.prompt * write_read[0].read + written * write_read[0].write
        alone += own
        limited += own / limit(reading, *write_read)
        large_tokens += reading.large_written
        handoffs += run.trace["handoffs"]
        overrun += run.trace["overrun_tokens"]
        early += run.trace["early_stops"]
        turns += len(run.legs) - 1
        for role, legs, again in _legs(run, block):
            lost["requests"] += legs * costs[role].request
            lost["blocks_read_again"] += again * costs[role].tokens.read
        for segment in run.trace["segments"]:
            role = ModelRole(segment["role"])
            lost["overrun_tokens"] += segment["overrun_tokens"] * costs[role].tokens.write
            paces[role].add(segment)
    for role, pace in paces.items():
        lost["tokens_slower_than_alone"] += pace.ms - pace.steps * costs[role].tokens.write
    first = len(runs[relay]) * costs[ModelRole.LARGE].request  # the large model alone needs it too
    lost["requests"] -= first
    equal = (wall["large"] / tokens["large"]) / (wall[relay] / tokens[relay])
    beyond = wall[relay] * 1e3 - first - limited
    speed_limit = alone / limited
    return {
        "wall_s": wall[relay],
        "tokens": tokens[relay],
        "utilisation": large_tokens / tokens[relay],
        "handoffs_per_problem": handoffs / len(runs[relay]),
        "overrun_tokens_per_problem": overrun / len(runs[relay]),
        "early_stops_per_problem": early / len(runs[relay]),
        "speed_up_wall": wall["large"] / wall[relay],
        "speed_up_equal_tokens": equal,
        "limit": speed_limit,
        "ratio_to_limit": equal / speed_limit,
        "most_that_the_servers_requests_allow": limited / (limited + lost["requests"]),
        "ms_a_token_inside_segments": {role: pace.ms_a_step for role, pace in paces.items()},
        "lost_ms_a_turn": {
            "all": beyond / turns,
            **{name: ms / turns for name, ms in lost.items()},
            "rest": (beyond - sum(lost.values())) / turns,
        },
    }


@dataclass
class _Pace:
    """Time from token to token of one model, where nothing was handed over in between."""

    ms: float = 0.0
    steps: int = 0

    @property
    def ms_a_step(self) -> float | None:
        return self.ms / self.steps if self.steps else None

    def add(self, segment: Mapping[str, Any]) -> None:
        if segment["first_token_s"] is not None:
            self.ms += (segment["ended_s"] - segment["first_token_s"]) * 1e3
            self.steps += len(segment["token_ids"]) + segment["overrun_tokens"] - 1


def _legs(run: Asked, block: int) -> list[tuple[ModelRole, int, int]]:
    """By role: its legs, and the tokens that it knew and read again, for they filled no block."""
    known = dict.fromkeys(ROLES, 0)
    legs, again = dict.fromkeys(ROLES, 0), dict.fromkeys(ROLES, 0)
    at = run.prompt_tokens
    for role, count in run.legs:
        legs[role] += 1
        again[role] += known[role] % block
        at += count
        known[role] = at
    return [(role, legs[role], again[role]) for role in ROLES]
