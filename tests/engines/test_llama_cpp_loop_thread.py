"""The thread that engines of this process compute on: shared or their own, and when it ends."""

from __future__ import annotations

import asyncio
import gc
import threading

from relaygen.engines.base import EngineOutput, Sink
from relaygen.engines.llama_cpp import LlamaCppEngine, ModelOptions
from tests.engines.llama_cpp_models import prompt, request, tiny_mamba, tiny_qwen3


async def test_two_models_hand_over_without_a_thread_between() -> None:
    large = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=1, read_threads=1))
    small = LlamaCppEngine(tiny_mamba(), ModelOptions(sequences=1, read_threads=1))
    tokens = list(prompt(10))
    threads, done = set(), threading.Event()

    def leg(role: LlamaCppEngine, other: LlamaCppEngine, left: int) -> None:
        written = 0

        def sink(output: object) -> bool:
            nonlocal written
            assert isinstance(output, EngineOutput)
            threads.add(threading.get_ident())
            tokens.extend(output.token_ids)
            written += 1
            if written < 3:
                return True
            if left:
                leg(other, role, left - 1)
            else:
                done.set()
            return False

        role.submit(request(tuple(tokens), 99), sink)

    leg(large, small, 9)
    assert await asyncio.to_thread(done.wait, 60)
    assert len(tokens) == 10 + 10 * 3
    assert len(threads) == 1
    await large.aclose()
    await small.aclose()


async def test_an_engine_may_have_a_thread_of_its_own() -> None:
    engines = [
        LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=1, read_threads=1), own_thread=True)
        for _ in range(2)
    ]
    threads = set()

    def sink_of(done: threading.Event) -> Sink:
        def sink(output: object) -> bool:
            threads.add(threading.get_ident())
            done.set()
            return False

        return sink

    for engine in engines:
        done = threading.Event()
        engine.submit(request(prompt(4)), sink_of(done))
        assert await asyncio.to_thread(done.wait, 60)
    assert len(threads) == 2
    for engine in engines:
        await engine.aclose()


async def test_an_engine_that_nobody_holds_is_freed() -> None:
    engine = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=1, read_threads=1))
    stopped = engine._loop.stopped
    del engine
    gc.collect()
    assert await asyncio.to_thread(stopped.wait, 60)


async def test_closing_from_a_sink_does_not_wait_for_itself() -> None:
    engine = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=1, read_threads=1))
    stopped = engine._loop.stopped

    def sink(output: object) -> bool:
        engine.close()
        return True

    engine.submit(request(prompt(4)), sink)
    assert await asyncio.to_thread(stopped.wait, 60)
