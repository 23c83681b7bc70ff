from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.simulated import (
    ByteVocabulary,
    Fault,
    Latency,
    RandomModel,
    ScriptedModel,
    SimulatedEngine,
)
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError
from relaygen.types import LegEnd, Sampling

VOCABULARY = ByteVocabulary(["So,", "Thus"])
PROMPT = tuple(VOCABULARY.encode("2 + 2?<think>"))
SCRIPT = tuple(VOCABULARY.encode("Two and two. So, 4 é 😀!</think>4"))
EOS = VOCABULARY.eos_id


def scripted(**fields: Any) -> ScriptedModel:
    return ScriptedModel(
        fields.pop("script", SCRIPT), vocab_size=len(VOCABULARY), end_token=EOS, **fields
    )


def leg(prompt: tuple[int, ...] = PROMPT, max_tokens: int = 100, **fields: Any) -> GenerateRequest:
    fields = {"generated_from": len(PROMPT), "eos_ids": frozenset({EOS}), **fields}
    return GenerateRequest(prompt=prompt, max_tokens=max_tokens, **fields)


async def outputs_of(engine: SimulatedEngine, request: GenerateRequest) -> list[EngineOutput]:
    return [output async for output in engine.generate(request)]


def tokens(outputs: list[EngineOutput]) -> tuple[int, ...]:
    return tuple(token for output in outputs for token in output.token_ids)


async def read_until_error(engine: SimulatedEngine, into: list[int]) -> EngineError:
    try:
        async for output in engine.generate(leg()):
            into.extend(output.token_ids)
    except EngineError as error:
        return error
    raise AssertionError("the leg did not fail")


@given(
    cuts=st.lists(st.integers(0, len(SCRIPT)), max_size=5),
    chunk=st.integers(1, 7),
    temperature=st.sampled_from([0.0, 1.0, 5.0]),
)
async def test_two_models_recite_one_script_between_them(
    cuts: list[int], chunk: int, temperature: float
) -> None:
    models = [SimulatedEngine(scripted(), chunk_tokens=chunk) for _ in range(2)]
    prefix = PROMPT
    stops = [*sorted(set(cuts) - {0}), len(SCRIPT) + 1]
    for turn, stop in enumerate(stops):
        count = stop - (len(prefix) - len(PROMPT))
        if count:
            sampling = Sampling(temperature=temperature)
            prefix += tokens(
                await outputs_of(models[turn % 2], leg(prefix, count, sampling=sampling))
            )
    assert prefix == PROMPT + SCRIPT + (EOS,)


async def test_a_script_ends_with_end_of_sequence() -> None:
    outputs = await outputs_of(SimulatedEngine(scripted()), leg())
    assert tokens(outputs) == (*SCRIPT, EOS)
    assert outputs[-1].end is LegEnd.EOS


async def test_a_script_for_one_prompt_needs_no_hint_and_knows_no_other() -> None:
    engine = SimulatedEngine(scripted(prompt=PROMPT))
    rest = await outputs_of(engine, leg(PROMPT + SCRIPT[:5], generated_from=None))
    assert tokens(rest) == (*SCRIPT[5:], EOS)
    with pytest.raises(InvalidRequestError, match="knows one prompt"):
        await outputs_of(engine, leg((1, 2, 3), generated_from=None))


async def test_a_bias_moves_a_script() -> None:
    engine = SimulatedEngine(scripted())
    sampling = Sampling(logit_bias={SCRIPT[0]: -100.0})
    assert tokens(await outputs_of(engine, leg(max_tokens=1, sampling=sampling))) != SCRIPT[:1]


async def test_margins_of_a_script_are_as_told() -> None:
    engine = SimulatedEngine(scripted(margin=lambda place: 0.25 if place == 3 else 0.75))
    outputs = await outputs_of(engine, leg(max_tokens=5, want_scores=True, generation_id="g"))
    written = [score for output in outputs for score in output.scores or ()]
    margins = [score.margin for score in written]
    assert margins == pytest.approx([0.75, 0.75, 0.75, 0.25, 0.75], abs=1e-3)
    scored = await engine.score(PROMPT + SCRIPT[:5], len(PROMPT), generation_id="g")
    assert scored == tuple(written)
    other = (*SCRIPT[:2], SCRIPT[2] + 1, *SCRIPT[3:5])
    scored = await engine.score(PROMPT + other, len(PROMPT), generation_id="g")
    assert scored[2].logprob < -1.0 < scored[1].logprob


def test_a_script_of_foreign_tokens_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="999"):
        scripted(script=(1, 999))


async def test_a_random_model_is_a_function_of_its_seed_and_context() -> None:
    greedy = leg(max_tokens=30, sampling=Sampling(temperature=0.0), eos_ids=frozenset())

    async def written(seed: int, request: GenerateRequest = greedy) -> tuple[int, ...]:
        engine = SimulatedEngine(RandomModel(300, order=2, seed=seed))
        return tokens(await outputs_of(engine, request))

    assert await written(1) == await written(1)
    assert await written(1) != await written(2)
    same_end = leg((5, 5, 5, *PROMPT[-2:]), 30, sampling=greedy.sampling, generated_from=5)
    assert await written(1, same_end) == await written(1)


async def test_a_seeded_leg_goes_on_where_it_was_cut() -> None:
    engine = SimulatedEngine(RandomModel(300))
    sampling = Sampling(temperature=2.0, seed=7)
    whole = tokens(await outputs_of(engine, leg(max_tokens=30, sampling=sampling)))
    rest = leg(PROMPT + whole[:9], 30 - 9, sampling=sampling)
    assert tokens(await outputs_of(engine, rest)) == whole[9:]


class Clock:
    def __init__(self) -> None:
        self.ms = 0.0

    async def sleep(self, seconds: float) -> None:
        self.ms += seconds * 1000.0
        await asyncio.sleep(0)


async def test_time_passes_as_told() -> None:
    clock = Clock()
    latency = Latency(request_ms=100.0, prefill_ms=1.0, decode_ms=10.0)
    engine = SimulatedEngine(scripted(), latency=latency, sleep=clock.sleep)
    await outputs_of(engine, leg(max_tokens=5, generation_id="g"))
    assert clock.ms == pytest.approx(100 + len(PROMPT) + 50)
    clock.ms = 0.0
    prefix = PROMPT + SCRIPT[:5] + (7, 7, 7)
    first, *_ = await outputs_of(engine, leg(prefix, 2, generation_id="g"))
    # The fifth token was written, but never read.
    assert first.prompt_evaluated == 4
    assert clock.ms == pytest.approx(100 + 4 + 20)


async def test_a_prefill_takes_its_time_ahead() -> None:
    clock = Clock()
    engine = SimulatedEngine(scripted(), latency=Latency(prefill_ms=1.0), sleep=clock.sleep)
    await engine.prefill(PROMPT, "g")
    assert clock.ms == pytest.approx(len(PROMPT))
    first, *_ = await outputs_of(engine, leg((*PROMPT, 1), 1, generation_id="g"))
    assert first.prompt_evaluated == 1


async def test_the_least_recently_used_generation_is_forgotten() -> None:
    engine = SimulatedEngine(scripted(), cached_sequences=2)
    for generation_id in ("a", "b", "a", "c"):
        await engine.prefill(PROMPT, generation_id)

    async def evaluated(generation_id: str) -> int | None:
        return (await outputs_of(engine, leg(generation_id=generation_id)))[0].prompt_evaluated

    assert await evaluated("a") == 1
    assert await evaluated("b") == len(PROMPT)
    assert await evaluated("") == len(PROMPT)
    assert await evaluated("") == len(PROMPT)


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("retryable", [False, True])
@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("chunk", [1, 4])
async def test_fails_on_demand(inline: bool, retryable: bool, after: int, chunk: int) -> None:
    fault = Fault(kind="fail", after=after, retryable=retryable)
    engine = SimulatedEngine(scripted(), inline=inline, faults=fault, chunk_tokens=chunk)
    received: list[int] = []
    error = await read_until_error(engine, received)
    assert error.retryable is retryable
    assert tuple(received) == SCRIPT[:after]
    await engine.aclose()


async def test_faults_by_leg() -> None:
    engine = SimulatedEngine(scripted(), faults={1: Fault(kind="fail")})
    assert tokens(await outputs_of(engine, leg(max_tokens=3))) == SCRIPT[:3]
    await read_until_error(engine, [])
    assert tokens(await outputs_of(engine, leg(max_tokens=3))) == SCRIPT[:3]


async def test_garbage_is_written_once() -> None:
    engine = SimulatedEngine(scripted(), faults=Fault(kind="garbage", after=2))
    written = tokens(await outputs_of(engine, leg(max_tokens=5, want_scores=True)))
    assert written == (*SCRIPT[:2], 2**31 - 1, *SCRIPT[3:5])


@pytest.fixture(params=[False, True], ids=["async", "inline"])
async def stalling(request: pytest.FixtureRequest) -> AsyncIterator[SimulatedEngine]:
    stall = {0: Fault(kind="stall", after=2)}
    engine = SimulatedEngine(scripted(), inline=request.param, faults=stall)
    yield engine
    await engine.aclose()


async def stall_a_leg(engine: SimulatedEngine) -> asyncio.Future[EngineOutput]:
    outputs = engine.generate(leg())
    assert [(await anext(outputs)).token_ids[0] for _ in range(2)] == list(SCRIPT[:2])
    task = asyncio.ensure_future(anext(outputs))
    # While another leg is written to its end, the first has got to where it stalls.
    assert tokens(await outputs_of(engine, leg())) == (*SCRIPT, EOS)
    while engine.counters.active_legs > 1:  # the other thread is about to count the end
        await asyncio.sleep(0)
    assert engine.counters.active_legs == 1
    assert not task.done()
    return task


async def test_a_stalled_leg_can_be_cancelled(stalling: SimulatedEngine) -> None:
    task = await stall_a_leg(stalling)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens(await outputs_of(stalling, leg())) == (*SCRIPT, EOS)
    assert stalling.counters.active_legs == 0


async def test_a_stalled_leg_ends_when_the_engine_is_closed(stalling: SimulatedEngine) -> None:
    task = await stall_a_leg(stalling)
    await stalling.aclose()
    with pytest.raises(EngineUnavailableError):
        await task


@pytest.mark.parametrize("chunk", [2, 3, 100])
async def test_several_tokens_in_an_output(chunk: int) -> None:
    engine = SimulatedEngine(scripted(), chunk_tokens=chunk)
    outputs = await outputs_of(engine, leg(want_scores=True))
    assert tokens(outputs) == (*SCRIPT, EOS)
    assert {len(output.token_ids) for output in outputs[:-1]} <= {chunk}
    assert all(len(output.scores or ()) == len(output.token_ids) for output in outputs)
    assert [output.end for output in outputs] == [None] * (len(outputs) - 1) + [LegEnd.EOS]


async def test_counters_count_what_was_done() -> None:
    engine = SimulatedEngine(scripted())
    generator = engine.generate(leg())
    await anext(generator)
    assert engine.counters.active_legs == 1
    await generator.aclose()
    assert engine.counters.active_legs == 0
    assert (engine.counters.legs, engine.counters.generated_tokens) == (1, 1)
    assert engine.counters.prompt_tokens == len(PROMPT)


async def test_legs_of_the_inline_path_overlap() -> None:
    """A leg that stalls holds up no other, and all sinks are called on one thread."""
    engine = SimulatedEngine(scripted(), inline=True, faults={0: Fault(kind="stall")})
    threads = set()

    def stalled(_: object) -> bool:
        raise AssertionError("a stalled leg delivers nothing")

    first = engine.submit(leg(), stalled)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    written: list[int] = []

    def sink(item: object) -> bool:
        assert isinstance(item, EngineOutput)
        threads.add(threading.get_ident())
        written.extend(item.token_ids)
        if item.end is not None:
            loop.call_soon_threadsafe(ended.set)
        return True

    engine.submit(leg(), sink)
    await ended.wait()
    assert tuple(written) == (*SCRIPT, EOS)
    assert len(threads) == 1
    first.cancel()
    await engine.aclose()
