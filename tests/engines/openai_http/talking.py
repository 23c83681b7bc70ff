"""An engine that talks to a `RawServer` in vLLM's dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from tests.engines.openai_http.raw_server import Answer, RawServer, raw_server

TWO = b'{"choices":[{"index":0,"text":"ab","token_ids":[5,6],"finish_reason":null}]}'
LAST = b'{"choices":[{"index":0,"text":"","token_ids":[7],"finish_reason":"length"}]}'
DONE = b"[DONE]"


def leg(**fields: Any) -> GenerateRequest:
    return GenerateRequest(**{"prompt": (1, 2, 3), "max_tokens": 3, **fields})


@asynccontextmanager
async def opened(
    *answers: Answer, **options: Any
) -> AsyncIterator[tuple[OpenAIHTTPEngine, RawServer]]:
    async with raw_server(*answers) as server:
        engine = OpenAIHTTPEngine(
            server.url,
            dialect="vllm",
            context_tokens=64,
            vocab_size=100,
            options=HTTPOptions(**options),
        )
        try:
            yield engine, server
        finally:
            await engine.aclose()


async def read(
    engine: OpenAIHTTPEngine, request: GenerateRequest, into: list[EngineOutput] | None = None
) -> list[int]:
    outputs: list[EngineOutput] = [] if into is None else into
    async with asyncio.timeout(20):
        async for output in engine.generate(request):
            outputs.append(output)
    return [token for output in outputs for token in output.token_ids]
