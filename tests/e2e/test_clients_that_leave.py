"""A client that goes away stops the work of the model servers behind the gateway, within 100 ms.

The time runs from the client's closing to the moment when the servers' own counters say that
nothing runs any more; the median of ten.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relaygen.engines.simulated.behaviour import Latency
from relaygen.engines.simulated.server import storyteller

from .simulated_pair import MODEL, SimulatedPair, serving, tokenizer

pytestmark = pytest.mark.e2e

ROUNDS = 10
MOST_S = 0.1
QUIET_S = 0.05
"""Without work for so long: it has stopped, and is not between two legs."""
Leave = Callable[[], Awaitable[None]]


def asked(number: int) -> dict[str, Any]:
    question = f"How many apples are in box {number}?"
    return {"model": MODEL, "messages": [{"role": "user", "content": question}]}


async def until_written(pair: SimulatedPair, tokens: int) -> None:
    wanted = pair.written() + tokens
    while pair.written() < wanted:
        await asyncio.sleep(0.001)


@asynccontextmanager
async def a_closed_connection(pair: SimulatedPair, number: int, _: Any) -> AsyncIterator[Leave]:
    """A stream whose connection is closed in the middle."""
    async with aiohttp.ClientSession() as session:
        body = asked(number) | {"stream": True}
        reply = await session.post(f"{pair.url}/v1/chat/completions", json=body)
        assert reply.status == 200
        await reply.content.readline()

        async def leave() -> None:
            reply.close()

        yield leave


@asynccontextmanager
async def a_closed_stream(pair: SimulatedPair, number: int, openai: Any) -> AsyncIterator[Leave]:
    """OpenAI's client closes its stream."""
    async with openai.AsyncOpenAI(base_url=f"{pair.url}/v1", api_key="any") as client:
        stream = await client.chat.completions.create(**asked(number), stream=True)
        await anext(aiter(stream))
        yield stream.close


@asynccontextmanager
async def a_cancelled_call(pair: SimulatedPair, number: int, openai: Any) -> AsyncIterator[Leave]:
    """A task that waits in OpenAI's client for a whole answer is cancelled."""
    async with openai.AsyncOpenAI(base_url=f"{pair.url}/v1", api_key="any") as client:
        call = asyncio.ensure_future(client.chat.completions.create(**asked(number)))

        async def leave() -> None:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        yield leave


async def stopped_after(pair: SimulatedPair, leave: Leave) -> float:
    """Seconds from leaving to the end of the servers' work."""
    assert pair.working() > 0
    left = last_seen = time.perf_counter()
    await leave()
    while (now := time.perf_counter()) - last_seen < QUIET_S:
        if pair.working():
            last_seen = now
        assert now - left < 10, "the servers still work for a client that left"
        await asyncio.sleep(0.0005)
    return last_seen - left


@pytest.mark.parametrize(
    ("dialect", "way"),
    [
        ("vllm", a_closed_connection),
        ("sglang", a_closed_connection),
        ("llama_server", a_closed_connection),
        ("vllm", a_closed_stream),
        ("vllm", a_cancelled_call),
    ],
)
async def test_the_servers_stop_within_100_ms(
    dialect: str, way: Any, openai: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backends = {
        role: storyteller(
            dialect, tokenizer=tokenizer(), sentences=400, latency=Latency(decode_ms=decode_ms)
        )
        for role, decode_ms in (("large", 4), ("small", 2))
    }
    took = []
    async with asyncio.timeout(120), serving(tmp_path, backends) as pair:
        for number in range(ROUNDS):
            async with way(pair, number, openai) as leave:
                await until_written(pair, 20 + 7 * number)  # in legs of both models
                while not pair.working():
                    await asyncio.sleep(0.001)
                took.append(await stopped_after(pair, leave))
            written = pair.written()
            await asyncio.sleep(QUIET_S)
            assert pair.written() == written
    median = statistics.median(took)
    with capsys.disabled():
        print(
            f"\n{dialect}, {way.__name__.replace('_', ' ')}: servers stopped after "
            f"{median * 1000:.1f} ms (median of {ROUNDS}; most {max(took) * 1000:.1f} ms)"
        )
    assert median < MOST_S
