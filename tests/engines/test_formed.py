"""Free reasoning and a formed answer as one leg, also where replicas break off anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.form_start import Place
from relaygen.engines.formed import FormedAnswer
from relaygen.engines.pool import PoolEngine, Replica
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.errors import EngineError, FormLostError
from relaygen.types import LegEnd, Sampling
from tests.engines.forms import (
    EOS,
    PROMPT,
    THOUGHT,
    VOCABULARY,
    formed_engine,
    free_engine,
    leg,
    tags,
    text_of,
    validate,
)
from tests.engines.pool.virtual import run

STORY = f"{THOUGHT}</think> In words: seven."


class Noting(SimulatedEngine):
    """Keeps the legs that it was asked for."""

    def asked(self) -> list[GenerateRequest]:
        return self.__dict__.setdefault("legs", [])

    def generate(self, request: GenerateRequest):  # type: ignore[no-untyped-def]
        self.asked().append(request)
        return super().generate(request)


async def outputs(engine: FormedAnswer, request: GenerateRequest) -> list[EngineOutput]:
    return [output async for output in engine.generate(request)]


def text(found: list[EngineOutput]) -> str:
    return VOCABULARY.decode([token for output in found for token in output.token_ids])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 50])
@pytest.mark.parametrize("close", ["</think>", "[/think]"])
async def test_the_form_begins_after_the_reasoning(streamed: bool, chunk: int, close: str) -> None:
    free = free_engine(f"{THOUGHT}{close} In words.", chunk_tokens=chunk)
    formed = formed_engine(chunk_tokens=chunk)
    engine = FormedAnswer(free, formed, tags(close=close), streamed=streamed)
    found = await outputs(engine, leg(want_scores=True))
    thought, _, answer = text(found).partition(close)
    assert thought == THOUGHT
    validate(answer.removesuffix("<|im_end|>"))
    assert [output.end for output in found] == [None] * (len(found) - 1) + [LegEnd.EOS]
    assert all(len(output.scores or ()) == len(output.token_ids) for output in found)
    assert [o.prompt_evaluated for o in found] == [len(PROMPT)] + [None] * (len(found) - 1)
    assert free.counters.active_legs == formed.counters.active_legs == 0


async def test_the_formed_part_goes_on_where_the_free_part_ended() -> None:
    made = formed_engine()
    formed = Noting(made._model, vocabulary=VOCABULARY)
    sampling = Sampling(seed=7)
    engine = FormedAnswer(free_engine(STORY), formed, tags())
    request = leg(max_tokens=300, sampling=sampling, stop_hints=('"',))
    await outputs(engine, request)
    (asked,) = formed.asked()
    written = VOCABULARY.encode(f"{THOUGHT}</think>")
    assert asked.prompt == (*PROMPT, *written)
    assert asked.max_tokens == 300 - len(written)
    assert (asked.generated_from, asked.generation_id) == (len(PROMPT), "g")
    assert asked.stop_hints == ()  # a hint may end a leg early
    assert asked.sampling.seed not in (None, 7)


@pytest.mark.parametrize("written", ["So, I</think>", ""])
async def test_a_leg_that_begins_after_the_reasoning_is_all_form(written: str) -> None:
    first = Place.REASONING if written else Place.CLOSED
    engine = FormedAnswer(free_engine(STORY), formed_engine(), tags(first))
    found = await outputs(engine, leg(VOCABULARY.encode(written)))
    validate(text(found).removesuffix("<|im_end|>"))


@pytest.mark.parametrize(
    ("writes", "shown"),
    [
        (f"\n<think>{THOUGHT}</think> Words.", f"\n<think>{THOUGHT}</think>"),
        ("In words: <think>.", ""),
        ("\n", ""),
        ("<thin", ""),
    ],
)
async def test_a_model_may_open_its_reasoning_itself_or_not(writes: str, shown: str) -> None:
    engine = FormedAnswer(free_engine(writes), formed_engine(), tags(Place.OPENING))
    found = text(await outputs(engine, leg()))
    assert found.startswith(shown)
    validate(found.removeprefix(shown).removesuffix("<|im_end|>"))


async def test_limits_hold_over_both_parts() -> None:
    reasoning = len(VOCABULARY.encode(f"{THOUGHT}</think>"))
    for most in (reasoning - 1, reasoning, reasoning + 5):
        engine = FormedAnswer(free_engine(STORY), formed_engine(), tags(), streamed=True)
        found = await outputs(engine, leg(max_tokens=most))
        assert sum(len(output.token_ids) for output in found) == most
        assert found[-1].end is LegEnd.LENGTH


async def test_an_end_in_the_reasoning_is_the_end() -> None:
    engine = FormedAnswer(free_engine(THOUGHT), formed_engine(), tags())
    found = await outputs(engine, leg())
    assert found[-1] == EngineOutput((EOS,), None, LegEnd.EOS)


async def test_a_held_form_is_begun_again_and_shown_once() -> None:
    faults = {0: Fault(kind="fail", after=9), 1: Fault(kind="fail", after=20)}
    formed = formed_engine(faults)
    found = await outputs(FormedAnswer(free_engine(STORY), formed, tags()), leg())
    validate(text(found).partition("</think>")[2].removesuffix("<|im_end|>"))
    assert formed.counters.legs == 3


@pytest.mark.parametrize(("retryable", "legs"), [(True, 4), (False, 1)])
async def test_a_held_form_is_given_up(retryable: bool, legs: int) -> None:
    formed = formed_engine(Fault(kind="fail", after=9, retryable=retryable))
    engine = FormedAnswer(free_engine(STORY), formed, tags())
    with pytest.raises(EngineError) as raised:
        await outputs(engine, leg())
    assert raised.value.retryable is retryable
    assert formed.counters.legs == legs


async def test_a_streamed_form_that_breaks_off_is_lost() -> None:
    faults = {0: Fault(kind="fail", after=0), 1: Fault(kind="fail", after=5)}
    formed = formed_engine(faults)
    engine = FormedAnswer(free_engine(STORY), formed, tags(), streamed=True)
    with pytest.raises(FormLostError) as raised:
        await outputs(engine, leg())
    assert not raised.value.retryable
    assert formed.counters.legs == 2  # the first had shown nothing


async def test_closing_a_leg_cancels_the_work() -> None:
    free, formed = free_engine(STORY), formed_engine()
    for streamed in (False, True):
        opened = FormedAnswer(free, formed, tags(), streamed=streamed).generate(leg())
        async for output in opened:
            if output.token_ids == (VOCABULARY.encode("</think>")[0],):
                break
        await opened.aclose()
        assert free.counters.active_legs == formed.counters.active_legs == 0


_FAULTS = st.dictionaries(
    st.integers(0, 8),
    st.builds(
        Fault,
        kind=st.sampled_from(["fail", "stall"]),
        after=st.integers(0, 60),
        retryable=st.sampled_from([True, True, True, False]),
    ),
    max_size=7,
)
_POOLS = st.lists(_FAULTS, min_size=1, max_size=3)


@settings(deadline=None, max_examples=150)
@given(free=_POOLS, formed=_POOLS, streamed=st.booleans(), chunk=st.integers(1, 9))
def test_every_answer_is_whole_or_says_that_it_was_lost(
    free: list[dict[int, Fault]], formed: list[dict[int, Fault]], streamed: bool, chunk: int
) -> None:
    async def scene() -> tuple[str, EngineError | None]:
        pools = [
            PoolEngine(
                [
                    Replica(name=f"r{number}", engine=engine(faults))
                    for number, faults in enumerate(schedules)
                ]
            )
            for schedules, engine in (
                (free, lambda faults: free_engine(STORY, faults, chunk_tokens=chunk)),
                (formed, lambda faults: formed_engine(faults, chunk_tokens=chunk)),
            )
        ]
        try:
            return await text_of(FormedAnswer(pools[0], pools[1], tags(), streamed=streamed))
        finally:
            for pool in pools:
                await pool.aclose()

    found, error = run(scene())
    thought, _, answer = found.partition("</think>")
    assert THOUGHT.startswith(thought)
    if error is None:
        validate(answer.removesuffix("<|im_end|>"))
    elif isinstance(error, FormLostError):
        assert streamed
        assert answer
    else:
        assert answer == ""
