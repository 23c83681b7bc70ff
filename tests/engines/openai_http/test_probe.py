from __future__ import annotations

import json
from typing import Any

import pytest

from relaygen.demo_models import gguf
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.engines.registry import open_engine
from relaygen.engines.simulated.server import SimulatedServer, storyteller
from relaygen.errors import (
    EngineAccessError,
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
    TokenizerMismatchError,
)
from relaygen.tokens import Tokenizer
from tests.engines.openai_http.raw_server import Answer, raw_server, status
from tests.engines.openai_http.serving import VOCABULARY, reciting, served


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama_server", "text"])
async def test_a_server_says_what_it_is(dialect: str) -> None:
    async with served(dialect, reciting("a")) as (engine, _):
        assert engine.dialect == dialect
        assert engine.capabilities().context_tokens == 512
        assert engine.capabilities().token_outputs is (dialect != "text")
        await engine.check_health()


async def test_llama_server_says_everything() -> None:
    backend = storyteller("llama_server", context_tokens=640)
    async with SimulatedServer(backend) as server:
        engine = await OpenAIHTTPEngine.connect(server.url)
        assert engine.capabilities().context_tokens == 640
        assert engine.capabilities().vocab_size == len(VOCABULARY) - 2
        await engine.aclose()


async def test_what_a_server_does_not_say_has_to_be_given() -> None:
    async with SimulatedServer(storyteller("vllm")) as server:
        with pytest.raises(InvalidRequestError) as raised:
            await OpenAIHTTPEngine.connect(server.url)
        assert raised.value.param == "vocab_size"


def models(*entries: dict[str, Any]) -> Answer:
    return Answer(status(200, json.dumps({"data": entries}).encode()))


TWO = models(
    {"id": "a", "owned_by": "vllm", "max_model_len": 64},
    {"id": "b", "owned_by": "vllm", "max_model_len": 32},
    {"id": "lora", "owned_by": "vllm", "parent": "a"},
)


async def test_a_server_that_wants_a_key_says_so() -> None:
    async with raw_server(Answer(status(401, b'{"error": "Unauthorized"}'))) as server:
        with pytest.raises(EngineAccessError, match=r"^http\S+ answered 401.*check api_key"):
            await OpenAIHTTPEngine.connect(server.url)


async def test_of_several_models_one_is_chosen_by_name() -> None:
    async with raw_server(TWO) as server:
        with pytest.raises(InvalidRequestError, match="'a', 'b', 'lora'"):
            await OpenAIHTTPEngine.connect(server.url, vocab_size=9)
        options = HTTPOptions(model="c")
        with pytest.raises(InvalidRequestError, match="no model 'c'"):
            await OpenAIHTTPEngine.connect(server.url, vocab_size=9, options=options)
        options = HTTPOptions(model="b")
        engine = await OpenAIHTTPEngine.connect(server.url, vocab_size=9, options=options)
        assert engine.capabilities().context_tokens == 32
        await engine.aclose()


async def test_an_adapter_is_no_second_model() -> None:
    one = models({"id": "a", "owned_by": "vllm", "max_model_len": 64}, {"id": "l", "parent": "a"})
    async with raw_server(one) as server:
        engine = await OpenAIHTTPEngine.connect(server.url, vocab_size=9)
        assert engine.dialect == "vllm"
        await engine.aclose()


@pytest.mark.parametrize(
    "answer",
    [Answer(status(404)), Answer(status(200, b"<html>")), Answer(status(200, b'{"data": 1}'))],
)
async def test_a_server_of_another_kind(answer: Answer) -> None:
    async with raw_server(answer) as server:
        with pytest.raises(EngineError, match="speaks none of vllm, sglang, llama_server, text"):
            await OpenAIHTTPEngine.connect(server.url, vocab_size=9)


async def test_a_server_that_is_not_there_is_not_one_of_another_kind() -> None:
    async with raw_server(Answer(b"")) as server:
        url = server.url
    with pytest.raises(EngineUnavailableError):
        await OpenAIHTTPEngine.connect(url, vocab_size=9)


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host", "http://"])
async def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await OpenAIHTTPEngine.connect(url)
    assert raised.value.param == "url"


async def test_a_bad_dialect_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequestError, match="vllm, sglang, llama_server, text"):
        await OpenAIHTTPEngine.connect("http://127.0.0.1:1", dialect="tgi")
    with pytest.raises(InvalidRequestError, match="vllm, sglang, llama_server, text"):
        open_engine(
            "openai_http", "http://127.0.0.1:1", dialect="tgi", context_tokens=1, vocab_size=1
        )


@pytest.mark.parametrize("field", ["connect_s", "idle_s", "max_event_bytes"])
def test_a_bad_option_is_refused_by_name(field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        HTTPOptions(**{field: 0})
    assert raised.value.param == field


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(HTTPOptions(api_key="secret", headers={"X-Key": "secret"}))


async def test_a_key_is_sent() -> None:
    async with raw_server(TWO) as server:
        options = HTTPOptions(api_key="k", model="a", headers={"X-Team": "t"})
        engine = await OpenAIHTTPEngine.connect(server.url, vocab_size=9, options=options)
        await engine.aclose()
        assert "Authorization: Bearer k\r\n" in server.heads[0]
        assert "X-Team: t\r\n" in server.heads[0]


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama_server"])
async def test_the_tokenizer_of_the_server_is_checked(dialect: str) -> None:
    tokenizer = Tokenizer.load(gguf("small"))
    async with SimulatedServer(storyteller(dialect, tokenizer=tokenizer)) as server:
        engine = await OpenAIHTTPEngine.connect(server.url, tokenizer=tokenizer)
        assert await engine.check_tokenizer(tokenizer) is True
        await engine.aclose()


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama_server"])
async def test_another_tokenizer_is_an_error_that_names_the_difference(dialect: str) -> None:
    tokenizer = Tokenizer.load(gguf("small"))
    async with served(dialect, reciting("a")) as (engine, _):
        with pytest.raises(TokenizerMismatchError, match=r"after '' \(token 0 .*\[479, .*\[256, "):
            await engine.check_tokenizer(tokenizer)


async def test_a_server_that_cannot_be_asked_is_not_known_to_differ() -> None:
    tokenizer = Tokenizer.load(gguf("small"))
    async with served("text", reciting("a")) as (engine, _):
        assert await engine.check_tokenizer(tokenizer) is False
    one = models({"id": "a", "owned_by": "vllm", "max_model_len": 64})
    async with raw_server(one, Answer(status(404))) as server:
        engine = await OpenAIHTTPEngine.connect(server.url, tokenizer=tokenizer)
        assert await engine.check_tokenizer(tokenizer) is False
        await engine.aclose()
