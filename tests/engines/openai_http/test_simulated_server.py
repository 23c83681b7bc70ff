from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from relaygen.engines.base import GenerateRequest
from relaygen.engines.deadlines import LegDeadlines
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.engines.simulated import ByteVocabulary
from relaygen.engines.simulated.server import ROUTES, ServerFault, SimulatedServer, storyteller
from relaygen.errors import (
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
    ServerBusyError,
)
from tests.engines.openai_http.byte_tokenizer import ByteTokenizer

VOCABULARY = ByteVocabulary()
EOS = VOCABULARY.eos_id
IDS = ["vllm", "sglang", "llama_server"]


def prompt(question: str) -> list[int]:
    return VOCABULARY.encode(question + "<think>\n")


async def connected(server: SimulatedServer, **options: Any) -> OpenAIHTTPEngine:
    return await OpenAIHTTPEngine.connect(
        server.url,
        tokenizer=ByteTokenizer(VOCABULARY),
        options=HTTPOptions(**options),
    )


async def write(engine: OpenAIHTTPEngine, prefix: list[int], into: list[int]) -> None:
    request = GenerateRequest(prompt=prefix, max_tokens=4000, eos_ids=frozenset({EOS}))
    async with asyncio.timeout(60):
        async for output in engine.generate(request):
            into.extend(output.token_ids)


@pytest.mark.parametrize("dialect", IDS)
async def test_two_replicas_write_one_text(dialect: str) -> None:
    """One breaks off, and the other goes on from the last token received."""
    backends = [
        storyteller(dialect, sentences=3, faults=ServerFault(kind="cut", after=40)),
        storyteller(dialect, sentences=3),
    ]
    received: list[int] = []
    async with SimulatedServer(backends[0]) as first, SimulatedServer(backends[1]) as second:
        engines = [await connected(server) for server in (first, second)]
        with pytest.raises(EngineError) as raised:
            await write(engines[0], prompt("2+2?"), received)
        assert raised.value.retryable
        assert 0 < len(received) <= 40
        await write(engines[1], prompt("2+2?") + received, received)
        for engine in engines:
            await engine.aclose()
    script = backends[1].model.script(prompt("2+2?"))  # type: ignore[attr-defined]
    assert received == [*script, EOS]


FAULTS: dict[str, type[EngineError]] = {
    "status": ServerBusyError,
    "hang_up": EngineUnavailableError,
    "cut": EngineUnavailableError,
    "end": EngineError,
    "stall": EngineError,
    "half_close": EngineError,
    "garbage": EngineError,
    "not_utf8": EngineError,
    "huge": EngineError,
}


@pytest.mark.parametrize("dialect", [*IDS])
@pytest.mark.parametrize("kind", FAULTS)
async def test_fails_as_told(dialect: str, kind: Any) -> None:
    fault = ServerFault(kind=kind, after=5, retry_after_s=3, size=2**17)
    async with SimulatedServer(storyteller(dialect, sentences=2, faults=fault)) as server:
        engine = await connected(
            server, deadlines=LegDeadlines(between_tokens_s=0.2), max_event_bytes=2**16
        )
        received: list[int] = []
        with pytest.raises(FAULTS[kind]) as raised:
            await write(engine, prompt("x"), received)
        assert raised.value.retryable
        if kind == "status":
            assert isinstance(raised.value, ServerBusyError)
            assert raised.value.retry_after_s == 3
        else:
            assert len(received) <= 5
        server.backend.faults = None
        await write(engine, prompt("x"), received := [])
        assert received[-1] == EOS
        await engine.aclose()


async def test_faults_by_the_number_of_the_request() -> None:
    backend = storyteller("vllm", sentences=1, faults={1: ServerFault(kind="status", status=500)})
    async with SimulatedServer(backend) as server:
        engine = await connected(server)
        await write(engine, prompt("x"), [])
        with pytest.raises(EngineError, match="500"):
            await write(engine, prompt("x"), [])
        await write(engine, prompt("x"), [])
        await engine.aclose()


@pytest.mark.parametrize("dialect", ROUTES)
async def test_metrics_count_what_the_cache_knew(dialect: str) -> None:
    backend = storyteller(dialect, sentences=1)
    async with SimulatedServer(backend) as server:
        if dialect != "text":
            engine = await connected(server)
            await write(engine, prompt("x" * 50), [])
            await write(engine, prompt("x" * 50), [])
            await engine.aclose()
            size = len(prompt("x" * 50))
            assert (backend.cache_queries, backend.cache_hits) == (2 * size, size - 1)
            assert backend.running == 0
        text = await asyncio.to_thread(
            lambda: urllib.request.urlopen(server.url + "/metrics").read().decode()
        )
        assert str(backend.cache_hits) in text
        assert len(text.splitlines()) == 4


async def test_a_request_that_is_not_understood_is_refused() -> None:
    async with SimulatedServer(storyteller("vllm")) as server:
        engine = await connected(server)
        with pytest.raises(InvalidRequestError, match="marker"):
            await write(engine, [1, 2, 3], [])
        await engine.aclose()


def test_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "relaygen.engines.simulated.server", "--dialect", "sglang"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            body = urllib.request.urlopen(url + "/v1/models").read()
            assert b'"owned_by":"sglang"' in body
        finally:
            process.terminate()
