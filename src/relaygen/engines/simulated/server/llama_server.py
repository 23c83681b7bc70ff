"""The simulated server as llama-server speaks; see ``openai_http.dialects.llama_server``.

It leaves ids out of a stream where llama-server does: after tokens that end inside a code point.
And it closes a connection after 100 requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
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
    failed,
    parsed,
    refused,
    sse,
)
from relaygen.engines.simulated.server.forms import Choice
from relaygen.errors import EngineError, InvalidRequestError
from relaygen.types import LegEnd, Sampling, TokenScore

_REQUESTS = 100
_STOP_TYPES = {LegEnd.EOS: "eos", LegEnd.LENGTH: "limit", LegEnd.STOP_HINT: "word"}


class CompletionBody(msgspec.Struct):
    """The fields of ``/completion`` that are understood."""

    prompt: list[int]
    n_predict: int = -1
    stream: bool = False
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    seed: int = 2**32 - 1
    logit_bias: list[tuple[int, float]] = []
    stop: list[str] = []
    n_probs: int = 0
    id_slot: int = -1
    return_tokens: bool = False
    return_progress: bool = False
    response_fields: list[str] = []
    json_schema: dict[str, Any] | None = None
    grammar: str = ""


class TokenizeBody(msgspec.Struct):
    """Of ``/tokenize``."""

    content: str
    add_special: bool = False
    parse_special: bool = True


def routes(backend: Backend) -> list[Route]:
    """What llama-server answers to."""
    served: Counter[tuple[str, int]] = Counter()

    async def completion(request: Request) -> Response:
        try:
            body = await parsed(request, CompletionBody)
            leg = _leg(backend, body)
            schema = Choice.of_grammar(body.grammar) if body.grammar else body.json_schema
            form = backend.form(leg, schema)
            backend.check(leg)
        except InvalidRequestError as error:
            return refused(error)
        backend.requests.append(body)
        write = _stream if body.stream else _whole
        events = write(backend, body, leg, form)
        response = await backend.answer(request, events, stream=body.stream)
        if request.client is not None:
            served[request.client.host, request.client.port] += 1
            if served[request.client.host, request.client.port] % _REQUESTS == 0:
                response.headers["Connection"] = "close"
        return response

    async def tokenize(request: Request) -> Response:
        return JSONResponse(
            {"tokens": backend.vocabulary.encode((await parsed(request, TokenizeBody)).content)}
        )

    async def props(request: Request) -> Response:
        return JSONResponse({"total_slots": backend.slots, "model_path": backend.name})

    return [
        Route("/completion", completion, methods=["POST"]),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/props", props),
    ]


def _leg(backend: Backend, body: CompletionBody) -> GenerateRequest:
    slot = f"slot {body.id_slot}" if body.id_slot >= 0 else backend.cache_key(body.prompt)
    return GenerateRequest(
        prompt=body.prompt,
        max_tokens=max(1, body.n_predict),
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            seed=None if body.seed == 2**32 - 1 else body.seed,
            # A grammar wins over any bias.
            logit_bias={} if body.grammar or body.json_schema else dict(body.logit_bias),
        ),
        eos_ids=backend.eos_ids,
        stop_hints=tuple(body.stop),
        want_scores=body.n_probs > 0,
        top_logprobs=min(body.n_probs, backend.engine.capabilities().top_logprobs),
        generation_id=slot,
    )


async def _stream(
    backend: Backend, body: CompletionBody, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    pending = b""
    count = 0
    try:
        async for output in backend.outputs(leg, form):
            if output.prompt_evaluated is not None and body.return_progress:
                yield Event(data=sse(_progress(body, output.prompt_evaluated)))
            for place, token_id in enumerate(output.token_ids):
                count += 1
                if token_id not in backend.eos_ids:
                    pending += backend.vocabulary.token_bytes(token_id)
                if _ends_inside(pending):
                    continue
                scores = output.scores[place : place + 1] if output.scores else ()
                yield Event(data=sse(_partial(body, pending, token_id, scores, count)), tokens=1)
                pending = b""
            if output.end is not None:
                yield Event(data=sse(_last(body, output.end, count, [])))
    except EngineError as error:
        yield Event(data=failed(error))


async def _whole(
    backend: Backend, body: CompletionBody, leg: GenerateRequest, form: TokenModel | None
) -> AsyncGenerator[Event]:
    output = await backend.whole(leg, form)
    count = len(output.token_ids)
    value = _last(body, output.end, count, list(output.token_ids))
    if leg.want_scores:
        value["completion_probabilities"] = _probabilities(backend, body, leg, output)
    yield Event(data=msgspec.json.encode(value))


def _probabilities(
    backend: Backend, body: CompletionBody, leg: GenerateRequest, output: EngineOutput
) -> list[Any]:
    """Without those of tokens that end inside a code point."""
    found, pending = [], b""
    prefix = list(body.prompt)
    for token_id in output.token_ids:
        score = backend.scores([*prefix, token_id], len(prefix), body.n_probs)[0]
        prefix.append(token_id)
        if token_id not in backend.eos_ids:
            pending += backend.vocabulary.token_bytes(token_id)
        if not _ends_inside(pending):
            found.append(_probability(token_id, score))
            pending = b""
    return found


def _ends_inside(data: bytes) -> bool:
    """Whether a code point begins in the last bytes and does not end; see ``validate_utf8``."""
    for back in range(1, min(4, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 == 0xC0:
            needed = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2
            return needed > back
        if lead < 0x80:
            return False
    return False


def _progress(body: CompletionBody, evaluated: int) -> dict[str, Any]:
    total = len(body.prompt)
    progress = {"total": total, "cache": total - evaluated, "processed": total, "time_ms": 0}
    return {
        "index": 0,
        "content": "",
        "tokens": [0],
        "stop": False,
        "tokens_predicted": 0,
        "prompt_progress": progress,
    }


def _partial(
    body: CompletionBody,
    data: bytes,
    token_id: int,
    scores: Sequence[TokenScore],
    count: int,
) -> dict[str, Any]:
    value: dict[str, Any] = {
        "index": 0,
        "content": data.decode("utf-8", errors="replace"),
        "tokens": [token_id] if body.return_tokens else [],
        "stop": False,
        "id_slot": body.id_slot,
        "tokens_predicted": count,
        "tokens_evaluated": len(body.prompt),
    }
    if scores:
        value["completion_probabilities"] = [_probability(token_id, scores[0])]
    return value


def _last(
    body: CompletionBody, end: LegEnd | None, count: int, token_ids: list[int]
) -> dict[str, Any]:
    value = {
        "index": 0,
        "content": "",
        "tokens": token_ids,
        "stop": True,
        "stop_type": _STOP_TYPES[end] if end is not None else "none",
        "tokens_predicted": count,
        "tokens_evaluated": len(body.prompt),
        "truncated": False,
    }
    fields = body.response_fields
    return {k: v for k, v in value.items() if k in fields} if fields else value


def _probability(token_id: int, score: TokenScore) -> dict[str, Any]:
    return {
        "id": token_id,
        "token": "",
        "bytes": [],
        "logprob": score.logprob,
        "top_logprobs": [{"id": i, "token": "", "logprob": value} for i, value in score.top],
    }
