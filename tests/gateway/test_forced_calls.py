"""``tool_choice``: a call that has to be made is made, valid, and sent whole."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.engines.simulated.server.forms import Choice
from tests.engines.forms import SCHEMA, Faults, FormWriter, validate
from tests.gateway.asgi import Response
from tests.gateway.pairs import TEXT, pair, tokenizer
from tests.gateway.test_streams import joined

COUNT = {
    "type": "function",
    "function": {"name": "count", "parameters": SCHEMA, "strict": True},
}
LOOK = {"type": "function", "function": {"name": "look"}}
NAMED = {"type": "function", "function": {"name": "count"}}
CHOICES = [("required", [COUNT]), ("required", [COUNT, LOOK]), (NAMED, [LOOK, COUNT])]


class Forming(SimulatedEngine):
    """Writes the form that it is held to, with faults of its own."""

    form_faults: Faults = None

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        return frozenset(ConstraintKind)

    def constrained(self, constraint: Constraint) -> Engine:
        known = tokenizer()
        form = Choice(constraint.choices) if constraint.choices else constraint.schema
        writer = FormWriter(
            partial(known.encode, parse_special=False),
            known.vocab_size,
            min(known.eos_ids),
            form,
        )
        return SimulatedEngine(writer, faults=self.form_faults, context_tokens=2048)


def forming(faults: Faults) -> type[Forming]:
    return type("Forming", (Forming,), {"form_faults": faults})


def message_of(reply: Response, *, stream: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The choice, and its one call's function."""
    if not stream:
        choice = reply.json["choices"][0]
        (call,) = choice["message"]["tool_calls"]
        assert choice["message"]["content"] is None
        return choice, call["function"]
    assert reply.events[-1] == "[DONE]"
    choices = [event["choices"][0] for event in reply.events[:-1]]
    named, filled = (
        choice["delta"]["tool_calls"][0] for choice in choices if "tool_calls" in choice["delta"]
    )
    assert not joined(reply.events, "content")
    assert named["index"] == filled["index"] == 0
    function = {"name": named["function"]["name"], **filled["function"]}
    return choices[-1], function


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("choice", "tools"), CHOICES)
async def test_a_forced_call_is_made(choice: Any, tools: list[Any], stream: bool) -> None:
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(
            tools=tools, tool_choice=choice, stream=stream, relaygen={"trace": True}
        )
    last, function = message_of(reply, stream=stream)
    assert last["finish_reason"] == "tool_calls"
    assert last["relaygen"]["handoffs"] > 0  # cues count in the reasoning
    assert last["relaygen"]["trace"]["segments"][-1]["role"] == "large"
    if function["name"] == "count":
        validate(function["arguments"])
    else:
        assert (function["name"], json.loads(function["arguments"])) == ("look", {})
        assert choice == "required"


async def test_the_reasoning_before_it_is_free() -> None:
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(tools=[COUNT], tool_choice="required")
    reasoning = reply.json["choices"][0]["message"]["reasoning"]
    assert f"{reasoning}</think>" == TEXT[: TEXT.index("</think>") + len("</think>")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_breaks_off_is_made_anew_and_nobody_notices(stream: bool) -> None:
    faults = {n: Fault(kind="fail", after=n) for n in range(7)}
    async with pair(engine=forming(faults)) as opened:
        reply = await opened.client.chat(tools=[COUNT], tool_choice="required", stream=stream)
    validate(message_of(reply, stream=stream)[1]["arguments"])


async def test_a_call_that_length_cuts_is_no_call() -> None:
    async with pair("So.</think>", engine=Forming) as opened:
        reply = await opened.client.chat(tools=[COUNT], tool_choice="required", max_tokens=12)
    choice = reply.json["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize("model", ["pair", "pair:large"])
async def test_a_model_that_ends_in_its_reasoning_makes_the_call_all_the_same(model: str) -> None:
    async with pair("So, I ask nobody.", engine=Forming) as opened:
        reply = await opened.client.chat(tools=[COUNT], tool_choice="required", model=model)
    choice, function = message_of(reply, stream=False)
    assert choice["message"]["reasoning"] == "So, I ask nobody."
    validate(function["arguments"])


@pytest.mark.parametrize("parallel", [True, False])
async def test_one_call_is_made_whether_or_not_calls_may_be_parallel(parallel: bool) -> None:
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(
            tools=[COUNT], tool_choice="required", parallel_tool_calls=parallel
        )
    message_of(reply, stream=False)
