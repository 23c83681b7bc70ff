"""The simulated server as SGLang speaks; see `relaygen.engines.openai_http.dialects.sglang`.

Written from SGLang's documented protocol and its sources, never compared with a running server.
Its log-probabilities are those of ``SGLANG_RETURN_ORIGINAL_LOGPROB=1``, its seeds those of
``--enable-deterministic-inference``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.server.backend import (
    Backend,
    Event,
    TextDelta,
    failed,
    parsed,
    sse,
)
from relaygen.engines.simulated.server.endpoint import Generating, tokenize_route
from relaygen.engines.simulated.server.forms import Choice
from relaygen.engines.simulated.server.vllm import DONE
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling, TokenScore


class SamplingParams(msgspec.Struct):
    """The fields of ``sampling_params`` that are understood."""

    max_new_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    sampling_seed: int | None = None
    logit_bias: dict[int, float] | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    json_schema: str | None = None
    ebnf: str | None = None


class GenerateBody(msgspec.Struct):
    """Likewise of ``/generate``."""

    input_ids: list[int]
    sampling_params: SamplingParams
    rid: str = ""
    stream: bool = False
    return_logprob: bool = False
    top_logprobs_num: int = 0
    logprob_start_len: int = -1


class AbortBody(msgspec.Struct):
    """Of ``/abort_request``."""

    rid: str


def routes(backend: Backend) -> list[Route]:
    """What SGLang answers to."""
    generating = Generating(
        kind=GenerateBody,
        leg=_leg,
        schema=_schema,
        stream=_stream,
        whole=_whole,
        looked_at=_looked_at,
    )

    async def generate(request: Request) -> Response:
        return await generating.answer(backend, request)

    async def abort(request: Request) -> Response:
        backend.aborted.append((await parsed(request, AbortBody)).rid)
        return Response()

    async def model_info(request: Request) -> Response:
        return JSONResponse({"model_path": backend.name, "is_generation": True})

    async def server_info(request: Request) -> Response:
        return JSONResponse({"enable_deterministic_inference": True})

    return [
        Route("/generate", generate, methods=["POST"]),
        Route("/abort_request", abort, methods=["POST"]),
        tokenize_route(backend),
        Route("/get_model_info", model_info),
        Route("/server_info", server_info),
    ]


def _looked_at(body: GenerateBody, leg: GenerateRequest) -> GenerateRequest:
    """Without a token to write, the prompt may fill the context."""
    read_alone = body.sampling_params.max_new_tokens == 0
    return replace(leg, prompt=leg.prompt[:-1]) if read_alone else leg


def _schema(body: GenerateBody) -> Any:
    grammar, text = body.sampling_params.ebnf, body.sampling_params.json_schema
    if grammar is not None and text is None:
        return Choice.of_grammar(grammar)
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"json_schema is no JSON: {error}") from error


def _leg(backend: Backend, body: GenerateBody) -> GenerateRequest:
    params = body.sampling_params
    stops = frozenset(params.stop_token_ids or ()) | backend.eos_ids
    return GenerateRequest(
        prompt=body.input_ids,
        max_tokens=max(1, params.max_new_tokens),
        sampling=Sampling(
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=max(0, params.top_k),
            min_p=params.min_p,
            presence_penalty=params.presence_penalty,
            frequency_penalty=params.frequency_penalty,
            repetition_penalty=params.repetition_penalty,
            seed=params.sampling_seed,
            logit_bias=params.logit_bias or {},
        ),
        eos_ids=frozenset() if params.ignore_eos else stops,
        stop_hints=tuple(params.stop or ()),
        want_scores=body.return_logprob,
        top_logprobs=body.top_logprobs_num,
        generation_id=backend.cache_key(body.input_ids),
    )


async def _stream(
    backend: Backend, body: GenerateBody, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    text = TextDelta(backend.vocabulary)
    answer = _Answer(backend, body)
    try:
        async for output in backend.outputs(leg, form):
            answer.text += text.add(output.token_ids, last=output.end is not None)
            yield Event(data=sse(answer.with_output(output)), tokens=len(output.token_ids))
    except EngineError as error:
        yield Event(data=failed(error))
    yield DONE


async def _whole(
    backend: Backend, body: GenerateBody, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    answer = _Answer(backend, body)
    if body.sampling_params.max_new_tokens == 0:
        await backend.engine.prefill(leg.prompt, leg.generation_id)
        output = EngineOutput((), (), LegEnd.LENGTH)
    else:
        output = await backend.whole(leg, form)
    value = answer.with_output(output)
    if body.return_logprob and body.logprob_start_len >= 0:
        start = body.logprob_start_len
        tokens = body.input_ids[start:]
        scores = backend.scores(body.input_ids, start + 1, body.top_logprobs_num)
        first: list[Any] = [[None, tokens[0], None]]
        value["meta_info"] |= {
            "input_token_logprobs": first + _ones(tokens[1:], scores),
            "input_top_logprobs": [None, *_tops(scores)],
        }
    yield Event(data=msgspec.json.encode(value))


class _Answer:
    """What has been written so far; a stream repeats it unless it is incremental."""

    def __init__(self, backend: Backend, body: GenerateBody) -> None:
        self.text = ""
        self._backend = backend
        self._body = body
        self._ids: list[int] = []
        self._scores: list[TokenScore] = []
        self._evaluated = len(body.input_ids)

    def with_output(self, output: EngineOutput) -> dict[str, Any]:
        self._ids += output.token_ids
        self._scores += output.scores or ()
        if output.prompt_evaluated is not None:
            self._evaluated = output.prompt_evaluated
        new = len(output.token_ids) if self._backend.incremental else len(self._ids)
        start = len(self._ids) - new
        meta: dict[str, Any] = {
            "id": self._body.rid,
            "finish_reason": self._end(output.end),
            "prompt_tokens": len(self._body.input_ids),
            "completion_tokens": len(self._ids),
            "cached_tokens": len(self._body.input_ids) - self._evaluated,
        }
        if self._body.return_logprob:
            scores = self._scores[start:]
            meta["output_token_logprobs"] = _ones(self._ids[start:], scores)
            meta["output_top_logprobs"] = _tops(scores)
        return {"text": self.text, "output_ids": self._ids[start:], "meta_info": meta}

    def _end(self, end: LegEnd | None) -> dict[str, Any] | None:
        match end:
            case None:
                return None
            case LegEnd.LENGTH:
                return {"type": "length", "length": len(self._ids)}
            case LegEnd.STOP_HINT:
                stops = self._body.sampling_params.stop or []
                return {"type": "stop", "matched": self._backend.stop_found(self._ids, stops)}
            case _:
                return {"type": "stop", "matched": self._ids[-1]}


def _ones(token_ids: Sequence[int], scores: Sequence[TokenScore]) -> list[Any]:
    return [[s.logprob, i, None] for i, s in zip(token_ids, scores, strict=True)]


def _tops(scores: Sequence[TokenScore]) -> list[Any]:
    return [[[value, i, None] for i, value in score.top] for score in scores]
