"""The simulated server as an ASGI application: one dialect's routes and those of all."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from relaygen.engines.simulated.server import llama_server, sglang, text, vllm
from relaygen.engines.simulated.server.backend import Backend, refused
from relaygen.errors import InvalidRequestError

ROUTES = {
    "vllm": vllm.routes,
    "sglang": sglang.routes,
    "llama_server": llama_server.routes,
    "text": text.routes,
}

_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llama_server": "llamacpp", "text": "somebody"}
# Names of: prompt tokens looked up in the prefix cache, found there, written tokens, running legs.
_METRICS = {
    "vllm": (
        "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_hits_total",
        "vllm:generation_tokens_total",
        "vllm:num_requests_running",
    ),
    "sglang": (
        "sglang:prompt_tokens_total",
        "sglang:cached_tokens_total",
        "sglang:generation_tokens_total",
        "sglang:num_running_reqs",
    ),
    "llama_server": (
        "llamacpp:prompt_tokens_queried_total",
        "llamacpp:prompt_tokens_cached_total",
        "llamacpp:tokens_predicted_total",
        "llamacpp:requests_processing",
    ),
    "text": (
        "simulated:prefix_cache_queries_total",
        "simulated:prefix_cache_hits_total",
        "simulated:generation_tokens_total",
        "simulated:requests_running",
    ),
}


def application(backend: Backend) -> Starlette:
    """Serves the backend in its dialect.

    Raises:
        InvalidRequestError: there is no such dialect.
    """
    if backend.dialect not in ROUTES:
        raise InvalidRequestError(
            f"there is no dialect {backend.dialect!r}; there are {', '.join(ROUTES)}",
            param="dialect",
        )

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(backend)]})

    async def metrics(request: Request) -> Response:
        values = (
            backend.cache_queries,
            backend.cache_hits,
            backend.engine.counters.generated_tokens,
            backend.running,
        )
        pairs = zip(_METRICS[backend.dialect], values, strict=True)
        return PlainTextResponse("".join(f"{name} {value}\n" for name, value in pairs))

    async def bad_request(request: Request, error: Exception) -> Response:
        return refused(error)

    return Starlette(
        routes=[
            *ROUTES[backend.dialect](backend),
            Route("/health", health),
            Route("/v1/models", models),
            Route("/metrics", metrics),
        ],
        exception_handlers={InvalidRequestError: bad_request},
    )


def _model(backend: Backend) -> dict[str, Any]:
    model: dict[str, Any] = {"id": backend.name, "object": "model"}
    model["owned_by"] = _OWNERS[backend.dialect]
    context = backend.engine.capabilities().context_tokens
    if backend.dialect == "llama_server":
        model["meta"] = {"n_ctx": context, "n_vocab": backend.model.vocab_size}
    elif backend.dialect == "sglang":
        model["max_model_len"] = context + 1
    elif backend.dialect == "vllm":
        model["max_model_len"] = context
    return model
