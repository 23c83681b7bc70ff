"""Streams through the gateway while its model servers are killed, stall and talk nonsense.

Every stream's text must be the reference text exactly: nothing lost, nothing twice, none hangs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp
import pytest

from relaygen import demo_models
from relaygen.chat import ChatEncoder
from relaygen.engines.simulated.server import storyteller
from relaygen.tokens import Tokenizer

from .fleet import Process, gateway, model_server

pytestmark = pytest.mark.e2e

_SENTENCES = 12
_DEADLINE_S = 240.0
_BAD = {
    "stall": ("--fault", "stall", "--fault-after", "7"),
    "half-closed": ("--fault", "half_close", "--fault-after", "5"),
    "garbage": ("--fault", "garbage", "--fault-after", "9"),
    "cut": ("--fault", "cut", "--fault-after", "3"),
}
"""Replicas that fail in every leg, each in its own way."""


@dataclass
class Fleet:
    """What runs."""

    gateway: Process
    servers: dict[str, list[Process]]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kills(self) -> int:
        return sum(server.kills for pool in self.servers.values() for server in pool)


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    """Three good replicas of each model, two bad ones of each, and a gateway before them."""
    tokenizer = demo_models.hf_folder("large")
    flags = {"large": ("--decode-ms", "2"), "small": ("--decode-ms", "1")}
    faults = {"large": ("stall", "garbage"), "small": ("half-closed", "cut")}
    servers = {
        role: [
            model_server(
                folder,
                role=role,
                number=number,
                tokenizer=tokenizer,
                sentences=_SENTENCES,
                flags=(*flags[role], *bad),
            )
            for number, bad in enumerate(((), (), (), *(_BAD[name] for name in faults[role])))
        ]
        for role in ("large", "small")
    }
    pools = "\n".join(
        f"[{role}]\nreplicas = {[server.url for server in pool]}\ndialect = 'vllm'\n"
        "between_tokens_s = 3\nfirst_token_s = 5\nhealth_interval_s = 0.5\n"
        for role, pool in servers.items()
    )
    door = gateway(folder, f"[relay]\nprofile = 'demo'\ntokenizer = {str(tokenizer)!r}\n{pools}")
    everything = [*servers["large"], *servers["small"]]
    try:
        await asyncio.gather(*(server.start() for server in everything))
        await door.start()
        yield Fleet(door, servers)
    finally:
        assert await door.stop() == 0
        await asyncio.gather(*(server.kill() for server in everything))


async def kill_at_random(fleet: Fleet, seed: int) -> None:
    """Kills a good replica, starts it again, until told to stop; one of each model is spared."""
    draw = Random(seed)
    while not fleet.stop.is_set():
        server = draw.choice([*fleet.servers["large"][1:3], *fleet.servers["small"][1:3]])
        await server.kill()
        await asyncio.sleep(draw.uniform(0.0, 0.3))
        await server.start()
        await asyncio.sleep(draw.uniform(0.0, 0.3))


@dataclass
class Outcome:
    """One stream as its reader saw it."""

    reasoning: str = ""
    answer: str = ""
    finish_reason: str | None = None
    error: str | None = None
    failovers: int = 0


async def read_stream(session: aiohttp.ClientSession, url: str, question: str) -> Outcome:
    """One question, streamed."""
    outcome = Outcome()
    body = {
        "model": "relay",
        "stream": True,
        "messages": [{"role": "user", "content": question}],
    }
    async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
        assert reply.status == 200, await reply.text()
        async for line in reply.content:
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                outcome.error = event["error"]["message"]
                continue
            for choice in event["choices"]:
                outcome.reasoning += choice["delta"].get("reasoning_content") or ""
                outcome.answer += choice["delta"].get("content") or ""
                outcome.finish_reason = choice["finish_reason"] or outcome.finish_reason
                outcome.failovers += choice.get("relaygen", {}).get("failovers", 0)
    return outcome


class Reference:
    """What the servers tell for each question."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer.load(demo_models.hf_folder("large"))
        self._encoder = ChatEncoder(self._tokenizer)
        self._backend = storyteller("vllm", tokenizer=self._tokenizer, sentences=_SENTENCES)

    def text(self, question: str) -> str:
        """The whole text, tags included."""
        prompt = self._encoder.encode([{"role": "user", "content": question}])
        script = self._backend.model.script(list(prompt.ids))
        return self._tokenizer.decode(list(script))


async def _run(folder: Path, *, streams: int, at_once: int) -> None:
    reference = Reference()
    places = asyncio.Semaphore(at_once)
    async with fleet(folder) as running:
        killer = asyncio.ensure_future(kill_at_random(running, seed=streams))
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_DEADLINE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def ask(number: int) -> tuple[str, Outcome]:
                question = f"How many apples are in box {number}?"
                async with places:
                    return question, await read_stream(session, running.gateway.url, question)

            outcomes = await asyncio.gather(*(ask(number) for number in range(streams)))
        running.stop.set()
        await killer
        kills = running.kills
    for question, outcome in outcomes:
        assert outcome.error is None
        assert outcome.finish_reason == "stop"
        assert f"{outcome.reasoning}</think>{outcome.answer}" == reference.text(question)
    failovers = sum(outcome.failovers for _, outcome in outcomes)
    print(
        f"{streams} streams, {at_once} at once: all exact; {kills} replicas killed, "
        f"{failovers} legs continued elsewhere"
    )
    assert kills > 0
    assert failovers > 0


async def test_no_token_is_lost_when_replicas_die(tmp_path: Path) -> None:
    await _run(tmp_path, streams=200, at_once=200)


@pytest.mark.slow
async def test_no_token_is_lost_in_thousands_of_streams(tmp_path: Path) -> None:
    await _run(tmp_path, streams=3000, at_once=200)
