"""Tools: shown to the model, and its calls in OpenAI's form."""

from __future__ import annotations

import json
import re

import pytest

from tests.chat.well_known import FAMILIES
from tests.gateway.pairs import LARGE, pair, tokenizer
from tests.gateway.test_chat import Noting, prompt_of

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
THOUGHT = "So, I add.\n</think>\n\n"


async def test_a_call_is_taken_out_of_the_content() -> None:
    async with pair(f"{THOUGHT}First.\n{CALL}\n{CALL}", engine=Noting) as opened:
        choice = (await opened.client.chat(tools=[TOOL], tool_choice="auto")).json["choices"][0]
        prompt = prompt_of(opened.engines[LARGE])
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert message["content"] == "\n\nFirst."
    assert [call["type"] for call in message["tool_calls"]] == ["function"] * 2
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert json.dumps(TOOL["function"]["description"]) in prompt  # type: ignore[index]


async def test_a_call_alone_leaves_no_content() -> None:
    async with pair(THOUGHT + CALL) as opened:
        message = (await opened.client.chat(tools=[TOOL])).json["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning"] == "So, I add.\n"


async def test_a_call_in_a_stream_is_named_first_and_filled_after() -> None:
    async with pair(THOUGHT + CALL + "\n" + CALL) as opened:
        events = (await opened.client.chat(tools=[TOOL], stream=True)).events
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0, 1, 1]
    assert calls[0]["function"] == {"name": "add", "arguments": ""}
    assert calls[0]["id"].startswith("call_")
    assert calls[1]["function"] == {"arguments": '{"a": 1}'}
    assert "id" not in calls[1]
    assert not any(delta.get("content") for delta in deltas[1:])
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
async def test_without_parallel_calls_the_first_is_the_only_one(stream: bool) -> None:
    async with pair(f"{THOUGHT}First.\n{CALL}\n{CALL} Done.") as opened:
        reply = await opened.client.chat(tools=[TOOL], parallel_tool_calls=False, stream=stream)
    if stream:
        deltas = [event["choices"][0]["delta"] for event in reply.events[:-1]]
        assert [d["tool_calls"][0]["index"] for d in deltas if "tool_calls" in d] == [0, 0]
        assert "".join(delta.get("content") or "" for delta in deltas) == "\n\nFirst. Done."
    else:
        message = reply.json["choices"][0]["message"]
        assert len(message["tool_calls"]) == 1
        assert message["content"] == "\n\nFirst. Done."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_malformed_call_stays_content(stream: bool) -> None:
    broken = '<tool_call>\n{"name": "add", "arguments": {"a": }}\n</tool_call>'
    async with pair(THOUGHT + broken) as opened:
        reply = await opened.client.chat(tools=[TOOL], stream=stream)
    if stream:
        deltas = [event["choices"][0]["delta"] for event in reply.events[:-1]]
        content = "".join(delta.get("content") or "" for delta in deltas)
        reason = reply.events[-2]["choices"][0]["finish_reason"]
    else:
        content = reply.json["choices"][0]["message"]["content"]
        reason = reply.json["choices"][0]["finish_reason"]
    assert (content, reason) == ("\n\n" + broken, "stop")


async def test_what_clients_add_to_our_message_may_come_back() -> None:
    function = {"name": "add", "arguments": '{"a": 1}', "parsed_arguments": {"a": 1}}
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "So, I add.",
        "refusal": None,
        "parsed": None,
        "provider_specific_fields": {"reasoning": "So, I add."},
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    question = {"role": "user", "content": "How many?"}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
    async with pair() as opened:
        reply = await opened.client.chat(messages=[question, message, result], tools=[TOOL])
        assert reply.status == 200
        reply = await opened.client.chat(messages=[{**question, "parsed": {}}])
        assert (reply.status, reply.error["param"]) == (400, "messages[0].parsed")


async def test_with_choice_none_the_model_is_shown_no_tools() -> None:
    async with pair(THOUGHT + CALL, engine=Noting) as opened:
        reply = (await opened.client.chat(tools=[TOOL], tool_choice="none")).json
        prompt = prompt_of(opened.engines[LARGE])
    assert "Adds." not in prompt
    assert reply["choices"][0]["message"]["content"] == "\n\n" + CALL


async def test_with_tools_the_large_model_answers() -> None:
    long = "So, it is a long story. " * 20 + "\n</think>\n\n" + CALL
    async with pair(long) as opened:
        reply = (await opened.client.chat(tools=[TOOL], relaygen={"trace": True})).json
        assert reply["choices"][0]["relaygen"]["trace"]["segments"][-1]["role"] == "large"
        reply = (
            await opened.client.chat(tools=[TOOL], relaygen={"trace": True, "answer_role": "small"})
        ).json
        assert reply["choices"][0]["relaygen"]["trace"]["segments"][-1]["role"] == "small"


async def test_earlier_calls_and_their_results_reach_the_template() -> None:
    messages = [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a":1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "It is 2."},
    ]
    async with pair(engine=Noting) as opened:
        assert (await opened.client.chat(messages=messages, tools=[TOOL])).status == 200
        prompt = prompt_of(opened.engines[LARGE])
    assert '{"name": "add", "arguments": {"a": 1}}' in prompt
    assert "<tool_response>\nIt is 2.\n</tool_response>" in prompt


async def test_a_template_without_tools_refuses_them() -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    async with pair(template=template) as opened:
        reply = await opened.client.chat(tools=[TOOL])
        assert (reply.status, reply.error["param"]) == (400, "tools")
        called = [{"function": {"name": "f"}}]
        messages = [{"role": "assistant", "tool_calls": called}, {"role": "user", "content": ""}]
        reply = await opened.client.chat(messages=messages)
        assert reply.error["param"] == "messages[0].tool_calls"


async def test_tools_are_shown_in_the_order_that_models_know() -> None:
    function = {"parameters": {"type": "object"}, "description": "Adds.", "name": "add"}
    async with pair(engine=Noting) as opened:
        await opened.client.chat(tools=[{"function": function}])
        prompt = prompt_of(opened.engines[LARGE])
    assert '{"type": "function", "function": {"name": "add", "description": "Adds.", ' in prompt


CODER_CALL = (
    "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"
)


async def test_the_format_is_the_templates_and_its_values_get_the_types_of_the_schema() -> None:
    template = FAMILIES["qwen3-coder"].source
    async with pair(CODER_CALL, template=template) as opened:
        message = (await opened.client.chat(tools=[TOOL])).json["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":1}'}


async def test_a_call_that_no_schema_describes_cannot_be_forced() -> None:
    async with pair(template=FAMILIES["qwen3-coder"].source) as opened:
        reply = await opened.client.chat(tools=[TOOL], tool_choice="required")
        assert (reply.status, reply.error["param"]) == (400, "tool_choice")
        assert "qwen3-coder" in reply.error["message"]


async def test_mistrals_templates_take_our_own_ids() -> None:
    call = {"id": "call_000001", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_000001", "content": "It is 2."},
    ]
    async with pair(template=FAMILIES["mistral-small"].source, engine=Noting) as opened:
        assert (await opened.client.chat(messages=messages, tools=[TOOL])).status == 200
        prompt = prompt_of(opened.engines[LARGE])
    called, answered = re.findall(r"(?:\[CALL_ID\]|\[TOOL_RESULTS\])(\w{9})\[", prompt)
    assert called == answered


def test_the_tags_of_a_call_are_in_the_vocabulary() -> None:
    assert tokenizer().decode(tokenizer().encode(CALL, parse_special=True)) == CALL
