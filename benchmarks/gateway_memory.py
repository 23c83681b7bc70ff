"""Whether the gateway's memory grows with the requests that it has served.

    python -m benchmarks.gateway_memory [--quick]

Short relayed chats over simulated model servers (`benchmarks.replay_server`), each with another
prompt. Memory is the resident set of the gateway's process between two batches,
when nothing runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmarks.environment import keep_results
from benchmarks.load_client import Load
from benchmarks.load_targets import gateway, replay_servers
from benchmarks.processes import REPOSITORY, Fleet, Process
from benchmarks.scripted_trace import story

SEED = 0
AT_ONCE = 20
TOLERANCE = 0.02
"""Share of its memory after the first requests that all others may add."""


def batch(door: Process, first: int, requests: int) -> None:
    """So many requests, numbered from `first`.

    Raises:
        RuntimeError: one of them failed.
    """
    body = {
        "model": "pair",
        "messages": [{"role": "user", "content": f"{first} and {{n}} boxes hold how many apples?"}],
        "stream": True,
        "max_tokens": 40,
        "temperature": 0,
    }
    load = Load(url=door.url, body=json.dumps(body), streams=AT_ONCE, requests=requests // AT_ONCE)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_client"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    seen = json.loads(done.stdout)
    if seen["errors"] or len(seen["whole"]) != requests:
        raise RuntimeError(f"{len(seen['whole'])} of {requests} ended: {seen['errors']}")


def measure(after: list[int]) -> dict[str, Any]:
    """Megabytes after each number of requests."""
    told = story(tokens=120, handoffs=4, large_share=0.7, seed=SEED)
    megabytes: dict[int, float] = {}
    with Fleet() as fleet:
        large, small = replay_servers(fleet, told, 0.0)
        door = gateway(fleet, large, small)
        megabytes[0] = door.rss_bytes() / 2**20
        served = 0
        for count in after:
            batch(door, served, count - served)
            served = count
            time.sleep(1.0)  # connections close
            megabytes[count] = door.rss_bytes() / 2**20
            print(f"{count:6} requests: {megabytes[count]:.1f} MB")
    return {"rss_mb": {str(count): value for count, value in megabytes.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the requests")
    arguments = parser.parse_args()
    after = [1000, 2500, 5000, 7500, 10_000]
    if arguments.quick:
        after = [count // 5 for count in after]
    figures = measure(after)
    rss = figures["rss_mb"]
    growth = rss[str(after[-1])] - rss[str(after[0])]
    share = growth / rss[str(after[0])]
    figures |= {"growth_mb": growth, "growth": share, "tolerance": TOLERANCE}
    print(
        f"{growth:+.1f} MB from {after[0]:,} to {after[-1]:,} requests: "
        f"{share:+.1%}, {'within' if share <= TOLERANCE else 'ABOVE'} {TOLERANCE:.0%}"
    )
    keep_results("gateway_memory", SEED, figures, quick=arguments.quick)


if __name__ == "__main__":
    main()
