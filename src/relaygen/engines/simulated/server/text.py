"""The simulated server as anything OpenAI-compatible speaks: text in, text out."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relaygen.engines.base import GenerateRequest
from relaygen.engines.simulated.server.backend import (
    Backend,
    Event,
    TextDelta,
    failed,
    parsed,
    refused,
    sse,
)
from relaygen.engines.simulated.server.vllm import DONE
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling


class TextRequest(msgspec.Struct):
    """The fields of ``/v1/completions`` that are understood."""

    prompt: str
    max_tokens: int = 16
    stream: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: dict[int, float] = {}


def routes(backend: Backend) -> list[Route]:
    """What such a server answers to."""

    async def completions(request: Request) -> Response:
        try:
            body = await parsed(request, TextRequest)
            leg = _leg(backend, body)
            backend.check(leg)
        except InvalidRequestError as error:
            return refused(error)
        backend.requests.append(body)
        return await backend.answer(request, _events(backend, leg, body.stream), stream=body.stream)

    return [Route("/v1/completions", completions, methods=["POST"])]


def _leg(backend: Backend, body: TextRequest) -> GenerateRequest:
    prompt = backend.vocabulary.encode(body.prompt)
    return GenerateRequest(
        prompt=prompt,
        max_tokens=body.max_tokens,
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            seed=body.seed,
            logit_bias=body.logit_bias,
        ),
        eos_ids=backend.eos_ids,
        generation_id=backend.cache_key(prompt),
    )


async def _events(backend: Backend, leg: GenerateRequest, stream: bool) -> AsyncGenerator[Event]:
    text = TextDelta(backend.vocabulary)
    whole = ""
    reason = None
    try:
        async for output in backend.outputs(leg):
            ids = [i for i in output.token_ids if i not in backend.eos_ids]
            said = text.add(ids, last=output.end is not None)
            whole += said
            if output.end is not None:
                reason = "stop" if output.end is LegEnd.EOS else "length"
            if stream:
                choice = {"index": 0, "text": said, "finish_reason": reason}
                data = sse({"object": "text_completion", "choices": [choice]})
                yield Event(data=data, tokens=len(output.token_ids))
    except EngineError as error:
        yield Event(data=failed(error))
    if stream:
        yield DONE
        return
    choice = {"index": 0, "text": whole, "finish_reason": reason}
    yield Event(data=msgspec.json.encode({"object": "text_completion", "choices": [choice]}))
