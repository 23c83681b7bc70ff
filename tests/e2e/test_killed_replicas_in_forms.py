"""Answers that are held to a JSON schema while model servers are killed, stall and talk nonsense.

What is not streamed must be whole, every time; what is streamed is whole or says that it was lost.
A forced call is whole either way.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest

from .test_killed_replicas import Reference, fleet, kill_at_random

pytestmark = pytest.mark.e2e

_DEADLINE_S = 240.0
_LOST = "upstream_lost_in_structured_output"
_ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "box": {"type": "integer", "minimum": 0},
        "fruit": {"enum": ["apple", "pear"]},
        "label": {"type": "string"},
    },
    "required": ["box", "fruit", "label"],
    "additionalProperties": False,
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": _ITEM, "minItems": 2, "maxItems": 4},
        "sure": {"type": "boolean"},
    },
    "required": ["items", "sure"],
    "additionalProperties": False,
}
_FORMED: dict[str, Any] = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "boxes", "schema": _SCHEMA},
    }
}
_FUNCTIONS = {"list_boxes": _SCHEMA, "list_box": _ITEM}
_FORCED: dict[str, Any] = {
    "tools": [{"function": {"name": n, "parameters": p}} for n, p in _FUNCTIONS.items()],
    "tool_choice": "required",
}


class Answer:
    """One reply as its reader saw it, streamed or not."""

    def __init__(self) -> None:
        self.reasoning = ""
        self.content = ""
        self.calls: dict[int, list[str]] = {}
        """Name and arguments, by index."""
        self.code: str | None = None
        self.finish_reason: str | None = None
        self.failovers = 0

    def add(self, event: dict[str, Any]) -> None:
        """Reads an event, or a whole reply."""
        if "error" in event:
            self.code = event["error"]["code"]
            return
        for choice in event["choices"]:
            part = choice.get("delta") or choice.get("message") or {}
            self.reasoning += part.get("reasoning_content") or ""
            self.content += part.get("content") or ""
            for index, call in enumerate(part.get("tool_calls") or ()):
                made = self.calls.setdefault(call.get("index", index), ["", ""])
                made[0] += call["function"].get("name", "")
                made[1] += call["function"]["arguments"]
            self.finish_reason = choice["finish_reason"] or self.finish_reason
            self.failovers += choice.get("relaygen", {}).get("failovers", 0)


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    question: str,
    *,
    stream: bool,
    form: dict[str, Any] = _FORMED,
) -> Answer:
    """One question."""
    answer = Answer()
    body = {
        "model": "relay",
        "stream": stream,
        "messages": [{"role": "user", "content": question}],
        **form,
    }
    async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
        if not stream:
            answer.add(await reply.json())
            return answer
        async for line in reply.content:
            if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                answer.add(json.loads(line[6:]))
    return answer


def outcome(answer: Answer, whole_text: str, *, stream: bool) -> str:
    """What became of it: ``whole`` or ``lost``; raises where it is neither."""
    reasoning = whole_text.partition("</think>")[0]
    assert answer.reasoning == reasoning
    if stream and answer.code == _LOST:
        assert answer.content
        return "lost"
    assert answer.code is None
    assert answer.finish_reason == "stop"
    jsonschema.validate(json.loads(answer.content), _SCHEMA)
    return "whole"


async def test_every_form_is_whole_or_named_as_lost(tmp_path: Path) -> None:
    reference = Reference()
    async with fleet(tmp_path) as running:
        killer = asyncio.ensure_future(kill_at_random(running, seed=7))
        timeout = aiohttp.ClientTimeout(total=_DEADLINE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            asked = [
                (f"How many apples are in box {number}?", stream)
                for number in range(100)
                for stream in (False, True)
            ]
            answers = await asyncio.gather(
                *(ask(session, running.gateway.url, text, stream=stream) for text, stream in asked)
            )
        running.stop.set()
        await killer
        kills = running.kills
    found = Counter(
        (stream, outcome(answer, reference.text(question), stream=stream))
        for (question, stream), answer in zip(asked, answers, strict=True)
    )
    print(f"{dict(found)}; {kills} replicas killed")
    assert found[False, "whole"] == 100
    assert found[True, "whole"] + found[True, "lost"] == 100
    assert kills > 0
    assert sum(answer.failovers for answer in answers) > 0


async def test_every_forced_call_is_whole(tmp_path: Path) -> None:
    async with fleet(tmp_path) as running:
        killer = asyncio.ensure_future(kill_at_random(running, seed=8))
        timeout = aiohttp.ClientTimeout(total=_DEADLINE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            answers = await asyncio.gather(
                *(
                    ask(
                        session,
                        running.gateway.url,
                        f"How many apples are in box {number}?",
                        stream=stream,
                        form=_FORCED,
                    )
                    for number in range(60)
                    for stream in (False, True)
                )
            )
        running.stop.set()
        await killer
        kills = running.kills
    names: Counter[str] = Counter()
    for answer in answers:
        assert answer.code is None
        assert (answer.finish_reason, answer.content) == ("tool_calls", "")
        ((name, arguments),) = answer.calls.values()
        jsonschema.validate(json.loads(arguments), _FUNCTIONS[name])
        names[name] += 1
    print(f"{dict(names)}; {kills} replicas killed")
    assert names.keys() == _FUNCTIONS.keys()
    assert kills > 0
    assert sum(answer.failovers for answer in answers) > 0
