"""``response_format``: an answer has its form, or the client is told that it was lost."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.types import ModelRole
from tests.engines.forms import SCHEMA, Faults, FormWriter, validate
from tests.gateway.pairs import LARGE, SMALL, TEXT, pair, tokenizer
from tests.gateway.test_streams import joined

FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
LOST = "upstream_lost_in_structured_output"


class Forming(SimulatedEngine):
    """Writes an instance of `SCHEMA` when it is held to a form, with faults of its own."""

    form_faults: Faults = None
    views: int = 0

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        return frozenset({ConstraintKind.JSON_SCHEMA})

    def constrained(self, constraint: Constraint) -> Engine:
        assert constraint.schema == SCHEMA
        self.views += 1
        known = tokenizer()
        writer = FormWriter(
            partial(known.encode, parse_special=False), known.vocab_size, min(known.eos_ids)
        )
        return SimulatedEngine(writer, faults=self.form_faults, context_tokens=2048)


def forming(faults: Faults) -> type[Forming]:
    return type("Forming", (Forming,), {"form_faults": faults})


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_has_its_form(stream: bool) -> None:
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(
            response_format=FORM, stream=stream, relaygen={"trace": True}
        )
        assert [opened.engines[role].views for role in (LARGE, SMALL)] == [1, 0]  # type: ignore[attr-defined]
    if stream:
        content, reasoning = joined(reply.events, "content"), joined(reply.events, "reasoning")
        choice = reply.events[-2]["choices"][0]
        assert reply.events[-1] == "[DONE]"
    else:
        choice = reply.json["choices"][0]
        content, reasoning = choice["message"]["content"], choice["message"]["reasoning"]
    validate(content)
    assert f"{reasoning}</think>" == TEXT[: TEXT.index("</think>") + len("</think>")]
    assert choice["finish_reason"] == "stop"
    assert choice["relaygen"]["handoffs"] > 0  # cues count in the reasoning
    assert choice["relaygen"]["trace"]["segments"][-1]["role"] == "large"


@pytest.mark.parametrize(
    "faults", [{0: Fault(kind="fail", after=7)}, {n: Fault(kind="fail", after=n) for n in range(9)}]
)
async def test_a_broken_answer_is_begun_again_where_nothing_was_sent(faults: Faults) -> None:
    async with pair(engine=forming(faults)) as opened:
        reply = await opened.client.chat(response_format=FORM)
    validate(reply.json["choices"][0]["message"]["content"])


async def test_a_broken_answer_in_a_stream_is_a_named_error() -> None:
    async with pair(engine=forming({0: Fault(kind="fail", after=7)})) as opened:
        reply = await opened.client.chat(response_format=FORM, stream=True)
    *events, last = reply.events
    assert joined(events, "content")
    assert (last["error"]["code"], last["error"]["type"]) == (LOST, "server_error")
    assert "ask again, or without stream" in last["error"]["message"]


async def test_a_small_model_that_breaks_off_in_a_form_is_not_gone_on_with() -> None:
    extra: dict[str, Any] = {"answer_role": "small"}
    async with pair(engine=forming({0: Fault(kind="fail", after=7, retryable=False)})) as opened:
        reply = await opened.client.chat(response_format=FORM, stream=True, relaygen=extra)
        assert reply.events[-1]["error"]["code"] == LOST
        whole = await opened.client.chat(response_format=FORM, relaygen=extra)
    # Nothing was sent: after the small model the large one begins, and fails too.
    assert (whole.status, whole.error["code"]) == (502, "engine_error")


async def test_a_small_model_may_write_the_form() -> None:
    extra = {"answer_role": "small", "trace": True}
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(response_format=FORM, relaygen=extra)
    choice = reply.json["choices"][0]
    validate(choice["message"]["content"])
    assert choice["relaygen"]["trace"]["segments"][-1]["role"] == str(ModelRole.SMALL)


async def test_a_pair_without_tags_writes_the_form_with_its_large_model() -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    async with pair(engine=Forming, template=template) as opened:
        reply = await opened.client.chat(response_format=FORM)
    choice = reply.json["choices"][0]
    validate(choice["message"]["content"])
    assert choice["relaygen"]["policy"] == "large"


async def test_what_cannot_be_held_to_is_refused_by_name() -> None:
    async with pair(engine=Forming) as opened:
        reply = await opened.client.chat(response_format={"type": "json_object"})
        assert (reply.status, reply.error["param"]) == (400, "response_format")
        messages = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": '{"count": '},
        ]
        reply = await opened.client.chat(
            response_format=FORM, messages=messages, continue_final_message=True
        )
        assert (reply.status, reply.error["param"]) == (400, "continue_final_message")
