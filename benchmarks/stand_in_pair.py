"""Two stand-in servers of one story, the library's engines over them, and what their tokens cost."""

from __future__ import annotations

import json
import socket
import statistics
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.processes import Fleet, Process
from benchmarks.scripted_trace import Story, tokenizer
from benchmarks.stand_in import MARKER
from relaygen import demo_models
from relaygen.api import Model, Relay
from relaygen.engines.base import GenerateRequest
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.planning import Costs, limit, reading_of
from relaygen.profiles import load
from relaygen.runner import Result
from relaygen.types import ModelRole, Sampling

GREEDY = Sampling(temperature=0.0)
ROLES = (ModelRole.LARGE, ModelRole.SMALL)
STOP_STRINGS = 64  # what `relaygen launch` has vLLM take
_IDLE_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Milliseconds that the two servers are told to take.

    Attributes:
        request: each request.
        costs: a token of each model.
    """

    request: float
    costs: dict[ModelRole, Costs]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What a server says that it has done."""

    written: int
    read: int


class Pair:
    """The servers."""

    def __init__(self, fleet: Fleet, story: Story, pace: Pace) -> None:
        script = fleet.folder / f"story-{len(story.token_ids)}-{story.requests}.json"
        script.write_text(json.dumps(story.token_ids), encoding="utf-8")
        self._pace = pace
        self._bare_prompt = tokenizer().encode(" the" * 500 + MARKER, parse_special=True)
        self.servers: dict[ModelRole, Process] = {
            role: fleet.module(
                "benchmarks.stand_in",
                *("--script", str(script), "--request-ms", str(pace.request)),
                *("--decode-ms", str(pace.costs[role].write)),
                *("--prefill-ms", str(pace.costs[role].read)),
            )
            for role in ROLES
        }

    def settings(self, relay: str = "") -> str:
        """For a gateway before them; `relay`: more lines of its section."""
        pools = "\n".join(
            f"[{role}]\nreplicas = ['{server.url}']\ndialect = 'vllm'\n"
            f"stop_strings = {STOP_STRINGS}\n"
            for role, server in self.servers.items()
        )
        folder = demo_models.hf_folder("large")
        return f"[relay]\nname = 'pair'\nprofile = 'demo'\ntokenizer = '{folder}'\n{relay}\n{pools}"

    def counts(self, role: ModelRole) -> Counts:
        """Tokens written and read so far."""
        with urllib.request.urlopen(self.servers[role].url + "/metrics") as answer:
            lines = dict(line.split() for line in answer.read().decode().splitlines())
        read = int(lines["vllm:prefix_cache_queries_total"])
        read -= int(lines["vllm:prefix_cache_hits_total"])
        return Counts(written=int(lines["vllm:generation_tokens_total"]), read=read)

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        """The library over them."""
        read, options = tokenizer(), HTTPOptions(stop_strings=STOP_STRINGS)
        models = [
            Model(
                name=str(role),
                engine=await OpenAIHTTPEngine.connect(
                    self.servers[role].url, tokenizer=read, options=options
                ),
                tokenizer=read,
                sampling=GREEDY,
            )
            for role in ROLES
        ]
        async with Relay(models[0], models[1], profile=load("demo")) as relay:
            yield relay

    def bare_round_trip_ms(self, rounds: int = 20) -> float:
        """A request for one token on a bare socket, beyond what the server is told to take.

        It comes from an idle client, as a relay's do. What is left is the machine's: two processes
        that wake up, and the server's own work.
        """
        request = self._pace.request + self._pace.costs[ModelRole.SMALL].write
        request += self._pace.costs[ModelRole.SMALL].read  # of the last token of a cached prompt
        place = urlsplit(self.servers[ModelRole.SMALL].url)
        with socket.create_connection((place.hostname, place.port)) as bare:
            return statistics.median(self._bare_ms(bare) for _ in range(rounds)) - request

    def _bare_ms(self, bare: socket.socket) -> float:
        body = json.dumps({"prompt": self._bare_prompt, "max_tokens": 1, "stream": True}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nhost: bare\r\ncontent-length: %d\r\n\r\n"
        time.sleep(_IDLE_S)
        began = time.perf_counter()
        bare.sendall(head % len(body) + body)
        data = b""
        while b"data: {" not in data:
            data += _received(bare)
        ms = (time.perf_counter() - began) * 1e3
        while not data.endswith(b"0\r\n\r\n"):
            data += _received(bare)
        return ms

    async def measured(self, relay: Relay) -> dict[ModelRole, Costs]:
        """Milliseconds a token as a client of these servers sees them."""
        return {role: await _costs(relay, role) for role in ROLES}


def _received(bare: socket.socket) -> bytes:
    data = bare.recv(65536)
    if not data:
        raise RuntimeError("the server closed the connection in the middle of its answer")
    return data


class Questions:
    """No two begin alike, so that no prefix of one is in the cache for another."""

    def __init__(self) -> None:
        self._count = 1000

    def next(self) -> str:
        """A new one."""
        self._count += 1
        return f"{self._count} boxes hold how many apples if each of them has two more than that?"


def limit_ms(prompt_tokens: int, story: Story, costs: dict[ModelRole, Costs]) -> float:
    """Milliseconds of a generation of which nothing but writing and reading takes time."""
    large, small = costs[ModelRole.LARGE], costs[ModelRole.SMALL]
    tokens = sum(count for _, count in story.segments)
    alone = prompt_tokens * large.read + tokens * large.write
    return alone / limit(reading_of(prompt_tokens, story.segments), large, small)


def check(story: Story, result: Result) -> None:
    """Raises `AssertionError` where a relay wrote other segments than the story foresees."""
    found = tuple((s.role, len(s.token_ids)) for s in result.trace.segments)
    assert found == story.segments, f"{found} where {story.segments} were expected"


async def _costs(relay: Relay, role: ModelRole, *, tokens: int = 150, rounds: int = 3) -> Costs:
    """The median of some rounds: a leg of so many tokens, then a short and a long prompt."""
    model = relay.models[role]
    marker = model.tokenizer.encode(MARKER, parse_special=True)
    filler = model.tokenizer.encode(" the", parse_special=True)

    async def arrivals(prompt: int, count: int) -> list[float]:
        times = [time.perf_counter()]
        nonce = time.monotonic_ns()
        own = model.tokenizer.encode(f"{nonce}", parse_special=True)
        ids = (own + filler * prompt)[: prompt - len(marker)] + marker
        request = GenerateRequest(prompt=ids, max_tokens=count, sampling=GREEDY)
        async for output in model.engine.generate(request):
            times += [time.perf_counter()] * len(output.token_ids)
        return times

    write, read = [], []
    for _ in range(rounds):
        times = await arrivals(50, tokens)
        write.append((times[-1] - times[1]) * 1e3 / (tokens - 1))
        short, long = [await arrivals(size, 1) for size in (50, 550)]
        read.append(((long[1] - long[0]) - (short[1] - short[0])) * 1e3 / 500)
    return Costs(write=statistics.median(write), read=statistics.median(read))
