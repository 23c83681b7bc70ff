"""An engine on a simulated server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from relaygen.engines.base import Engine, EngineOutput, GenerateRequest
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.engines.simulated import ByteVocabulary, ScriptedModel, SimulatedEngine
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.server import Backend, SimulatedServer
from tests.engines.openai_http.byte_tokenizer import ByteTokenizer

VOCABULARY = ByteVocabulary(["So,", "Thus"])
EOS = VOCABULARY.eos_id


def reciting(text: str | Sequence[int]) -> ScriptedModel:
    """Recites a text after the prompt ``?``."""
    script = VOCABULARY.encode(text) if isinstance(text, str) else text
    return ScriptedModel(
        script, vocab_size=len(VOCABULARY), end_token=EOS, prompt=VOCABULARY.encode("?")
    )


@asynccontextmanager
async def served(
    dialect: str,
    model: TokenModel,
    *,
    tokenizer: bool = True,
    engine: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **fields: Any,
) -> AsyncIterator[tuple[OpenAIHTTPEngine, Backend]]:
    simulated = SimulatedEngine(model, vocabulary=VOCABULARY, context_tokens=512, **(engine or {}))
    fields = {"eos_ids": frozenset({EOS}), **fields}
    backend = Backend(model, VOCABULARY, dialect=dialect, engine=simulated, **fields)
    async with SimulatedServer(backend) as server:
        opened = await OpenAIHTTPEngine.connect(
            server.url,
            tokenizer=ByteTokenizer(VOCABULARY) if tokenizer else None,
            vocab_size=len(VOCABULARY),
            context_tokens=512,
            options=HTTPOptions(**(options or {})),
        )
        try:
            yield opened, backend
        finally:
            await opened.aclose()


def leg(**fields: Any) -> GenerateRequest:
    prompt = tuple(VOCABULARY.encode("?"))
    return GenerateRequest(
        **{"prompt": prompt, "max_tokens": 100, "eos_ids": frozenset({EOS}), **fields}
    )


async def outputs_of(engine: Engine, request: GenerateRequest) -> list[EngineOutput]:
    async with asyncio.timeout(60):
        return [output async for output in engine.generate(request)]


def tokens(outputs: list[EngineOutput]) -> list[int]:
    return [token for output in outputs for token in output.token_ids]
