"""OpenAI's own Python client against ``relaygen serve`` with the embedded pair."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from relaygen import demo_models
from relaygen.demo_models.grading import is_right
from relaygen.launch.ports import free_ports

from .fleet import Process

openai = pytest.importorskip("openai", reason="pip install 'relaygen[e2e]'")
pytestmark = pytest.mark.e2e
MODEL = "relaygen-demo"
PROBLEM = demo_models.problems()[0]
ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": PROBLEM.question}],
    "seed": 1,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_ports(1)[0]
    log = tmp_path_factory.mktemp("serve") / "serve.log"
    server = Process(["relaygen", "serve", "--port", str(port)], port, "/health/ready", log)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server.url
        assert runner.run(server.stop()) == 0


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
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


def test_each_model_alone_has_a_name(client: Any) -> None:
    names = {model.id for model in client.models.list()}
    assert {MODEL, f"{MODEL}:large", f"{MODEL}:small"} <= names
    alone = client.chat.completions.create(**ASKED | {"model": f"{MODEL}:large"})
    assert alone.choices[0].relaygen["utilisation"] == 1.0


def test_errors_are_the_clients_own(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.chat.completions.create(**ASKED | {"model": "nobody"})
    with pytest.raises(openai.BadRequestError, match="did you mean temperature") as caught:
        client.chat.completions.create(**ASKED, extra_body={"temprature": 1})
    assert caught.value.param == "temprature"
    with pytest.raises(openai.BadRequestError, match="cannot enforce one"):
        client.chat.completions.create(**ASKED, response_format={"type": "json_object"})


def test_a_stream_that_is_left_leaves_the_server_well(client: Any) -> None:
    stream = client.chat.completions.create(**ASKED, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(**ASKED).choices[0].finish_reason == "stop"


async def test_many_at_once(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        replies = await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(8)))
    assert len({reply.choices[0].message.content for reply in replies}) == 1
