from __future__ import annotations

import threading

import pytest

from relaygen.engines.base import Engine, InlineEngine, Leg
from relaygen.errors import EngineError, EngineUnavailableError
from relaygen.types import LegEnd

from .engines import FAILS_AFTER, Case
from .legs import PATIENCE_S, Recorder, joined, leg, prompt_for, write
from .test_cancel_and_fail import LONG, cost_of_a_leg

pytestmark = pytest.mark.needs("inline")


@pytest.fixture
def inline(engine: Engine) -> InlineEngine:
    assert isinstance(engine, InlineEngine)
    return engine


async def test_writes_the_same_as_the_async_path(inline: InlineEngine) -> None:
    request = leg(prompt_for(inline), want_scores=True)
    recorder = Recorder()
    inline.submit(request, recorder)
    recorder.wait()
    assert joined(recorder.outputs).tokens == (await write(inline, request)).tokens
    assert joined(recorder.outputs).scores == (await write(inline, request)).scores
    assert recorder.outputs[-1].end is LegEnd.LENGTH


async def test_hands_over_one_token_at_a_time_on_a_thread_of_its_own(inline: InlineEngine) -> None:
    recorder = Recorder()
    inline.submit(leg(prompt_for(inline)), recorder)
    recorder.wait()
    assert [len(output.token_ids) for output in recorder.outputs] == [1] * 20
    assert len(recorder.threads) == 1
    assert threading.get_ident() not in recorder.threads


async def test_no_token_is_computed_beyond_a_decision(case: Case, inline: InlineEngine) -> None:
    request = leg(prompt_for(inline), LONG)
    whole = (await write(inline, leg(prompt_for(inline)))).tokens
    idle_cost = None if case.evaluated is None else await cost_of_a_leg(case)

    def evaluated() -> int:
        return 0 if case.evaluated is None else case.evaluated()

    before = evaluated()
    await write(inline, leg(prompt_for(inline), 3))
    needed = evaluated() - before
    recorder = Recorder(stop_after=3)
    before = evaluated()
    inline.submit(request, recorder)
    recorder.wait()
    if idle_cost is not None:
        assert await cost_of_a_leg(case) == idle_cost
        assert evaluated() - before == needed + idle_cost
    assert recorder.tokens == whole[:3]


async def test_cancel_from_another_thread(case: Case, inline: InlineEngine) -> None:
    under_way, cancelled = threading.Event(), threading.Event()
    recorder = Recorder()

    def on_call(number: int) -> None:
        if number == 3:
            under_way.set()
            assert cancelled.wait(PATIENCE_S)

    recorder.on_call = on_call
    submitted = inline.submit(leg(prompt_for(inline), LONG), recorder)
    assert under_way.wait(PATIENCE_S)
    submitted.cancel()
    cancelled.set()
    await write(inline, leg(prompt_for(inline)))
    assert len(recorder.items) == 3
    submitted.cancel()


async def test_cancel_from_the_sink_itself(inline: InlineEngine) -> None:
    submitted: list[Leg] = []
    known = threading.Event()
    recorder = Recorder()

    def on_call(number: int) -> None:
        assert known.wait(PATIENCE_S)
        if number == 2:
            submitted[0].cancel()

    recorder.on_call = on_call
    submitted.append(inline.submit(leg(prompt_for(inline), LONG), recorder))
    known.set()
    await write(inline, leg(prompt_for(inline)))
    await write(inline, leg(prompt_for(inline)))
    assert len(recorder.items) == 2


async def test_cancel_before_the_first_token(inline: InlineEngine) -> None:
    occupied, go_on = threading.Event(), threading.Event()
    first, second = Recorder(stop_after=1), Recorder()

    def on_call(_: int) -> None:
        occupied.set()
        assert go_on.wait(PATIENCE_S)

    first.on_call = on_call
    inline.submit(leg(prompt_for(inline), LONG), first)
    assert occupied.wait(PATIENCE_S)
    inline.submit(leg(prompt_for(inline), LONG), second).cancel()
    go_on.set()
    await write(inline, leg(prompt_for(inline)))
    assert second.items == []


async def test_a_leg_may_be_submitted_from_a_sink(inline: InlineEngine) -> None:
    prompt = prompt_for(inline)
    whole = (await write(inline, leg(prompt, 12))).tokens
    first, second = Recorder(stop_after=5), Recorder()

    def on_call(number: int) -> None:
        if number == 5:
            rest = leg([*prompt, *first.tokens], 7, generation_id="one")
            inline.submit(rest, second)

    first.on_call = on_call
    inline.submit(leg(prompt, LONG, generation_id="one"), first)
    second.wait()
    assert first.tokens + second.tokens == whole


async def test_an_error_is_the_last_thing_a_sink_is_told(case: Case, failing: Engine) -> None:
    assert isinstance(failing, InlineEngine)
    recorder = Recorder()
    failing.submit(leg(prompt_for(failing)), recorder)
    recorder.wait()
    assert len(recorder.outputs) == FAILS_AFTER
    assert isinstance(recorder.items[-1], EngineError)


async def test_closing_the_engine_tells_every_sink(inline: InlineEngine) -> None:
    occupied, go_on = threading.Event(), threading.Event()
    running, waiting = Recorder(), Recorder()

    def on_call(number: int) -> None:
        if number == 1:
            occupied.set()
            assert go_on.wait(PATIENCE_S)

    running.on_call = on_call
    inline.submit(leg(prompt_for(inline), LONG), running)
    assert occupied.wait(PATIENCE_S)
    inline.submit(leg(prompt_for(inline), LONG), waiting)
    threading.Thread(target=go_on.set).start()
    await inline.aclose()
    for recorder in (running, waiting):
        recorder.wait()
        last = recorder.items[-1]
        ended = not isinstance(last, EngineError) and last.end is LegEnd.LENGTH
        assert ended or isinstance(last, EngineUnavailableError)


async def test_a_prefill_hint_saves_the_leg_the_reading(inline: InlineEngine) -> None:
    prompt = prompt_for(inline, 40)
    expected = await write(inline, leg(prompt))
    inline.submit_prefill(prompt, "one")
    assert (await write(inline, leg(prompt, generation_id="one"))).tokens == expected.tokens


async def test_a_useless_prefill_hint_does_no_harm(inline: InlineEngine) -> None:
    size = inline.capabilities().vocab_size
    for tokens in ([], [size + 5], [1] * (inline.capabilities().context_tokens + 5)):
        inline.submit_prefill(tokens, "one")
    expected = await write(inline, leg(prompt_for(inline)))
    assert (
        await write(inline, leg(prompt_for(inline), generation_id="one"))
    ).tokens == expected.tokens
