"""While the small model is busy, the large one writes on."""

from __future__ import annotations

import pytest

from relaygen.engines.simulated import Fault
from relaygen.relay.policies import AlonePolicy, PaperPolicy
from relaygen.types import ModelRole, Stage
from tests.relay.driving import LARGE, SMALL
from tests.relay.peer_policies import PEERS
from tests.relay.scenes import END, SHORT, Scene
from tests.runner.relaying import complete, engines, run, turns

pytestmark = pytest.mark.parametrize("inline", [True, False], ids=["inline", "async"])

SCRIPT = [
    "We",
    " try",
    ".",
    " So,",
    " it",
    " fits",
    ".",
    " On",
    ".",
    " So,",
    " a",
    ".",
    END,
    " 2",
    ".",
]
SCENE = Scene(SCRIPT, config=SHORT, seed=1)
TEXT = "".join(SCRIPT)


async def test_all_the_time_the_large_model_writes_everything_in_one_leg(inline: bool) -> None:
    async with engines(SCENE, inline=inline) as opened:
        result = await run(SCENE, opened, small_busy=lambda: True).complete()
        assert opened[SMALL].counters.legs == 0
        assert opened[LARGE].counters.legs == 1
    assert result.text == TEXT
    assert {role for role, _, _ in turns(result)} == {"large"}
    assert result.trace.handoffs_left_out == 3  # two cues and the answer
    assert result.trace.repeatable is False
    assert result.trace.small_lost is False


async def test_never_is_as_if_nobody_asked(inline: bool) -> None:
    async with engines(SCENE, inline=inline) as opened:
        result = await run(SCENE, opened, small_busy=lambda: False).complete()
    assert turns(result) == SCENE.play().turns
    assert result.trace.handoffs_left_out == 0
    assert result.trace.repeatable


async def test_for_a_while_only_the_handoffs_of_that_while_are_left_out(inline: bool) -> None:
    async with engines(SCENE, inline=inline) as opened:
        running = run(SCENE, opened, small_busy=lambda: opened[LARGE].counters.generated_tokens < 6)
        result = await running.complete()
    assert result.text == TEXT
    assert turns(result) == [
        ("large", "We try. So, it fits. On. So,", "cue:So,"),
        ("small", " a.", "close_tag"),
        ("large", END, "reasoning_end"),
        ("small", " 2.", "eos"),
    ]
    assert result.trace.handoffs_left_out == 1


async def test_a_cue_that_waits_for_its_next_token_keeps_that_token(inline: bool) -> None:
    scene = Scene(SCRIPT, config=SHORT, policy=PaperPolicy)
    async with engines(scene, inline=inline) as opened:
        result = await run(scene, opened, small_busy=lambda: True).complete()
    assert result.text == TEXT


@pytest.mark.parametrize("peer", PEERS)
async def test_with_any_policy_the_text_is_whole(peer: type, inline: bool) -> None:
    scene = Scene(SCRIPT, policy=peer)
    async with engines(scene, inline=inline) as opened:
        result = await run(scene, opened, small_busy=lambda: True).complete()
    assert result.text == TEXT


@pytest.mark.parametrize("first_stage", [Stage.ANSWER, Stage.REASONING])
async def test_a_small_model_that_writes_alone_writes_though_it_is_busy(
    first_stage: Stage, inline: bool
) -> None:
    for roles in ((LARGE, SMALL), (SMALL,)):
        scene = Scene(
            SCRIPT,
            roles=roles,
            first_stage=first_stage,
            config=SHORT,
            policy=lambda cues, config: AlonePolicy(ModelRole.SMALL),
        )
        async with engines(scene, inline=inline) as opened:
            result = await run(scene, opened, small_busy=lambda: True).complete()
        assert {role for role, _, _ in turns(result)} == {"small"}


async def test_a_leg_of_the_small_model_that_breaks_is_its_own_to_repeat(inline: bool) -> None:
    faults = {SMALL: {0: Fault(kind="fail", after=1)}}
    async with engines(SCENE, inline=inline, faults=faults) as opened:
        running = run(SCENE, opened, small_busy=lambda: opened[SMALL].counters.legs == 1)
        result = await running.complete()
    assert turns(result) == SCENE.play().turns
    assert result.text == (await complete(SCENE, inline=inline)).text
