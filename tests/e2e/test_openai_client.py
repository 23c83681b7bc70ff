"""OpenAI's own Python client against ``relaygen serve`` with the embedded pair."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from relaygen import demo_models
from relaygen.demo_models.grading import is_right

from .serving import KEYS, MODEL, PROBLEM

pytestmark = pytest.mark.e2e
ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": PROBLEM.question}],
    "seed": 1,
    "temperature": 0,
}


@pytest.fixture
def client(gateway_url: str, openai: Any) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{gateway_url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_whole_answer(client: Any) -> None:
    reply = client.chat.completions.create(**ASKED)
    message = reply.choices[0].message
    assert is_right(PROBLEM.answer, message.content)
    assert message.reasoning == message.reasoning_content != ""
    assert reply.choices[0].finish_reason == "stop"
    assert (
        0 < reply.usage.completion_tokens_details.reasoning_tokens < reply.usage.completion_tokens
    )
    assert reply.choices[0].relaygen["handoffs"] > 0


def test_a_stream_is_the_whole_answer(client: Any) -> None:
    whole = client.chat.completions.create(**ASKED).choices[0].message
    content = reasoning = ""
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(**ASKED, stream=True, stream_options=options):
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning", None) or ""
        usage = chunk.usage
    assert (content, reasoning) == (whole.content, whole.reasoning)
    assert usage.completion_tokens > 0


def test_choices_stops_and_logprobs(client: Any) -> None:
    reply = client.chat.completions.create(
        **ASKED, n=2, stop=["boxed"], logprobs=True, top_logprobs=2
    )
    for choice in reply.choices:
        assert "boxed" not in choice.message.content
        assert len(choice.logprobs.content[0].top_logprobs) == 2


def test_a_seed_repeats_each_choice(client: Any) -> None:
    def drawn(seed: int) -> list[str]:
        fields = ASKED | {"temperature": 1.5, "seed": seed, "n": 2, "max_tokens": 40}
        choices = client.chat.completions.create(**fields).choices
        return [choice.message.reasoning for choice in choices]

    one, other = drawn(1)
    assert one != other
    assert drawn(1) == [one, other]
    assert drawn(2) != [one, other]


def test_raw_prompts(client: Any) -> None:
    prompts = [problem.question for problem in demo_models.problems()[:2]]
    asked = {"model": MODEL, "prompt": prompts, "temperature": 0}
    whole = client.completions.create(**asked, max_tokens=12, logprobs=2, n=2)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert whole.usage.completion_tokens == 4 * 12
    for choice in whole.choices:
        assert choice.finish_reason == "length"
        assert "".join(choice.logprobs.tokens) == choice.text
        assert len(choice.logprobs.top_logprobs[0]) >= 2
    texts = ["", ""]
    for chunk in client.completions.create(**asked, max_tokens=12, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [whole.choices[0].text, whole.choices[2].text]
    stop = texts[0].split()[2]
    asked["prompt"] = prompts[0]
    (stopped,) = client.completions.create(**asked, max_tokens=12, stop=stop).choices
    assert stopped.finish_reason == "stop"
    assert stopped.text == texts[0].partition(stop)[0]


def test_the_extension_field(client: Any) -> None:
    def told(**fields: Any) -> Any:
        reply = client.chat.completions.create(**ASKED, extra_body={"relaygen": fields})
        return reply.choices[0].relaygen

    alone = told(policy="large")
    assert (alone["policy"], alone["handoffs"], alone["utilisation"]) == ("large", 0, 1.0)
    traced = told(trace=True, max_small_tokens=5)["trace"]
    assert "max_small_tokens" in [segment["ended_by"] for segment in traced["segments"]]
    assert {segment["role"] for segment in traced["segments"]} == {"large", "small"}


def test_headers_of_the_raw_response(client: Any) -> None:
    raw = client.chat.completions.with_raw_response
    response = raw.create(**ASKED, max_tokens=1, extra_headers={"x-request-id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    reply = response.parse()
    assert (reply._request_id, reply.usage.completion_tokens) == ("mine-1", 1)
    assert raw.create(**ASKED, max_tokens=1).headers["x-request-id"].startswith("req_")


def test_each_model_alone_has_a_name(client: Any) -> None:
    names = {model.id for model in client.models.list()}
    assert {MODEL, f"{MODEL}:large", f"{MODEL}:small"} <= names
    alone = client.chat.completions.create(**ASKED | {"model": f"{MODEL}:large"})
    assert alone.choices[0].relaygen["utilisation"] == 1.0


def test_errors_are_the_clients_own(client: Any, openai: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.chat.completions.create(**ASKED | {"model": "nobody"})
    with pytest.raises(openai.BadRequestError, match="did you mean temperature") as caught:
        client.chat.completions.create(**ASKED, extra_body={"temprature": 1})
    assert caught.value.param == "temprature"
    with pytest.raises(openai.BadRequestError, match="cannot enforce one"):
        client.chat.completions.create(**ASKED, response_format={"type": "json_object"})


def test_keys_are_checked_and_have_limits(keyed_url: str, openai: Any) -> None:
    def ask(key: str) -> Any:
        with openai.OpenAI(base_url=f"{keyed_url}/v1", api_key=key, max_retries=0) as client:
            return client.chat.completions.create(**ASKED, max_tokens=1)

    with pytest.raises(openai.AuthenticationError, match="not valid") as unknown:
        ask("sk-of-nobody")
    assert (unknown.value.code, unknown.value.response.headers["www-authenticate"]) == (
        "invalid_api_key",
        "Bearer",
    )
    assert ask(KEYS["python"]).usage.completion_tokens == 1
    with pytest.raises(openai.RateLimitError, match="come back in") as limited:
        ask(KEYS["python"])
    assert limited.value.code == "rate_limit_exceeded"
    assert 0 < int(limited.value.response.headers["retry-after"]) <= 60


def test_a_stream_that_is_left_leaves_the_server_well(client: Any) -> None:
    stream = client.chat.completions.create(**ASKED, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(**ASKED).choices[0].finish_reason == "stop"


async def test_many_at_once(gateway_url: str, openai: Any) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway_url}/v1", api_key="any", max_retries=0
    ) as client:
        replies = await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(8)))
    assert len({reply.choices[0].message.content for reply in replies}) == 1


async def test_calls_that_are_cancelled_leave_the_others_alone(
    gateway_url: str, openai: Any
) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway_url}/v1", api_key="any", max_retries=0
    ) as client:
        calls = [asyncio.ensure_future(client.chat.completions.create(**ASKED)) for _ in range(6)]
        stream = await client.chat.completions.create(**ASKED, stream=True)
        await anext(aiter(stream))  # by now they have been sent
        for call in calls[::2]:
            call.cancel()
        await stream.close()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended[::2])
    assert {end.choices[0].finish_reason for end in ended[1::2]} == {"stop"}  # type: ignore[union-attr]
