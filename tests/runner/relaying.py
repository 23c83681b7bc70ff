"""Scenes over simulated engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.simulated import Fault, ScriptedModel, SimulatedEngine
from relaygen.runner import RelayRun, Result
from relaygen.types import ModelRole
from tests.relay.driving import LARGE, SMALL
from tests.relay.scenes import END, EOS, SHORT, Scene

Engines = dict[ModelRole, SimulatedEngine]
GUARD_S = 20.0
"""No test is meant to take as long; it only keeps a hang from holding up the others."""

SCRIPT = ["We", " try", ".", " So,", " it", " fits", ".", " On", END, " 2", "."]
SCENE = Scene(SCRIPT, config=SHORT)

both_ways = pytest.mark.parametrize("inline", [True, False], ids=["inline", "async"])


def model(scene: Scene, role: ModelRole, margin: Callable[[int], float] | float) -> ScriptedModel:
    own = scene.large if role is LARGE else scene.small
    write = scene.writer(own)
    places = max([len(scene.script), *(place + 1 for place in own)])
    origin = len(scene.prompt.encode())
    script = [write([0] * (origin + place)) for place in range(places)]
    return ScriptedModel(
        script,
        vocab_size=len(scene.vocabulary),
        end_token=scene.token(EOS),
        margin=margin,
    )


@asynccontextmanager
async def engines(
    scene: Scene,
    *,
    inline: bool,
    faults: Mapping[ModelRole, Mapping[int, Fault] | Fault] | None = None,
    margin: Callable[[int], float] | float = 0.9,
    context: Mapping[ModelRole, int] | None = None,
    **options: Any,
) -> AsyncIterator[Engines]:
    """Both engines of a scene; at the end no leg may be left in them."""
    opened = {
        role: SimulatedEngine(
            model(scene, role, margin),
            inline=inline,
            faults=(faults or {}).get(role),
            context_tokens=(context or {}).get(role, 32_768),
            **options,
        )
        for role in (LARGE, SMALL)
    }
    try:
        async with asyncio.timeout(GUARD_S):
            yield opened
            await idle(opened)
    finally:
        for engine in opened.values():
            await engine.aclose()


async def idle(opened: Engines) -> None:
    """Returns once no leg is at work."""
    while any(engine.counters.active_legs for engine in opened.values()):
        await asyncio.sleep(0)


def run(scene: Scene, opened: Mapping[ModelRole, Engine], **options: Any) -> RelayRun:
    return RelayRun(scene.machine(), opened, **options)


async def complete(scene: Scene, *, inline: bool, **options: Any) -> Result:
    async with engines(scene, inline=inline, **options) as opened:
        return await run(scene, opened).complete()


def turns(result: Result) -> list[tuple[str, str, str]]:
    return [(str(s.role), s.text, s.ended_by) for s in result.trace.segments]


def tokens(result: Result) -> list[int]:
    return [token for segment in result.trace.segments for token in segment.token_ids]
