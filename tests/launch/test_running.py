"""Plans carried out, with servers that only pretend."""

from __future__ import annotations

import asyncio

import pytest

from relaygen.launch.interrupts import Interrupts
from relaygen.launch.plan import LaunchPlan
from relaygen.launch.running import run_plan
from relaygen.launch.service import Service

from .conftest import QUICK, Lines, fake


def pretended(large: Service, gateway: Service) -> LaunchPlan:
    return LaunchPlan(
        waves=((large,),),
        config="",
        keys=("key",),
        gateway=lambda config: gateway,
        notes=(),
        warnings=(),
    )


@pytest.mark.parametrize("set_before", [True, False])
async def test_a_key_is_drawn_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, set_before: bool
) -> None:
    if set_before:
        monkeypatch.setenv("key", "of my own")
    lines, interrupts = Lines(), Interrupts()
    plan = pretended(fake("large"), fake("gateway"))
    running = asyncio.create_task(
        run_plan(plan, timing=QUICK, show=lines.show, interrupts=interrupts)
    )
    await lines.until("everything is ready")
    interrupts.interrupt()
    async with asyncio.timeout(60):
        await running
    shown = {line.removeprefix("key ") for line in lines.of("large") if line.startswith("key ")}
    assert len(shown) == 1
    assert (shown == {"of my own"}) is set_before
    assert len(shown.pop()) >= 9
