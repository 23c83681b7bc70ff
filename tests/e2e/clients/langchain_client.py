"""LangChain's ``ChatOpenAI``: prints as JSON what it makes of the gateway."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

ASKED = json.loads(sys.argv[1])
QUESTION = ASKED["question"]


def model(*, base_url: str = ASKED["url"], api_key: str = "any", **fields: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=fields.pop("model", ASKED["model"]),
        base_url=base_url,
        api_key=api_key,
        max_retries=0,
        temperature=0,
        seed=1,
        stream_usage=True,
        **fields,
    )


def message(reply: Any) -> dict[str, Any]:
    return {
        "content": reply.content,
        "usage": reply.usage_metadata,
        "metadata": reply.response_metadata,
    }


def failure(call: Callable[[], Any]) -> dict[str, Any] | None:
    """The exception that a call ends with, by its name and those it inherits from."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "message": str(error)}
    return None


def whole_stream() -> Any:
    first, *rest = model().stream(QUESTION)
    whole = first
    for chunk in rest:
        whole += chunk
    return whole


async def at_once() -> dict[str, Any]:
    one, *replies = await asyncio.gather(*(model().ainvoke(QUESTION) for _ in range(3)))
    streamed = "".join([str(chunk.content) async for chunk in model().astream(QUESTION)])
    return {"same": all(reply.content == one.content for reply in replies), "streamed": streamed}


@tool
def add(one: int, other: int) -> int:
    """Adds two numbers."""
    return one + other


def main() -> None:
    keyed = model(base_url=ASKED["keyed_url"], api_key=ASKED["key"], max_tokens=1)
    nobody = model(base_url=ASKED["keyed_url"], api_key="wrong")
    first = model().invoke(QUESTION)
    turns = [HumanMessage(QUESTION), first, HumanMessage(QUESTION)]
    forced = model().bind_tools([add], tool_choice="add")
    unknown_policy = model(extra_body={"relaygen": {"policy": "best"}})
    told = {
        "whole": message(first),
        "streamed": message(whole_stream()),
        "async": asyncio.run(at_once()),
        "second_turn": message(model(max_tokens=8).invoke(turns)),
        "stopped": message(model().bind(stop=["boxed"]).invoke(QUESTION)),
        "tools": message(model(max_tokens=8).bind_tools([add]).invoke(QUESTION)),
        "failures": {
            "forced_tool": failure(lambda: forced.invoke(QUESTION)),
            "unknown_policy": failure(lambda: unknown_policy.invoke(QUESTION)),
            "unknown_model": failure(lambda: model(model="nobody").invoke(QUESTION)),
            "wrong_key": failure(lambda: nobody.invoke(QUESTION)),
            "first_with_key": failure(lambda: keyed.invoke(QUESTION)),
            "second_with_key": failure(lambda: keyed.invoke(QUESTION)),
        },
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
