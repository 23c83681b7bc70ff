"""What cannot be honoured is refused by the name of its field, never ignored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from relaygen import errors
from relaygen.engines.base import Capabilities
from relaygen.engines.penalties import Penalties
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.gateway.failures import HttpError, failure
from relaygen.settings import ServerSettings
from tests.chat.well_known import FAMILIES
from tests.gateway.asgi import chat_body
from tests.gateway.pairs import LARGE, Pair, pair

USER = {"role": "user", "content": "?"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
CHAT: list[tuple[dict[str, Any], str | None, str]] = [
    ({"temprature": 1}, "temprature", "did you mean temperature?"),
    ({"audio": {}}, "audio", "these models write text only"),
    ({"functions": []}, "functions", "use tools"),
    ({"guided_json": {}}, "guided_json", "use response_format"),
    ({"prompt": "x"}, "prompt", "/v1/completions"),
    ({"temperature": "hot"}, "temperature", "expected `float | null`, got `str`"),
    ({"temperature": -1}, "temperature", "between 0 and 100"),
    ({"top_p": 0}, "top_p", "above 0"),
    ({"logit_bias": {"a": 1}}, "logit_bias", "expected `int`"),
    ({"logit_bias": {"0": {}}}, "logit_bias[...]", "expected `float`, got `object`"),
    ({"top_k": 1.5}, "top_k", "expected `int | null`, got `float`"),
    ({"top_k": 1.0, "n": 1.5}, "n", "expected `int | null`, got `float`"),
    ({"top_k": 1.0, "temprature": 1.0}, "temprature", "did you mean temperature?"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1", "between -100 and 100"),
    ({"logit_bias": {"999999": 1}}, "logit_bias", "outside the model's vocabulary"),
    ({"max_tokens": 0}, "max_tokens", "at least 1"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", "two names of one limit"),
    ({"max_completion_tokens": 0}, "max_completion_tokens", "at least 1"),
    ({"n": 0}, "n", "1 to 8"),
    ({"n": 9}, "n", "1 to 8"),
    ({"stop": [str(i) for i in range(17)]}, "stop", "at most 16"),
    ({"stop": ""}, "stop", "1 to 1024"),
    ({"seed": 2**64}, "seed", "64 bits"),
    ({"store": True}, "store", "nothing is stored"),
    ({"service_tier": "flex"}, "service_tier", "no tiers"),
    ({"modalities": ["audio"]}, "modalities", "text only"),
    ({"stream_options": {}}, "stream_options", "stream: true"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "no field"),
    ({"top_logprobs": 3}, "top_logprobs", "needs logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "between 0 and 20"),
    ({"response_format": {"type": "json_object"}}, "response_format", "cannot enforce"),
    ({"response_format": FORM}, "response_format", "ask for the form in the prompt"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "one of 'json_object'"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice", "cannot enforce"),
    ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
        "tool_choice.function.name",
        "none of the tools",
    ),
    ({"tools": [TOOL, TOOL]}, "tools[1].function.name", "listed twice"),
    ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name", "letters"),
    ({"tools": [{"function": {"name": "a", "strict": True}}]}, "tools[0].function.strict", "schema"),
    ({"reasoning_effort": "high"}, "reasoning_effort", "no levels of effort"),
    ({"chat_template_kwargs": {"style": 1}}, "chat_template_kwargs.style", "no such variable"),
    ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs.tools", "field of the request"),
    ({"continue_final_message": True}, "continue_final_message", "must be the assistant's"),
    (
        {"continue_final_message": True, "add_generation_prompt": True},
        "continue_final_message",
        "exclude each other",
    ),
    ({"messages": []}, "messages", "at least one"),
    ({"messages": [{"role": "function", "content": ""}]}, "messages[0].role", "'assistant'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing"),
    ({"messages": [USER | {"tool_call_id": "1"}]}, "messages[0].tool_call_id", "role user"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0].type",
        "these models read text only",
    ),
    (
        {"messages": [{"role": "assistant", "content": "", "reasoning": "a", "reasoning_content": "b"}]},
        "messages[0].reasoning",
        "two names of one text",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}]},
        "messages[0].tool_calls[0].function.arguments",
        "a JSON object as a string",
    ),
    ({"relaygen": {"policy": "best"}}, "relaygen.policy", "there are relay"),
    ({"model": "pair:large", "relaygen": {"policy": "small"}}, "relaygen.policy", "means policy large"),
    ({"model": "pair:large", "relaygen": {"answer_role": "small"}}, "relaygen.answer_role", "everything"),
    ({"relaygen": {"max_small_tokens": 0}}, "relaygen.max_small_tokens", "at least 1"),
    ({"relaygen": {"max_smal_tokens": 9}}, "relaygen.max_smal_tokens", "max_small_tokens?"),
    ({"relaygen": {"cues": ["So."]}}, "relaygen", "a sentence ends inside it"),
    ({"relaygen": {"cues": [], "profile": "demo"}}, "relaygen.cues", "not both"),
    ({"relaygen": {"profile": "/etc/passwd"}}, "relaygen", "there are demo"),
    ({"relaygen": {"handoff_share": 2}}, "relaygen.handoff_share", "between 0 and 1"),
]  # fmt: skip
COMPLETION: list[tuple[dict[str, Any], str | None, str]] = [
    ({"echo": True}, "echo", "not sent back"),
    ({"suffix": "x"}, "suffix", "fill in the middle"),
    ({"best_of": 2}, "best_of", "use n"),
    ({"logprobs": 6}, "logprobs", "between 0 and 5"),
    ({"messages": []}, "messages", "/v1/chat/completions"),
    ({"prompt": ""}, "prompt", "empty"),
    ({"prompt": []}, "prompt", "empty"),
    ({"prompt": ["a", 1]}, "prompt", "one or the other"),
    ({"prompt": [99999999]}, "prompt", "not in the vocabulary"),
    ({"prompt": ["a", "b", "c"], "n": 3}, "n", "each of 3 prompts"),
    ({"prompt": {}}, "prompt", "got `object`"),
]
CODES: dict[str, str] = {
    "temprature": "unknown_parameter",
    "functions": "unsupported_parameter",
    "temperature": "invalid_type",
    "logit_bias": "invalid_value",
    "max_tokens": "mutually_exclusive_parameters",
    "stream_options": "mutually_exclusive_parameters",
    "store": "unsupported_parameter",
    "response_format": "unsupported_value",
    "response_format.json_schema": "missing_required_parameter",
    "response_format.type": "invalid_value",
    "messages[0].role": "invalid_value",
    "top_k": "invalid_type",
    "messages[0].content[0].type": "unsupported_value",
    "messages[0].tool_call_id": "invalid_value",
    "relaygen.answer_role": "mutually_exclusive_parameters",
}
"""Of a field's refusal; one of its refusals, where it has several."""
_KNOWN = {*CODES.values(), "cue_profile_error"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened() -> AsyncIterator[Pair]:
    async with pair() as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("fields", "param", "message"), CHAT, ids=lambda v: str(v)[:50])
async def test_a_chat_is_refused_by_name(
    fields: dict[str, Any], param: str | None, message: str, opened: Pair
) -> None:
    reply = await opened.client.post("/v1/chat/completions", chat_body() | fields)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert message in reply.error["message"]
    assert reply.error["code"] in _KNOWN


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("param", "code"), CODES.items())
async def test_a_refusal_has_a_code_for_programs(param: str, code: str, opened: Pair) -> None:
    bodies = [chat_body() | fields for fields, name, _ in CHAT if name == param]
    replies = [await opened.client.post("/v1/chat/completions", body) for body in bodies]
    assert code in [reply.error["code"] for reply in replies]


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
async def test_what_a_server_cannot_honour_has_a_code_too(name: str) -> None:
    class OverHTTP(SimulatedEngine):
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities(), penalties=Penalties.NONE)

    async with pair(engine=OverHTTP) as opened:
        replies = [
            await opened.client.chat(stream=stream, **{name: 1.5}) for stream in (True, False)
        ]
        legs = [engine.counters.legs for engine in opened.engines.values()]
    for reply in replies:
        assert (reply.status, reply.error["param"]) == (400, name)
        assert reply.error["code"] == "unsupported_value"
    assert legs == [0, 0]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("fields", "param", "message"), COMPLETION, ids=lambda v: str(v)[:50])
async def test_a_completion_is_refused_by_name(
    fields: dict[str, Any], param: str | None, message: str, opened: Pair
) -> None:
    reply = await opened.client.post("/v1/completions", {"model": "pair", "prompt": "x"} | fields)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["code"] in _KNOWN
    assert message in reply.error["message"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"model": "pair",\n  oops}', "invalid_json", "line 2, column 3"),
        (b"", "invalid_json", "line 1, column 1"),
        (b"\xff", "invalid_json", "not UTF-8 (byte 0)"),
        (b'{"model": "pair", "messages": "\\ud800"}', "invalid_json", "surrogate"),
        (b'{"model": "pair", "n": 1.0, "messages": "\\ud800"}', "invalid_json", "surrogate"),
        (b'{"model": "pair", "n": 1.0, "user": NaN}', "invalid_json", "NaN is no JSON"),
        (b'{"model": "pair", "temperature": -Infinity}', "invalid_json", "-Infinity is no JSON"),
        (b'\xef\xbb\xbf{"model": "pair"}', "invalid_json", "begins with a byte order mark"),
        ('{"model": "pair"}'.encode("utf-16"), "invalid_json", "seems to be UTF-16; send UTF-8"),
        ('{"model": "pair"}'.encode("utf-16-be"), "invalid_json", "UTF-16-BE; send UTF-8"),
        (b"[]", "invalid_type", "expected `object`"),
        (b"[" * 100_000, "invalid_type", "expected `object`"),
        (b'{"messages": []}', "missing_required_parameter", "model is missing"),
    ],
)
async def test_a_body_that_is_no_request_says_where(
    body: bytes, code: str, message: str, opened: Pair
) -> None:
    reply = await opened.client.post("/v1/chat/completions", body)
    assert (reply.status, reply.error["code"]) == (400, code)
    assert message in reply.error["message"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 400),
        ("Application/JSON; charset=utf-8", 400),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_body_that_any_web_page_could_send_is_refused(
    kind: str, status: int, path: str, opened: Pair
) -> None:
    reply = await opened.client.post(path, b"{}", content_type=kind)
    assert reply.status == status
    if status == 415:
        assert reply.error["code"] == "unsupported_media_type"
        assert "send the header content-type: application/json" in reply.error["message"]
        assert (kind or "there is none") in reply.error["message"]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_model_is_told_the_known_ones(opened: Pair) -> None:
    reply = await opened.client.chat(model="gpt-4")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert "pair, pair:relay, pair:large, pair:small" in reply.error["message"]
    reply = await opened.client.get("/v1/models/pear")
    assert (reply.status, reply.error["param"]) == (404, "model")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_there_is_json_too(opened: Pair) -> None:
    reply = await opened.client.get("/v2/models")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    reply = await opened.client.get("/v1/chat/completions")
    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


async def test_a_prompt_that_is_too_long_has_openais_code() -> None:
    async with pair(context_tokens=24) as opened:
        for stream in (False, True):
            reply = await opened.client.chat("apples " * 50, stream=stream)
            assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
            assert reply.error["param"] == "messages"
            reply = await opened.client.complete("apples " * 50, stream=stream)
            assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
            assert reply.error["param"] == "prompt"


async def test_a_body_that_is_too_large_is_not_read() -> None:
    async with pair(settings=ServerSettings(max_body_bytes=1024)) as opened:
        reply = await opened.client.chat("x" * 1024)
        assert (reply.status, reply.error["code"]) == (413, "body_too_large")
        reply = await opened.client.post("/v1/completions", b"{}", content_length="1025")
        assert reply.status == 413


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_fails_before_the_first_token_is_a_status(stream: bool) -> None:
    broken = {LARGE: Fault(kind="fail", retryable=False)}
    async with pair(faults=broken) as opened:
        reply = await opened.client.chat(stream=stream)
        assert (reply.status, reply.error["code"]) == (502, "engine_error")
        assert reply.error["type"] == "server_error"
        await opened.relay.aclose()
        reply = await opened.client.chat(stream=stream)
        assert (reply.status, reply.error["code"]) == (503, "engine_unavailable")
        assert "retry-after" in reply.headers


async def test_what_the_template_refuses_is_the_messages_fault() -> None:
    template = "{{ raise_exception('roles must alternate') if messages | length > 1 }}Hi"
    async with pair(template=template) as opened:
        reply = await opened.client.chat(messages=[USER, USER])
    assert (reply.status, reply.error["code"]) == (400, "chat_template_error")
    assert reply.error["param"] == "messages"
    assert "roles must alternate" in reply.error["message"]


async def test_a_bug_says_nothing_but_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pair() as opened:
        monkeypatch.setattr(opened.relay, "prompt", lambda *_: 1 / 0)
        reply = await opened.client.chat()
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert "division" not in reply.error["message"]


def test_every_error_of_the_tree_has_a_status() -> None:
    tree = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(tree) > 12
    for kind in tree:
        told = failure(kind("it broke"))
        assert 400 <= told.status < 600
        assert json.loads(told.body())["error"]["message"] == "it broke"
        expected = "invalid_request_error" if told.status < 500 else "server_error"
        assert told.kind == expected
    unavailable = failure(errors.EngineUnavailableError("gone"))
    assert (unavailable.status, unavailable.headers) == (503, {"retry-after": "1"})
    assert isinstance(unavailable, HttpError)


async def test_what_the_template_refuses_is_a_400_with_its_words() -> None:
    twice = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    for name, words in (("gemma-3", "must alternate"), ("mistral-small", "must take turns")):
        async with pair(template=FAMILIES[name].source) as opened:
            reply = await opened.client.chat(messages=twice)
        assert reply.status == 400
        assert words in reply.error["message"]
        assert reply.error["type"] == "invalid_request_error"
