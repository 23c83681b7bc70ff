"""What a handoff over HTTP costs in each of the ways that it can be made.

    python -m benchmarks.handoff_modes [--quick] [--data DIR]

Two questions, over simulated servers in processes of their own (`benchmarks.stand_in`):

* A leg that is not needed any further: does the client close its connection, or does the server end
  the leg itself at a stop string? The legs of a story are asked for in turn, by each way.
* Should the model that does not write be asked to read along (`RelayConfig.read_ahead`)?

Stop strings know neither sentence starts nor decimals: where one is found too early, the leg has to
be asked for again. How often that would be, for each leg, is counted on real traces, with the
``qwen3`` profile, where ``--data`` has them; and how many legs their servers would end themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import keep_results
from benchmarks.machine import CONFIG, Words, generation, play
from benchmarks.processes import Fleet
from benchmarks.scanner import load as load_traces
from benchmarks.scripted_trace import CUES, Story, story
from benchmarks.stand_in_pair import GREEDY, ROLES, Pace, Pair, Questions, check
from relaygen.api import Options, Relay
from relaygen.engines.base import Engine, GenerateRequest
from relaygen.planning import Costs
from relaygen.profiles import load as load_profile
from relaygen.relay.config import RelayConfig
from relaygen.relay.hints import SENTENCE_END_HINTS, cue_hints
from relaygen.relay.machine import RelayMachine
from relaygen.relay.policies import RelayPolicy
from relaygen.types import ModelRole

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL
SEED = 0
REQUEST_MS = 2.0
WRITE_MS = ((5.0, 0.8), (2.0, 0.4))
READ_MS = {LARGE: 0.2, SMALL: 0.02}
TOKENS, HANDOFFS, LARGE_SHARE = 1800, 27, 0.7
_PUBLISHED_ENDS = (".", "!", "?", "\n\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """How a leg is ended.

    Attributes:
        name: of it.
        stops: strings that each role's server stops at; empty: the client closes the connection.
        looks_ahead: a token is read to be sure that the small model's sentence has ended.
    """

    name: str
    stops: dict[ModelRole, tuple[str, ...]]
    looks_ahead: bool = True

    def taken(self, role: ModelRole, count: int) -> int:
        """Tokens that a leg delivers, of which `count` are wanted."""
        return count + (role is SMALL and self.looks_ahead)


MODES = (
    Mode(name="close", stops={LARGE: (), SMALL: ()}),
    Mode(name="stop hints of the small model", stops={LARGE: (), SMALL: SENTENCE_END_HINTS}),
    Mode(name="stop hints of both", stops={LARGE: CUES, SMALL: SENTENCE_END_HINTS}),
    Mode(
        name="stop strings as published",
        stops={LARGE: (*CUES, "</think>"), SMALL: _PUBLISHED_ENDS},
        looks_ahead=False,
    ),
)


class Legs:
    """Asks for the legs of a story in turn."""

    def __init__(self, pair: Pair, relay: Relay, told: Story) -> None:
        self._pair = pair
        self._engines: dict[ModelRole, Engine] = {r: relay.models[r].engine for r in ROLES}
        self._story = told
        self._stopped = 0

    async def run(self, mode: Mode, prompt: Sequence[int], pace: Pace) -> dict[str, float]:
        """Figures a handoff or handback, of the whole story but its answer."""
        before = {role: self._pair.counts(role) for role in ROLES}
        segments = self._story.segments[:-1]
        ids, at, lost = list(prompt), 0, 0.0
        self._stopped = 0
        decided = None
        wanted = dict.fromkeys(ROLES, 0)
        for role, count in segments:
            taken = mode.taken(role, count)
            first, last = await self._leg(role, ids, taken, mode)
            if decided is not None:
                lost += (first - decided) * 1e3
            decided = last
            ids += self._story.token_ids[at : at + count]
            at += count
            wanted[role] += taken
        turns = len(segments) - 1
        due = sum(bool(mode.stops[role]) for role, _ in segments)
        # No hint ends the large model's last leg: that is for its closing tag.
        assert due - 1 <= self._stopped <= due, f"the servers ended {self._stopped} of {due} legs"
        beyond = cost = 0.0
        for role in ROLES:
            now = self._pair.counts(role)
            beyond += now.written - before[role].written - wanted[role]
            cost += (now.read - before[role].read) * pace.costs[role].read
            legs = sum(writer is role for writer, _ in segments)
            cost += legs * (pace.request + pace.costs[role].write)
        # The first leg of all is no turn.
        cost -= pace.request + pace.costs[LARGE].write + len(prompt) * pace.costs[LARGE].read
        return {
            "ms_a_turn": lost / turns,
            "ms_a_turn_beyond_the_servers_own": (lost - cost) / turns,
            "tokens_overrun_a_turn": beyond / turns,
        }

    async def _leg(
        self, role: ModelRole, prompt: Sequence[int], taken: int, mode: Mode
    ) -> tuple[float, float]:
        """When its first token came, and the one at which it is decided who writes next."""
        request = GenerateRequest(
            prompt=tuple(prompt), max_tokens=1000, sampling=GREEDY, stop_hints=mode.stops[role]
        )
        first, written = 0.0, 0
        outputs = self._engines[role].generate(request)
        async with aclosing(outputs):
            async for output in outputs:
                first = first or time.perf_counter()
                written += len(output.token_ids)
                if written >= taken:
                    self._stopped += output.end is not None
                    break
        # Where the server ended the leg, nothing is left to be closed.
        return first, time.perf_counter()


async def endings(write: tuple[float, float], rounds: int) -> dict[str, Any]:
    """Each way to end a leg, in turn."""
    told = story(tokens=TOKENS, handoffs=HANDOFFS, large_share=LARGE_SHARE, seed=SEED)
    pace = _pace(write, READ_MS)
    questions = Questions()
    runs: dict[str, list[dict[str, float]]] = {mode.name: [] for mode in MODES}
    with Fleet() as fleet:
        pair = Pair(fleet, told, pace)
        async with pair.relay() as relay:
            legs = Legs(pair, relay, told)
            for _ in range(rounds):
                for mode in MODES:
                    prompt = relay.prompt(questions.next()).ids
                    runs[mode.name].append(await legs.run(mode, prompt, pace))
    return {
        "ms_a_token": dict(zip(map(str, ROLES), write, strict=True)),
        "modes": {name: _medians(found) for name, found in runs.items()},
    }


async def reading_along(
    write: tuple[float, float], read: dict[ModelRole, float], every: Sequence[int], rounds: int
) -> dict[str, Any]:
    """Whole generations, with hints to read along and without."""
    told = story(tokens=TOKENS, handoffs=HANDOFFS, large_share=LARGE_SHARE, seed=SEED)
    pace, questions = _pace(write, read), Questions()
    runs: dict[int, list[dict[str, float]]] = {count: [] for count in every}
    with Fleet() as fleet:
        pair = Pair(fleet, told, pace)
        async with pair.relay() as relay:
            for _ in range(rounds):
                for count in every:
                    before = {role: pair.counts(role) for role in ROLES}
                    options = Options(sampling=GREEDY, config=RelayConfig(read_ahead=count))
                    result = await relay.generate(questions.next(), options)
                    check(told, result)
                    now = {role: pair.counts(role) for role in ROLES}
                    written = sum(now[r].written - before[r].written for r in ROLES)
                    runs[count].append(
                        {"wall_ms": result.trace.wall_s * 1e3, "tokens_on_the_servers": written}
                    )
    figures = {str(count): _medians(found) for count, found in runs.items()}
    for own in figures.values():
        own["saved_ms_a_turn"] = (figures["0"]["wall_ms"] - own["wall_ms"]) / (told.requests - 1)
    return {
        "ms_a_token": dict(zip(map(str, ROLES), write, strict=True)),
        "ms_a_read_token": {str(role): ms for role, ms in read.items()},
        "read_ahead": figures,
    }


def too_early(data: Path) -> dict[str, dict[str, float]]:
    """How often stop strings would end a leg of a real trace before its end, for each leg."""
    texts = load_traces(data)
    words = Words(texts)
    cues = load_profile("qwen3").cues
    ways = {
        "hints": {LARGE: cue_hints(cues), SMALL: SENTENCE_END_HINTS},
        "the first four hints": {LARGE: cue_hints(cues)[:4], SMALL: SENTENCE_END_HINTS[:4]},
        "as published": {LARGE: tuple(cue.text for cue in cues), SMALL: _PUBLISHED_ENDS},
    }
    legs = dict.fromkeys(ROLES, 0)
    found = {
        name: {f"{what}_{role}": 0 for what in ("early", "ended") for role in ROLES}
        for name in ways
    }
    for text in texts:
        trace = words.encode(text)
        machine = RelayMachine(generation(len(trace)), words, RelayPolicy(cues, CONFIG), CONFIG)
        play(machine, trace)
        after = itertools.chain((s.text for s in machine.segments[1:]), ("",))
        for segment, following in zip(machine.segments, after, strict=True):
            role = segment.role
            legs[role] += 1
            # A leg's last token may be read only to decide: the next sentence's, or a cue's space.
            end = segment.text + following[:2]
            for name, stops in ways.items():
                # The stop that ends the segment itself is no early one.
                early = _found(segment.text[:-1].rstrip(), stops[role])
                found[name][f"early_{role}"] += early
                found[name][f"ended_{role}"] += _found(end, stops[role]) > early
    return {
        name: {what: count / legs[ModelRole(what[6:])] for what, count in own.items()}
        for name, own in found.items()
    }


def _found(text: str, stops: Sequence[str]) -> int:
    """How often a server would stop, if each time it were asked to go on."""
    count = at = 0
    while True:
        ends = [text.find(stop, at) + len(stop) for stop in stops if text.find(stop, at) >= 0]
        if not ends:
            return count
        count, at = count + 1, min(ends)


def _pace(write: tuple[float, float], read: dict[ModelRole, float]) -> Pace:
    pairs = zip(ROLES, write, strict=True)
    return Pace(
        request=REQUEST_MS, costs={role: Costs(write=ms, read=read[role]) for role, ms in pairs}
    )


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _print_endings(found: dict[str, Any]) -> None:
    large, small = found["ms_a_token"].values()
    print(f"\nending a leg, {large:g} / {small:g} ms a token")
    for name, own in found["modes"].items():
        print(
            f"  {name:34} {own['ms_a_turn']:6.2f} ms a turn, of it "
            f"{own['ms_a_turn_beyond_the_servers_own']:5.2f} not the servers'; "
            f"{own['tokens_overrun_a_turn']:5.2f} tokens overrun"
        )


def _print_reading(found: dict[str, Any]) -> None:
    write, read = found["ms_a_token"], found["ms_a_read_token"]
    print(
        f"\nreading along, writing {write['large']:g} / {write['small']:g} ms, reading "
        f"{read['large']:g} / {read['small']:g} ms a token"
    )
    for every, own in found["read_ahead"].items():
        print(
            f"  every {every:>3} tokens {own['wall_ms']:8.0f} ms, "
            f"{own['saved_ms_a_turn']:+6.2f} ms saved a turn, "
            f"{own['tokens_on_the_servers']:.0f} tokens written on the servers"
        )


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    quick, rounds = arguments.quick, 1 if arguments.quick else arguments.rounds
    figures: dict[str, Any] = {"models": "simulated", "request_ms": REQUEST_MS}
    figures["endings"] = []
    for write in WRITE_MS[-1:] if quick else WRITE_MS:
        figures["endings"].append(await endings(write, rounds))
        _print_endings(figures["endings"][-1])
    figures["reading_along"] = []
    for factor in (5,) if quick else (0.1, 1, 5):
        read = {role: ms * factor for role, ms in READ_MS.items()}
        found = await reading_along(WRITE_MS[0], read, (0, 16, 8, 4), rounds)
        figures["reading_along"].append(found)
        _print_reading(found)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pace, once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    if arguments.data.exists():
        figures["stops_too_early_in_real_traces"] = too_early(arguments.data)
        print("\nstop strings found too early in real traces:")
        for name, own in figures["stops_too_early_in_real_traces"].items():
            print(f"  {name}: " + ", ".join(f"{k} {value:.3f}" for k, value in own.items()))
    else:
        print(f"real traces are left out: {arguments.data} is not there")
    keep_results("handoff_modes", SEED, figures, quick=arguments.quick)


if __name__ == "__main__":
    main()
