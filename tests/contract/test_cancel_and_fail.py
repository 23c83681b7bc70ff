from __future__ import annotations

import asyncio

import pytest

from relaygen.engines.base import Engine
from relaygen.errors import EngineError, EngineUnavailableError

from .engines import FAILS_AFTER, Case
from .legs import PATIENCE_S, leg, opened_leg, prompt_for, take, write

LONG = 400


async def cost_of_a_leg(case: Case) -> int:
    """Tokens evaluated for one fixed leg; more, if the engine still works on something else."""
    assert case.evaluated is not None
    before = case.evaluated()
    await write(case.engine, leg(prompt_for(case.engine, seed=9), 8))
    return case.evaluated() - before


async def test_closing_the_iterator_stops_the_work(case: Case) -> None:
    engine = case.engine
    expected = await write(engine, leg(prompt_for(engine)))
    idle_cost = None if case.evaluated is None else await cost_of_a_leg(case)
    generator = opened_leg(engine, leg(prompt_for(engine), LONG))
    tokens = await take(generator, 3)
    await generator.aclose()
    assert tuple(tokens[:3]) == expected.tokens[:3]
    assert (await write(engine, leg(prompt_for(engine)))).tokens == expected.tokens
    if idle_cost is not None:
        assert await cost_of_a_leg(case) == idle_cost


async def test_cancelling_the_reading_task_stops_the_work(case: Case) -> None:
    engine = case.engine
    idle_cost = None if case.evaluated is None else await cost_of_a_leg(case)
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in engine.generate(leg(prompt_for(engine), LONG)):
            begun.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await write(engine, leg(prompt_for(engine)))
    if idle_cost is not None:
        assert await cost_of_a_leg(case) == idle_cost


async def test_a_generator_that_is_never_read_costs_nothing(case: Case) -> None:
    generator = opened_leg(case.engine, leg(prompt_for(case.engine), LONG))
    await generator.aclose()
    if case.evaluated is not None:
        assert await cost_of_a_leg(case) == await cost_of_a_leg(case)


async def test_a_cancelled_leg_leaves_its_generation_usable(engine: Engine) -> None:
    prompt = prompt_for(engine)
    whole = (await write(engine, leg(prompt, 24))).tokens
    generator = opened_leg(engine, leg(prompt, LONG, generation_id="one"))
    tokens = (await take(generator, 5))[:5]
    await generator.aclose()
    rest = leg(prompt + tokens, 19, generation_id="one", generated_from=len(prompt))
    assert (await write(engine, rest)).tokens == whole[5:]


async def test_cancelling_one_of_two_leaves_the_other(engine: Engine) -> None:
    prompt, other = prompt_for(engine), prompt_for(engine, seed=2)
    expected = (await write(engine, leg(other, 40))).tokens
    generator = opened_leg(engine, leg(prompt, LONG))
    await take(generator, 2)
    task = asyncio.create_task(write(engine, leg(other, 40)))
    await take(generator, 2)
    await generator.aclose()
    assert (await task).tokens == expected


@pytest.mark.needs("token_by_token", "failing")
async def test_a_failure_keeps_what_came_before(case: Case, failing: Engine) -> None:
    prompt = prompt_for(failing)
    expected = (await write(case.engine, leg(prompt))).tokens
    generator = opened_leg(failing, leg(prompt))
    assert tuple(await take(generator, FAILS_AFTER)) == expected[:FAILS_AFTER]
    with pytest.raises(EngineError):
        await take(generator, 1)


async def test_closing_the_engine_ends_a_leg_that_runs(case: Case) -> None:
    engine = case.engine
    generator = opened_leg(engine, leg(prompt_for(engine), LONG))
    await take(generator, 1)
    await engine.aclose()
    # What it delivered before it was closed may still be read.
    with pytest.raises((EngineUnavailableError, StopAsyncIteration)):
        await take(generator, LONG)
