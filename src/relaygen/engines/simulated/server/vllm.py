"""The simulated server as vLLM speaks; see `relaygen.engines.openai_http.dialects.vllm`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relaygen.engines.base import GenerateRequest
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.server.backend import Backend, Event, TextDelta, failed, sse
from relaygen.engines.simulated.server.endpoint import Generating, tokenize_route
from relaygen.engines.simulated.server.forms import Choice
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling, TokenScore

DONE = Event(data=b"data: [DONE]\n\n")


class StructuredOutputs(msgspec.Struct, forbid_unknown_fields=True):
    """The form of an answer; other kinds are not understood."""

    json: dict[str, Any] | None = None
    json_object: bool = False
    choice: list[str] | None = None


class CompletionRequest(msgspec.Struct):
    """The fields of ``/v1/completions`` that are understood."""

    prompt: list[int]
    model: str | None = None
    max_tokens: int = 16
    stream: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    allowed_token_ids: list[int] | None = None
    stop: list[str] = []
    stop_token_ids: list[int] = []
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    return_token_ids: bool = False
    structured_outputs: StructuredOutputs | None = None


def routes(backend: Backend) -> list[Route]:
    """What vLLM answers to."""
    generating = Generating(
        kind=CompletionRequest, leg=_leg, schema=_schema, stream=_stream, whole=_whole
    )

    async def completions(request: Request) -> Response:
        return await generating.answer(backend, request)

    async def version(request: Request) -> Response:
        return JSONResponse({"version": "0.0.0+simulated"})

    return [
        Route("/v1/completions", completions, methods=["POST"]),
        tokenize_route(backend),
        Route("/version", version),
    ]


def _schema(body: CompletionRequest) -> Any:
    asked = body.structured_outputs
    if asked is None:
        return None
    if [asked.json is not None, asked.json_object, asked.choice is not None].count(True) != 1:
        raise InvalidRequestError("structured_outputs takes one kind of constraint")
    if asked.choice is not None:
        return Choice(tuple(asked.choice))
    return asked.json if asked.json is not None else {"type": "object"}


def _leg(backend: Backend, body: CompletionRequest) -> GenerateRequest:
    bias = dict(body.logit_bias)
    if body.allowed_token_ids is not None:
        bias |= dict.fromkeys(body.allowed_token_ids, 1e9)
    return GenerateRequest(
        prompt=body.prompt,
        max_tokens=body.max_tokens,
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            repetition_penalty=body.repetition_penalty,
            seed=body.seed,
            logit_bias=bias,
        ),
        eos_ids=frozenset(body.stop_token_ids)
        | (frozenset() if body.ignore_eos else backend.eos_ids),
        stop_hints=tuple(body.stop),
        want_scores=body.logprobs is not None,
        top_logprobs=body.logprobs or 0,
        generation_id=backend.cache_key(body.prompt),
    )


async def _stream(
    backend: Backend, body: CompletionRequest, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    text = TextDelta(backend.vocabulary)
    written: list[int] = []
    try:
        async for output in backend.outputs(leg, form):
            written += output.token_ids
            choice = {
                "index": 0,
                "text": text.add(output.token_ids, last=output.end is not None),
                "logprobs": _logprobs(output.token_ids, output.scores),
                **_end(backend, body, written, output.end),
            }
            if body.return_token_ids:
                choice["token_ids"] = list(output.token_ids)
            yield Event(data=sse(_answer(backend, choice)), tokens=len(output.token_ids))
    except EngineError as error:
        yield Event(data=failed(error))
    yield DONE


async def _whole(
    backend: Backend, body: CompletionRequest, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    output = await backend.whole(leg, form)
    choice = {
        "index": 0,
        "text": backend.text(output.token_ids),
        "token_ids": list(output.token_ids),
        "logprobs": _logprobs(output.token_ids, output.scores if leg.want_scores else None),
        **_end(backend, body, list(output.token_ids), output.end),
    }
    if body.prompt_logprobs is not None:
        scores = backend.scores(body.prompt, 1, body.prompt_logprobs)
        pairs = zip(body.prompt[1:], scores, strict=True)
        choice["prompt_logprobs"] = [None, *(_prompt_entry(*pair) for pair in pairs)]
    usage = {"prompt_tokens": len(body.prompt), "completion_tokens": len(output.token_ids)}
    yield Event(data=msgspec.json.encode(_answer(backend, choice) | {"usage": usage}))


def _answer(backend: Backend, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "cmpl-simulated",
        "object": "text_completion",
        "created": 0,
        "model": backend.name,
        "choices": [choice],
    }


def _end(
    backend: Backend, body: CompletionRequest, written: list[int], end: LegEnd | None
) -> dict[str, Any]:
    match end:
        case None:
            return {"finish_reason": None, "stop_reason": None}
        case LegEnd.LENGTH:
            return {"finish_reason": "length", "stop_reason": None}
        case LegEnd.STOP_HINT:
            return {"finish_reason": "stop", "stop_reason": backend.stop_found(written, body.stop)}
        case _:
            reason = written[-1] if written[-1] in body.stop_token_ids else None
            return {"finish_reason": "stop", "stop_reason": reason}


def _logprobs(
    token_ids: tuple[int, ...], scores: tuple[TokenScore, ...] | None
) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {
        "tokens": [f"token_id:{i}" for i in token_ids],
        "token_logprobs": [score.logprob for score in scores],
        "top_logprobs": [
            {f"token_id:{i}": value for i, value in ((token_id, score.logprob), *score.top)}
            for token_id, score in zip(token_ids, scores, strict=True)
        ],
    }


def _prompt_entry(token_id: int, score: TokenScore) -> dict[str, Any]:
    listed = {token_id: score.logprob, **dict(score.top)}
    return {str(i): {"logprob": value, "decoded_token": ""} for i, value in listed.items()}
