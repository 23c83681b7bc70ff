"""One generation over two engines: as the machine alone would have it, either way of driving."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from relaygen.relay.config import RelayConfig
from relaygen.relay.policies import AlonePolicy
from relaygen.runner import RelayRun
from relaygen.types import FinishReason, ModelRole
from tests.relay.driving import LARGE, SMALL
from tests.relay.peer_policies import PEERS, SpecReason
from tests.relay.scenes import END, EOS, SHORT, Scene
from tests.runner.relaying import complete, engines, run, tokens, turns

pytestmark = pytest.mark.parametrize("inline", [True, False], ids=["inline", "async"])

SNOW = "☃".encode()
SCRIPT = ["We", " try", ".", " So,", " it", " fits", ".", " So,", SNOW[:1], SNOW[1:], ".", " On"]
SCENES = {
    "relay": Scene([*SCRIPT, END, " 2", "."], config=SHORT, small={6: "!", 7: " Or"}),
    "text tag": Scene([*SCRIPT, "</", "think", ">2", "."], config=SHORT, tags="text"),
    "one stage": Scene(SCRIPT, config=SHORT, tags=None, first_stage=None, stop=(" On",)),
    "opens itself": Scene(["<think>", *SCRIPT, END, "2"], config=SHORT, first_stage=None),
    "small ends": Scene([*SCRIPT, END, "2"], config=SHORT, small={5: EOS, 9: END}),
    "cut": Scene([*SCRIPT, END, "2"], max_tokens=9),
    "forced": Scene(SCRIPT, config=RelayConfig(force_answer=True), small={14: "!"}),
    "read ahead": Scene([*SCRIPT, END, "2"], config=RelayConfig(read_ahead=2)),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("chunk", [1, 4])
async def test_a_run_is_what_the_machine_alone_makes_of_the_script(
    name: str, chunk: int, inline: bool
) -> None:
    scene = SCENES[name]
    expected = scene.play()
    result = await complete(scene, inline=inline, chunk_tokens=chunk)
    assert turns(result) == expected.turns
    assert tokens(result) == expected.machine.tokens
    assert result.text == expected.text
    assert (result.reasoning, result.answer) == (expected.reasoning, expected.answer)
    assert result.usage == expected.machine.usage
    assert result.finish_reason is expected.finish.reason


@pytest.mark.parametrize("peer", PEERS)
async def test_peers_run_too(peer: type, inline: bool) -> None:
    scene = Scene([*SCRIPT, END, " 2"], policy=peer)
    expected = scene.play()
    result = await complete(scene, inline=inline)
    assert result.text == expected.text == "".join(["We try. So, it fits. So,☃. On", END, " 2"])
    assert turns(result) == expected.turns


async def test_a_judge_sees_the_scores_of_its_own_model(inline: bool) -> None:
    scene = Scene([*SCRIPT, END, " 2"], policy=SpecReason)
    result = await complete(scene, inline=inline, margin=lambda place: float(place > 2))
    assert turns(result)[:3] == [
        ("small", "", "rejected"),
        ("large", "We try.", "sentence_end"),
        ("small", " So, it fits.", "accepted"),
    ]


async def test_what_is_streamed_adds_up(inline: bool) -> None:
    scene = SCENES["relay"]
    async with engines(scene, inline=inline) as opened:
        running = run(scene, opened)
        parts = [part async for part in running.stream()]
        result = running.result()
    assert "".join(part.text for part in parts) == result.text
    assert [i for part in parts for i in part.token_ids] == tokens(result)


async def test_no_token_is_computed_beyond_a_decision_inline(inline: bool) -> None:
    scene = SCENES["relay"]
    async with engines(scene, inline=inline) as opened:
        result = await run(scene, opened).complete()
        made = sum(engine.counters.generated_tokens for engine in opened.values())
    assert made == result.usage.completion_tokens + result.trace.overrun_tokens
    assert result.trace.overrun_tokens == 2  # what was looked ahead at


async def test_the_trace_has_times_in_order_and_counts_what_was_read(inline: bool) -> None:
    scene = SCENES["relay"]
    ticks = itertools.count()
    async with engines(scene, inline=inline) as opened:
        running = run(scene, opened, clock=lambda: float(next(ticks)))
        result = await running.complete()
    trace = result.trace
    assert trace.policy == "relay"
    assert trace.repeatable is False  # no seed, and not greedy
    times = [t for s in trace.segments for t in (s.started_s, s.first_token_s, s.ended_s)]
    assert all(time is not None for time in times)
    assert times == sorted(times, key=float)  # type: ignore[arg-type]
    assert trace.wall_s >= trace.segments[-1].ended_s
    assert trace.handoffs == 3
    assert 0 < trace.utilisation < 1
    prompt = len(scene.prompt)
    kept = [len(segment.token_ids) for segment in trace.segments]
    assert [segment.prompt_evaluated for segment in trace.segments[:4]] == [
        prompt,
        prompt + kept[0],  # the small model reads everything once,
        kept[1] + 1,  # then each only what the other wrote, large its own last token too:
        kept[2],  # small has read that one to look ahead
    ]
    assert trace.segments[0].margins is None


async def test_margins_are_in_the_trace_where_scores_were_asked_for(inline: bool) -> None:
    result = await complete(Scene(["We", END, "2"], want_scores=True), inline=inline, margin=0.5)
    for segment in result.trace.segments:
        assert segment.margins is not None
        assert [round(margin or 0.0, 2) for margin in segment.margins] == [0.5] * len(
            segment.token_ids
        )


async def test_a_segment_that_came_whole_in_one_output_has_a_first_token(inline: bool) -> None:
    scene = Scene(["We", END, "2"])  # the large model answers on in the same leg
    result = await complete(scene, inline=inline, chunk_tokens=9)
    assert all(segment.first_token_s is not None for segment in result.trace.segments)


async def test_a_seeded_run_is_repeatable(inline: bool) -> None:
    result = await complete(Scene(SCRIPT, seed=1), inline=inline)
    assert result.trace.repeatable


async def test_one_model_alone_needs_one_engine(inline: bool) -> None:
    scene = Scene(SCRIPT, roles=(SMALL,), policy=lambda cues, config: AlonePolicy(SMALL))
    async with engines(scene, inline=inline) as opened:
        only: dict[ModelRole, object] = {SMALL: opened[SMALL]}
        result = await RelayRun(scene.machine(), only).complete()  # type: ignore[arg-type]
        assert opened[LARGE].counters.legs == 0
    assert result.text == "We try. So, it fits. So,☃. On"


async def test_many_generations_share_two_engines(inline: bool) -> None:
    scene = SCENES["relay"]
    expected = scene.play()
    async with engines(scene, inline=inline, cached_sequences=4) as opened:
        runs = [run(scene, opened) for _ in range(10)]
        results = await asyncio.gather(*(running.complete() for running in runs))
    assert {result.text for result in results} == {expected.text}
    assert all(turns(result) == expected.turns for result in results)
    assert {result.finish_reason for result in results} == {FinishReason.STOP}
