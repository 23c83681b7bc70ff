"""LiteLLM's library: prints as JSON what it makes of the gateway."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch its prices at import

import litellm

litellm.suppress_debug_info = True
ASKED = json.loads(sys.argv[1])
MESSAGES = [{"role": "user", "content": ASKED["question"]}]
FIELDS: dict[str, Any] = {
    "model": f"openai/{ASKED['model']}",
    "api_base": ASKED["url"],
    "api_key": "any",
    "messages": MESSAGES,
    "temperature": 0,
    "seed": 1,
    "max_retries": 0,
}


def whole(**changed: Any) -> dict[str, Any]:
    return read(litellm.completion(**FIELDS | changed))


def read(reply: Any) -> dict[str, Any]:
    choice = reply.choices[0]
    return {
        "content": choice.message.content,
        "reasoning": getattr(choice.message, "reasoning_content", None),
        "finish_reason": choice.finish_reason,
        "usage": reply.usage.model_dump(),
    }


def streamed() -> dict[str, Any]:
    options = {"include_usage": True}
    chunks = list(litellm.completion(**FIELDS, stream=True, stream_options=options))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return {
        "content": "".join(delta.content or "" for delta in deltas),
        "reasoning": "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas),
        "rebuilt": read(litellm.stream_chunk_builder(chunks, messages=MESSAGES)),
    }


def second_turn() -> dict[str, Any]:
    """The client's own message goes back with what the client has put into it."""
    said = litellm.completion(**FIELDS).choices[0].message.model_dump()
    return whole(messages=[*MESSAGES, said, *MESSAGES], max_tokens=8)


def failure(call: Callable[[], Any]) -> dict[str, Any] | None:
    """The exception that a call ends with."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        return {
            "kind": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "message": str(error),
        }
    return None


def main() -> None:
    keyed = {"api_base": ASKED["keyed_url"], "max_tokens": 1}
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    told = {
        "whole": whole(),
        "streamed": streamed(),
        "async": read(asyncio.run(litellm.acompletion(**FIELDS))),
        "second_turn": second_turn(),
        "tools": whole(tools=[tool], max_tokens=8),
        "completion": litellm.text_completion(
            model=f"text-completion-openai/{ASKED['model']}",
            api_base=ASKED["url"],
            api_key="any",
            prompt="Mia has",
            max_tokens=4,
        ).usage.completion_tokens,
        "failures": {
            "forced_tool": failure(lambda: whole(tools=[tool], tool_choice="required")),
            "unknown_model": failure(lambda: whole(model="openai/nobody")),
            "wrong_key": failure(lambda: whole(**keyed, api_key="wrong")),
            "first_with_key": failure(lambda: whole(**keyed, api_key=ASKED["key"])),
            "second_with_key": failure(lambda: whole(**keyed, api_key=ASKED["key"])),
        },
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
