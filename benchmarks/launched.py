"""The embedded pair behind real model servers and the gateway, started by ``relaygen launch``."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

READY_S = 900
_SHOWN = 20_000  # characters of the log, after a failure


@dataclass(frozen=True, kw_only=True)
class Launched:
    """Where what was started listens."""

    gateway: str
    large: str
    small: str


@asynccontextmanager
async def launched(
    flags: Sequence[str], settings: Mapping[str, str] | None = None
) -> AsyncIterator[Launched]:
    """Starts it, waits until all is ready, and ends it.

    Args:
        flags: of ``relaygen launch``.
        settings: of the gateway, as variables of its environment.
    """
    launch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relaygen", "launch", "--port", "0", "--cpu"),
        *("--ready-timeout", str(READY_S), *flags),
        stderr=PIPE,
        env=os.environ | {"RELAYGEN_SERVER__PLAYGROUND": "false", **(settings or {})},
    )
    assert launch.stderr is not None
    found: dict[str, str] = {}
    told: list[str] = []
    async with asyncio.timeout(READY_S):
        while "gateway" not in found:
            line = (await launch.stderr.readline()).decode(errors="replace")
            if not line:
                raise RuntimeError("the launch ended:\n" + "".join(told[-30:]))
            told.append(line)
            if match := re.search(r"(large|small)\b.*?(http://127\.0\.0\.1:\d+)", line):
                found.setdefault(match[1], match[2])
            if "everything is ready: " in line:
                found["gateway"] = line.rpartition(" ")[2].strip()
    draining = asyncio.create_task(launch.stderr.read())
    try:
        yield Launched(gateway=found["gateway"], large=found["large"], small=found["small"])
    except BaseException:
        await _end(launch)
        sys.stderr.write((await draining).decode(errors="replace")[-_SHOWN:])
        raise
    else:
        await _end(launch)
        await draining


async def _end(launch: Process) -> None:
    launch.send_signal(signal.SIGINT)
    await launch.wait()
