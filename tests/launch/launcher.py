"""Runs two fake servers under a supervisor, and prints their process ids."""

from __future__ import annotations

import asyncio

from .conftest import QUICK, Launch, fake


async def main() -> None:
    launch = Launch([[fake("large")], [fake("gateway")]], QUICK)
    await launch.lines.until("everything is ready")
    for keeper in launch.supervisor.keepers:
        print(keeper.pid, flush=True)
    await launch.ended()


asyncio.run(main())
