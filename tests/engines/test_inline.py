from __future__ import annotations

import asyncio
import threading

import pytest

from relaygen.engines.base import EngineOutput, GenerateRequest, Leg, Sink
from relaygen.engines.inline import stream
from relaygen.errors import EngineError
from relaygen.types import LegEnd

REQUEST = GenerateRequest(prompt=(1,), max_tokens=1000)


class HandDriven:
    """An engine whose sink the test calls itself."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.cancelled = False

    def submit(self, request: GenerateRequest, sink: Sink) -> Leg:
        self.sink = sink
        return self

    def cancel(self) -> None:
        self.cancelled = True

    def write(self, count: int, *, end: LegEnd | None = None) -> None:
        assert self.sink is not None
        for i in range(count):
            assert self.sink(EngineOutput((i,), end=end if i == count - 1 else None))


async def test_many_tokens_cost_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    wake_ups = 0
    real = loop.call_soon_threadsafe

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal wake_ups
        wake_ups += 1
        return real(*args, **kwargs)  # type: ignore[arg-type]

    engine = HandDriven()
    outputs = stream(engine, REQUEST)
    first = asyncio.ensure_future(anext(outputs))
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    engine.write(500, end=LegEnd.EOS)
    received = [await first] + [output async for output in outputs]
    assert [output.token_ids for output in received] == [(i,) for i in range(500)]
    assert wake_ups == 1


async def test_nothing_is_lost_between_two_threads() -> None:
    engine = HandDriven()
    outputs = stream(engine, REQUEST)
    first = asyncio.ensure_future(anext(outputs))
    await asyncio.sleep(0)
    writer = threading.Thread(target=lambda: engine.write(20_000, end=LegEnd.LENGTH))
    writer.start()
    received = [await first] + [output async for output in outputs]
    assert [output.token_ids for output in received] == [(i,) for i in range(20_000)]
    writer.join()


async def test_nothing_is_submitted_before_the_first_step() -> None:
    engine = HandDriven()
    outputs = stream(engine, REQUEST)
    await outputs.aclose()
    assert engine.sink is None


async def test_an_error_comes_after_what_was_delivered() -> None:
    engine = HandDriven()
    outputs = stream(engine, REQUEST)
    first = asyncio.ensure_future(anext(outputs))
    await asyncio.sleep(0)
    engine.write(2)
    assert engine.sink is not None
    engine.sink(EngineError("broken"))
    assert [(await first).token_ids, (await anext(outputs)).token_ids] == [(0,), (1,)]
    with pytest.raises(EngineError, match="broken"):
        await anext(outputs)
    assert engine.cancelled


async def test_closing_cancels() -> None:
    engine = HandDriven()
    outputs = stream(engine, REQUEST)
    first = asyncio.ensure_future(anext(outputs))
    await asyncio.sleep(0)
    engine.write(3)
    await first
    await outputs.aclose()
    assert engine.cancelled


def test_a_sink_whose_loop_is_gone_says_stop() -> None:
    engine = HandDriven()

    async def read() -> None:
        outputs = stream(engine, REQUEST)
        first = asyncio.ensure_future(anext(outputs))
        await asyncio.sleep(0)
        first.cancel()

    asyncio.run(read())
    assert engine.cancelled
    assert engine.sink is not None
    assert not engine.sink(EngineOutput((1,)))
