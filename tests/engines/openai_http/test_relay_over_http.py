"""Two served models write one text between them, over real sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from relaygen.engines.openai_http import OpenAIHTTPEngine
from relaygen.engines.simulated import ScriptedModel, SimulatedEngine
from relaygen.engines.simulated.server import Backend, ServerFault, SimulatedServer
from relaygen.types import ModelRole
from tests.engines.openai_http.byte_tokenizer import ByteTokenizer
from tests.relay.driving import LARGE, SMALL
from tests.relay.scenes import Scene
from tests.runner.relaying import complete, run, tokens, turns

WORDS = "Let me see. So, it is 4 é 😀. Now that is all. Done."
SCENE = Scene([*re.findall(r" ?[^ .]+|[.]", WORDS), "</think>", "4"])
Faults = Mapping[ModelRole, Mapping[int, ServerFault]]


@asynccontextmanager
async def served_pair(
    dialect: str, faults: Faults
) -> AsyncIterator[Mapping[ModelRole, OpenAIHTTPEngine]]:
    async with AsyncExitStack() as stack:
        engines = {}
        for role in (LARGE, SMALL):
            model = ScriptedModel(
                SCENE.ids(*SCENE.script),
                vocab_size=len(SCENE.vocabulary),
                end_token=SCENE.vocabulary.eos_id,
                prompt=list(SCENE.prompt.encode()),
            )
            backend = Backend(
                model,
                SCENE.vocabulary,
                dialect=dialect,
                engine=SimulatedEngine(model, vocabulary=SCENE.vocabulary),
                eos_ids=frozenset({SCENE.vocabulary.eos_id}),
                faults=faults.get(role),
            )
            server = await stack.enter_async_context(SimulatedServer(backend))
            engine = await OpenAIHTTPEngine.connect(
                server.url, tokenizer=ByteTokenizer(SCENE.vocabulary)
            )
            stack.push_async_callback(engine.aclose)
            engines[role] = engine
        yield engines


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama_server"])
@pytest.mark.parametrize(
    "faults",
    [
        {},
        {LARGE: {0: ServerFault(kind="cut", after=2)}},
        {SMALL: {0: ServerFault(kind="garbage", after=1)}},
        {LARGE: {1: ServerFault(kind="status")}, SMALL: {0: ServerFault(kind="end", after=1)}},
    ],
    ids=["well", "cut", "garbage", "both"],
)
async def test_a_relay_over_http_is_one_in_process(dialect: str, faults: Faults) -> None:
    expected = await complete(SCENE, inline=False)
    async with asyncio.timeout(60), served_pair(dialect, faults) as engines:
        result = await run(SCENE, engines).complete()
    assert tokens(result) == tokens(expected)
    assert turns(result) == turns(expected)
    assert result.text == expected.text
