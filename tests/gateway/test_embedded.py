"""The gateway over the embedded pair, in llama.cpp."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from relaygen import demo_models
from relaygen.api import Options, Relay
from relaygen.gateway import Service, create_app
from tests.gateway.asgi import Client
from tests.gateway.test_streams import joined


@pytest_asyncio.fixture
async def relay() -> AsyncIterator[Relay]:
    files = demo_models.gguf("large"), demo_models.gguf("small")
    async with Relay.open(*files, profile="demo", context_tokens=1024, sequences=2) as relay:
        yield relay


async def test_a_question_over_http_is_answered_as_by_the_library(relay: Relay) -> None:
    question = demo_models.problems()[0].question
    expected = await relay.generate(question, Options(seed=3, max_tokens=80))
    client = Client(create_app(Service(relay, name="demo")))
    options = {"include_usage": True}
    fields = {"model": "demo", "seed": 3, "max_tokens": 80, "stream_options": options}
    reply = await client.chat(question, stream=True, **fields)
    assert joined(reply.events, "content") == expected.answer
    assert joined(reply.events, "reasoning") == expected.reasoning
    usage = reply.events[-2]["usage"]
    assert usage["completion_tokens"] == expected.usage.completion_tokens
    told = reply.events[-3]["choices"][0]["relaygen"]
    assert told["handoffs"] == expected.trace.handoffs


async def test_choices_at_once_are_the_ones_of_their_seeds(relay: Relay) -> None:
    client = Client(create_app(Service(relay, name="demo")))
    question = demo_models.problems()[1].question
    fields = {"model": "demo", "seed": 5, "n": 2, "max_tokens": 40, "temperature": 2.0}
    one, two = [(await client.chat(question, **fields)).json["choices"] for _ in range(2)]
    texts = [choice["message"]["reasoning"] for choice in one]
    assert texts == [choice["message"]["reasoning"] for choice in two]
    assert texts[0] != texts[1]
