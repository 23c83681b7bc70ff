"""``python -m benchmarks.stand_in``: a simulated vLLM that recites one story, at exact times.

Beside `relaygen.engines.simulated.server` it differs in its clock. There a token comes a `sleep`
after the one before, and every sleep is late: by what the event loop's selector rounds up (epoll
counts whole milliseconds) and by what reading the request and sending the token took. A GPU waits
for none of them. Here everything that a request waits for is due so long after the request came,
and the selector counts microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
from contextvars import ContextVar
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.scripted_trace import tokenizer
from relaygen.engines.simulated import Latency, PromptedScripts, SimulatedEngine
from relaygen.engines.simulated.server import Backend, TokenizerVocabulary, application

MARKER = "<think>\n"
_CATCHES_UP_S = 0.005
_DUE: ContextVar[list[float]] = ContextVar("due")


def on_schedule(app: ASGIApp) -> ASGIApp:
    """The same application; `sleep` counts from the arrival of each request."""

    async def scheduled(scope: Scope, receive: Receive, send: Send) -> None:
        _DUE.set([asyncio.get_running_loop().time()])
        await app(scope, receive, send)

    return scheduled


async def sleep(seconds: float) -> None:
    """Returns so long after the last one of this request was due; one far behind begins anew."""
    due, now = _DUE.get(), asyncio.get_running_loop().time()
    due[0] = max(due[0], now - _CATCHES_UP_S) + seconds
    await asyncio.sleep(max(0.0, due[0] - now))


def backend(script: tuple[int, ...], latency: Latency) -> Backend:
    """The served model; whatever follows the marker, it recites the script."""
    read = tokenizer()
    vocabulary = TokenizerVocabulary(read)
    model = PromptedScripts(
        lambda number: script,
        marker=vocabulary.encode(MARKER),
        vocab_size=len(vocabulary),
        end_token=min(read.eos_ids),
    )
    engine = SimulatedEngine(
        model,
        vocabulary=vocabulary,
        latency=latency,
        cached_sequences=4096,
        sleep=sleep,
    )
    return Backend(model, vocabulary, dialect="vllm", engine=engine, eos_ids=read.eos_ids)


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--port", type=int, required=True)
    add("--script", type=Path, required=True, help="token ids, as a JSON list")
    add("--request-ms", type=float, default=0.0)
    add("--prefill-ms", type=float, default=0.0, help="a prompt token that is not cached")
    add("--decode-ms", type=float, default=0.0, help="a written token")
    options = parser.parse_args()
    latency = Latency(
        request_ms=options.request_ms,
        prefill_ms=options.prefill_ms,
        decode_ms=options.decode_ms,
    )
    script = tuple(json.loads(options.script.read_text(encoding="utf-8")))
    app = on_schedule(application(backend(script, latency)))
    config = uvicorn.Config(
        app, port=options.port, lifespan="off", log_config=None, access_log=False
    )
    # Few connections at a time, so that `select` may count its microseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
