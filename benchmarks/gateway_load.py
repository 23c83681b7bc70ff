"""What the gateway adds to a stream, and how many it carries.

    python -m benchmarks.gateway_load [--quick] [--litellm-python PYTHON]

The models are simulated (`benchmarks.replay_server`); the load generator, the model servers and
what is measured are processes of their own, all on one machine. Every load is put on the model
server directly, on a proxy that only hands bytes on, on the gateway (the large model alone, then a
relay) and, where its Python is given, on LiteLLM's proxy, in turn. What a target adds is its figure
minus that of the model server directly, in the same round.

All processes share the cores, so times grow where they compete. The CPU time that a target takes a
token does not depend on the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.environment import keep_results
from benchmarks.load_client import Load
from benchmarks.load_targets import DIRECT, LITELLM, Target, targets
from benchmarks.processes import REPOSITORY, Fleet
from benchmarks.scripted_trace import Story, story

SEED = 0
PARTS = ("first", "gaps", "whole")
_QUANTILES = {"p50": 0.5, "p99": 0.99}
_ONCE_FROM = 1000
"""Streams from which LiteLLM's proxy is measured in the first round only: it takes minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One load.

    Attributes:
        name: of it.
        streams: at once.
        decode_ms: between two tokens of a stream.
        tokens: of a request.
        requests: one after another in each stream.
        ramp_s: the streams begin within so many seconds.
    """

    name: str
    streams: int
    decode_ms: float
    tokens: int
    requests: int = 1
    ramp_s: float = 0.0


LEVELS = (
    Level(name="1 stream", streams=1, decode_ms=20, tokens=100, requests=3),
    Level(name="100 streams", streams=100, decode_ms=50, tokens=100, ramp_s=1),
    Level(name="1,000 streams", streams=1000, decode_ms=500, tokens=24, ramp_s=8),
    Level(name="2,000 streams", streams=2000, decode_ms=1000, tokens=20, ramp_s=16),
    Level(name="as many tokens as it can", streams=100, decode_ms=2, tokens=400),
    Level(name="as many requests as it can", streams=32, decode_ms=0, tokens=4, requests=40),
)
QUICK = (
    Level(name="1 stream", streams=1, decode_ms=20, tokens=40, requests=1),
    Level(name="100 streams", streams=100, decode_ms=50, tokens=40, ramp_s=1),
    Level(name="300 streams", streams=300, decode_ms=150, tokens=20, ramp_s=3),
    Level(name="as many tokens as it can", streams=100, decode_ms=2, tokens=100),
    Level(name="as many requests as it can", streams=32, decode_ms=0, tokens=4, requests=10),
)


def measure(level: Level, told: Story, rounds: int, litellm: Path | None) -> dict[str, Any]:
    """One level on every target."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with Fleet() as fleet:
        found = targets(fleet, told, level.decode_ms, litellm)
        for target in found:  # imports, caches, the first connections
            _load(target, Level(name="", streams=4, decode_ms=0, tokens=8))
        for number in range(rounds):
            turn = number % len(found)
            for target in found[turn:] + found[:turn]:
                if number and target.name == LITELLM and level.streams >= _ONCE_FROM:
                    continue
                runs.setdefault(target.name, []).append(_load(target, level))
    figures = {target.name: _medians(runs[target.name]) for target in found}
    for name, own in figures.items():
        own["added_ms"] = _added(runs[name], runs[DIRECT])
    return {"level": asdict(level), "targets": figures}


def _added(
    runs: Sequence[dict[str, Any]], direct: Sequence[dict[str, Any]]
) -> dict[str, float | None]:
    """The median of the differences, round by round; None where there is nothing to compare."""
    added: dict[str, float | None] = {}
    for part in PARTS:
        for quantile in _QUANTILES:
            pairs = [
                (own.get(f"{part}_ms", {}).get(quantile), bare.get(f"{part}_ms", {}).get(quantile))
                for own, bare in zip(runs, direct, strict=False)
            ]
            added[f"{part}_{quantile}"] = _median(
                [None if a is None or b is None else a - b for a, b in pairs]
            )
    return added


def _load(target: Target, level: Level) -> dict[str, Any]:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": "{n} boxes hold how many apples?"}],
        "stream": True,
        "max_tokens": level.tokens,
        "temperature": 0,
    }
    load = Load(
        url=target.url,
        body=json.dumps(body),
        streams=level.streams,
        requests=level.requests,
        ramp_s=level.ramp_s,
    )
    began = target.process.cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_client"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    cpu_s = target.process.cpu_s() - began
    if done.returncode:
        return {"errors": {done.stderr.strip().rpartition("\n")[2]: level.streams}, "whole_ms": {}}
    seen = json.loads(done.stdout)
    ended = len(seen["whole"])
    tokens = max(1, ended * level.tokens)
    return {
        **{f"{part}_ms": _quantiles(seen[part]) for part in PARTS},
        "ended": ended,
        "open_at_once": seen["open_at_once"],
        "errors": seen["errors"],
        "tokens_a_second": ended * level.tokens / seen["seconds"],
        "requests_a_second": ended / seen["seconds"],
        "cpu_us_a_token": cpu_s / tokens * 1e6,
        "cpu_ms_a_request": cpu_s / max(1, ended) * 1e3,
        "cpu_share": cpu_s / seen["seconds"],
        "rss_mb": target.process.rss_bytes() / 2**20,
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {name: ordered[round(share * last)] for name, share in _QUANTILES.items()}


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of every figure over the rounds in which a stream ended; errors are added up."""
    good = [run for run in runs if run["whole_ms"]]
    errors: dict[str, int] = {}
    for run in runs:
        for reason, count in run["errors"].items():
            errors[reason] = errors.get(reason, 0) + count
    merged: dict[str, Any] = {"errors": errors}
    for name, value in (good[0] if good else {}).items():
        if isinstance(value, dict) and name != "errors":
            merged[name] = {key: _median([run[name].get(key) for run in good]) for key in value}
        elif name != "errors":
            merged[name] = _median([run[name] for run in good])
    return merged


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _print(course: dict[str, Any]) -> None:
    level = course["level"]
    print(f"\n{level['name']}: {level['streams']} x {level['tokens']} tokens", end="")
    print(f", one every {level['decode_ms']:g} ms")
    print(
        f"  {'':22} {'first token':>16} {'between tokens':>16} {'whole request':>18} "
        f"{'tokens/s':>9} {'req/s':>7} {'CPU us/token':>13} {'open':>5}"
    )
    for name, own in course["targets"].items():
        if "whole_ms" not in own:
            print(f"  {name:22} failed: {own['errors']}")
            continue
        texts = [_pair(own, part, added=name != DIRECT) for part in PARTS]
        print(
            f"  {name:22} {texts[0]:>16} {texts[1]:>16} {texts[2]:>18} "
            f"{own['tokens_a_second']:9.0f} {own['requests_a_second']:7.0f} "
            f"{own['cpu_us_a_token']:13.1f} {own['open_at_once']:5.0f}"
            + (f"  errors: {own['errors']}" if own["errors"] else "")
        )


def _pair(own: dict[str, Any], part: str, *, added: bool) -> str:
    """Both quantiles of a part."""
    if added:
        values = [own["added_ms"][f"{part}_{quantile}"] for quantile in _QUANTILES]
    else:
        values = [own[f"{part}_ms"].get(quantile) for quantile in _QUANTILES]
    sign = "+" if added else ""
    return " ".join("-" if value is None else f"{value:{sign}.2f}" for value in values)


def _version(python: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller loads, once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm-python", type=Path, help="with litellm[proxy] installed")
    arguments = parser.parse_args()
    litellm = arguments.litellm_python
    if litellm is None and find_spec("litellm"):
        litellm = Path(sys.executable)
    if litellm is None:
        print("LiteLLM's proxy is left out: give --litellm-python")
    told = story(tokens=600, handoffs=9, large_share=0.7, seed=SEED)
    print("milliseconds, median and 99th percentile; + is added to direct")
    courses = []
    for level in QUICK if arguments.quick else LEVELS:
        courses.append(measure(level, told, 1 if arguments.quick else arguments.rounds, litellm))
        _print(courses[-1])
    figures: dict[str, Any] = {"models": "simulated", "levels": courses}
    if litellm is not None:
        figures["litellm"] = _version(litellm, "litellm")
    keep_results("gateway_load", SEED, figures, quick=arguments.quick)


if __name__ == "__main__":
    main()
