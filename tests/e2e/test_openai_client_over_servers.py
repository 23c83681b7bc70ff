"""OpenAI's Python client: what the embedded pair cannot do, on simulated servers that can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel

from relaygen.engines.simulated.server import storyteller

from .simulated_pair import MODEL, reciter, serving, tokenizer

pytestmark = pytest.mark.e2e

QUESTION = {"role": "user", "content": "How many apples are in both boxes?"}
ASKED: dict[str, Any] = {"model": MODEL, "messages": [QUESTION]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"one": {"type": "integer"}, "other": {"type": "integer"}},
        },
    },
}
THOUGHT = "So, the boxes have to be added up.\n"
ARGUMENTS = '{"one": 347, "other": 58}'
CALL = f'<tool_call>\n{{"name": "add", "arguments": {ARGUMENTS}}}\n</tool_call>'


class Boxes(BaseModel):
    apples: int
    sizes: list[Literal["large", "small"]]
    sure: bool


@asynccontextmanager
async def client_of(openai: Any, folder: Path, text: str = "") -> AsyncIterator[Any]:
    """A client of a gateway over servers that tell stories, or recite a text."""
    backends = {
        role: reciter(text) if text else storyteller("vllm", tokenizer=tokenizer(), sentences=4)
        for role in ("large", "small")
    }
    async with serving(folder, backends) as pair:
        base_url = f"{pair.url}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
            yield client


async def test_an_answer_is_parsed_by_the_client(openai: Any, tmp_path: Path) -> None:
    async with client_of(openai, tmp_path) as client:
        reply = await client.chat.completions.parse(**ASKED, response_format=Boxes)
        async with client.chat.completions.stream(**ASKED, response_format=Boxes) as stream:
            streamed = await stream.get_final_completion()
    message = reply.choices[0].message
    assert isinstance(message.parsed, Boxes)
    assert message.reasoning
    assert streamed.choices[0].message.parsed == message.parsed
    assert reply.choices[0].finish_reason == "stop"


async def test_any_object_may_be_asked_for(openai: Any, tmp_path: Path) -> None:
    async with client_of(openai, tmp_path) as client:
        reply = await client.chat.completions.create(
            **ASKED, response_format={"type": "json_object"}
        )
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


async def test_a_call_of_a_tool_and_its_result(openai: Any, tmp_path: Path) -> None:
    async with client_of(openai, tmp_path, f"{THOUGHT}</think>\n\n{CALL}") as client:
        reply = await client.chat.completions.create(**ASKED, tools=[TOOL])
        async with client.chat.completions.stream(**ASKED, tools=[TOOL]) as stream:
            streamed = (await stream.get_final_completion()).choices[0].message
        message = reply.choices[0].message
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "405"}
        turns = [QUESTION, message, result]
        after = await client.chat.completions.create(**ASKED | {"messages": turns}, tools=[TOOL])
    assert reply.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == ("add", ARGUMENTS)
    assert message.content is None
    assert message.reasoning == THOUGHT
    assert streamed.tool_calls[0].function.arguments == ARGUMENTS
    assert after.usage.prompt_tokens > reply.usage.prompt_tokens


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "add"}}], ids=["any", "named"]
)
async def test_a_call_that_is_asked_for_is_made(openai: Any, tmp_path: Path, choice: Any) -> None:
    async with client_of(openai, tmp_path) as client:
        reply = await client.chat.completions.create(**ASKED, tools=[TOOL], tool_choice=choice)
    assert reply.choices[0].finish_reason == "tool_calls"
    (call,) = reply.choices[0].message.tool_calls
    assert call.function.name == "add"
    jsonschema.validate(json.loads(call.function.arguments), TOOL["function"]["parameters"])


async def test_what_no_server_can_enforce_is_the_clients_error(openai: Any, tmp_path: Path) -> None:
    strict = {**TOOL, "function": {**TOOL["function"], "strict": True}}
    async with client_of(openai, tmp_path) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**ASKED, tools=[strict])
        assert caught.value.param == "tools[0].function.strict"
        assert caught.value.code == "unsupported_parameter"
