from __future__ import annotations

import pytest

from relaygen.engines.base import Engine, GenerateRequest, InlineEngine
from relaygen.errors import ContextLengthError, EngineUnavailableError, InvalidRequestError

from .legs import Recorder, leg, prompt_for, write


def bad_requests(engine: Engine) -> dict[str, GenerateRequest]:
    capabilities = engine.capabilities()
    good = prompt_for(engine)
    return {
        "empty": leg([]),
        "negative_id": leg([*good, -1]),
        "id_too_large": leg([capabilities.vocab_size, *good]),
        "max_tokens": leg(good, 0),
        "too_long": leg(prompt_for(engine, capabilities.context_tokens)),
        "top_logprobs": leg(good, want_scores=True, top_logprobs=capabilities.top_logprobs + 1),
    }


NAMES = {
    "empty": "prompt",
    "negative_id": "prompt",
    "id_too_large": "prompt",
    "max_tokens": "max_tokens",
    "too_long": "prompt",
    "top_logprobs": "top_logprobs",
}


@pytest.mark.parametrize("what", NAMES)
async def test_a_bad_request_is_refused_by_name(engine: Engine, what: str) -> None:
    request = bad_requests(engine)[what]
    with pytest.raises(InvalidRequestError) as raised:
        await write(engine, request)
    assert raised.value.param == NAMES[what]
    assert isinstance(raised.value, ContextLengthError) == (what == "too_long")
    if engine.capabilities().inline:
        assert isinstance(engine, InlineEngine)
        with pytest.raises(InvalidRequestError):
            engine.submit(request, Recorder())


@pytest.mark.needs("prompt_scoring")
@pytest.mark.parametrize("from_token", [-1, 0, 12, 13])
async def test_a_bad_score_is_refused_by_name(engine: Engine, from_token: int) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await engine.score(prompt_for(engine, 12), from_token)
    assert raised.value.param == "from_token"


async def test_a_refusal_leaves_the_engine_usable(engine: Engine) -> None:
    expected = await write(engine, leg(prompt_for(engine)))
    for request in bad_requests(engine).values():
        with pytest.raises(InvalidRequestError):
            await write(engine, request)
    assert (await write(engine, leg(prompt_for(engine)))).tokens == expected.tokens


async def test_a_closed_engine_says_so(engine: Engine) -> None:
    request = leg(prompt_for(engine))
    await write(engine, request)
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(EngineUnavailableError):
        await write(engine, request)
    if engine.capabilities().prompt_scoring:
        with pytest.raises(EngineUnavailableError):
            await engine.score(request.prompt, 1)
    if engine.capabilities().inline:
        assert isinstance(engine, InlineEngine)
        with pytest.raises(EngineUnavailableError):
            engine.submit(request, Recorder())


async def test_an_engine_may_be_closed_unused(engine: Engine) -> None:
    await engine.aclose()
