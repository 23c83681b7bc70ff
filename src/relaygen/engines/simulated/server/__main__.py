"""``python -m relaygen.engines.simulated.server``: a model server without a model."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import get_args

from relaygen.engines.simulated.behaviour import Latency
from relaygen.engines.simulated.server import ROUTES, ServerFault, SimulatedServer, storyteller
from relaygen.engines.simulated.server.faults import FaultKind
from relaygen.tokens import Tokenizer


def main() -> None:
    """Prints the server's address, and serves until it is stopped."""
    options = _parser().parse_args()
    fault = None
    if options.fault is not None:
        fault = ServerFault(kind=options.fault, after=options.fault_after, status=options.status)
    backend = storyteller(
        options.dialect,
        tokenizer=None if options.tokenizer is None else Tokenizer.load(options.tokenizer),
        marker=options.marker.encode().decode("unicode_escape"),
        seed=options.seed,
        sentences=options.sentences,
        context_tokens=options.context_tokens,
        latency=Latency(
            request_ms=options.request_ms,
            prefill_ms=options.prefill_ms,
            decode_ms=options.decode_ms,
        ),
        faults=fault,
        name=options.name,
    )
    try:
        asyncio.run(_serve(SimulatedServer(backend, host=options.host, port=options.port)))
    except KeyboardInterrupt:
        return


async def _serve(server: SimulatedServer) -> None:
    async with server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await server.forever()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m relaygen.engines.simulated.server", description=main.__doc__
    )
    add = parser.add_argument
    add("--dialect", choices=sorted(ROUTES), default="vllm")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--name", default="simulated", help="of the model")
    add("--tokenizer", help="a model's folder, tokenizer.json or .gguf; else one of bytes")
    add("--marker", default="<think>\\n", help="what every prompt ends with")
    add("--seed", type=int, default=0, help="another seed, other texts")
    add("--sentences", type=int, default=24, help="of each text")
    add("--context-tokens", type=int, default=32_768)
    add("--request-ms", type=float, default=0.0)
    add("--prefill-ms", type=float, default=0.0, help="a prompt token that is not cached")
    add("--decode-ms", type=float, default=0.0, help="a written token")
    add("--fault", choices=get_args(FaultKind), help="goes wrong in every generation")
    add("--fault-after", type=int, default=0, help="tokens that are sent first")
    add("--status", type=int, default=503, help="of the fault 'status'")
    return parser


if __name__ == "__main__":
    main()
