"""What a relay costs a token: matcher, segmenter and machine together, on real reasoning traces.

    python -m benchmarks.machine [--data DIR]

Each trace is one generation: whichever model has the word writes the trace's next token, one an
output, as an engine in this process delivers them. The figures hold the loop and the events that it
builds, which are the caller's work; ``caller_us_per_token_min`` says what they are of it. The traces are cut into tokens as in ``benchmarks/scanner.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from benchmarks.environment import write_results
from benchmarks.scanner import load
from relaygen import profiles
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.events import Generate, Output
from relaygen.relay.generation import Generation, ReasoningTags, WriterFacts
from relaygen.relay.machine import RelayMachine
from relaygen.relay.policies import RelayPolicy
from relaygen.types import ModelRole, Stage

PROMPT = tuple(range(200))
CONFIG = RelayConfig()


class Words:
    """A vocabulary of all tokens of the traces."""

    def __init__(self, traces: list[list[str]]) -> None:
        self._entries = [
            text.encode() for text in dict.fromkeys(t for trace in traces for t in trace)
        ]
        self._ids = {entry: index for index, entry in enumerate(self._entries)}

    def token_bytes(self, token_id: int) -> bytes:
        return self._entries[token_id]

    def encode(self, trace: list[str]) -> list[int]:
        return [self._ids[text.encode()] for text in trace]


def generation(tokens: int) -> Generation:
    facts = WriterFacts(eos_ids=frozenset({-1}))
    return Generation(
        prompt=PROMPT,
        max_tokens=tokens,
        writers={ModelRole.LARGE: facts, ModelRole.SMALL: facts},
        tags=ReasoningTags(close_id=-2),
        first_stage=Stage.REASONING,
    )


def play(machine: RelayMachine, trace: list[int]) -> int:
    """Relays one trace; returns the number of legs."""
    leg = 0
    for action in machine.next_actions():
        assert isinstance(action, Generate)
    legs = 1
    receive, kept = machine.receive, machine.tokens
    while len(kept) < len(trace):
        receive(Output(leg, (trace[len(kept)],)))
        for action in machine.next_actions():
            if isinstance(action, Generate):
                leg = action.leg_id
                legs += 1
    return legs


def seconds(
    traces: list[list[int]], words: Words, cues: tuple[SwitchCue, ...]
) -> tuple[float, int, int]:
    legs = received = 0
    began = time.process_time()
    for trace in traces:
        machine = RelayMachine(generation(len(trace)), words, RelayPolicy(cues, CONFIG), CONFIG)
        legs += play(machine, trace)
        received += len(trace) + sum(s.overrun_tokens for s in machine.segments)
    return time.process_time() - began, legs, received


def loop_seconds(traces: list[list[int]]) -> float:
    """The loop and its events alone, which are the caller's work."""
    began = time.process_time()
    for trace in traces:
        done: list[int] = []
        while len(done) < len(trace):
            event = Output(0, (trace[len(done)],))
            done.append(event.leg_id)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    texts = load(arguments.data)
    words = Words(texts)
    traces = [words.encode(trace) for trace in texts]
    count = sum(map(len, traces))
    figures: dict[str, float] = {"tokens": count, "generations": len(traces)}
    for name, cues in (("qwen3", profiles.load("qwen3").cues), ("no_cues", ())):
        runs = []
        for _ in range(arguments.repeats):
            duration, legs, received = seconds(traces, words, cues)
            runs.append(duration / received * 1e6)
        figures[f"{name}_legs"] = legs
        figures[f"{name}_tokens_received"] = received
        figures[f"{name}_us_per_token_median"] = round(statistics.median(runs), 3)
        figures[f"{name}_us_per_token_min"] = round(min(runs), 3)
    loops = [loop_seconds(traces) / count * 1e6 for _ in range(arguments.repeats)]
    figures["caller_us_per_token_min"] = round(min(loops), 3)
    path = write_results("machine", "measured", None, figures)
    print(path.read_text())


if __name__ == "__main__":
    main()
