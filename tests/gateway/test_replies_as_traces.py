"""A reply that holds a trace can be looked at, as a page too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relaygen.errors import InvalidRequestError
from relaygen.views.recorded import generations
from tests.gateway.pairs import ANSWER, REASONING, pair

TRACED: dict[str, Any] = {"relaygen": {"trace": True, "margins": True}}


async def test_reply_its_extension_and_its_trace_are_traces() -> None:
    async with pair() as opened:
        reply = await opened.client.chat(**TRACED)
    (choice,) = reply.json["choices"]
    extension = choice["relaygen"]
    (whole,) = generations(reply.body, "reply.json")
    assert whole["reasoning"] == choice["message"]["reasoning"] == REASONING
    assert whole["answer"] == choice["message"]["content"] == ANSWER
    assert (whole["finish_reason"], whole["usage"]) == ("stop", reply.json["usage"])
    assert whole["trace"] == extension["trace"]
    for part in (extension, extension["trace"]):
        (made,) = generations(json.dumps(part).encode(), "part.json")
        assert (made["text"], made["trace"]) == (whole["text"], whole["trace"])
        assert made["reasoning"].startswith(REASONING)


async def test_every_choice_is_a_trace() -> None:
    async with pair() as opened:
        reply = await opened.client.chat(n=2, temperature=1, **TRACED)
    made = generations(reply.body, "reply.json")
    assert [g["trace"] for g in made] == [c["relaygen"]["trace"] for c in reply.json["choices"]]
    assert [g["usage"] for g in made] == [None, None]  # it is of both


async def test_reply_without_a_trace_says_how_to_get_one() -> None:
    async with pair() as opened:
        reply = await opened.client.chat()
    extension = json.dumps(reply.json["choices"][0]["relaygen"]).encode()
    foreign = b'{"choices": [{"message": {"content": "405"}}]}'
    for body in (reply.body, extension, foreign):
        with pytest.raises(InvalidRequestError, match=r'"relaygen": \{"trace": true\}') as raised:
            generations(body, "reply.json")
        assert str(raised.value).startswith("reply.json is of a reply without a trace")


async def test_stream_is_no_file_of_a_trace() -> None:
    async with pair() as opened:
        reply = await opened.client.chat(stream=True, **TRACED)
    with pytest.raises(InvalidRequestError, match='without "stream"'):
        generations(reply.body, "reply.json")
