"""Puts the gateway together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from relaygen.errors import RelayGenError
from relaygen.gateway.about import About, failed
from relaygen.gateway.allowance import LIMIT_HEADERS
from relaygen.gateway.endpoint import Gateway, GeneratingEndpoint
from relaygen.gateway.keys import KeyRing
from relaygen.gateway.metrics import Metrics
from relaygen.gateway.pages import page
from relaygen.gateway.plan import plan_chat, plan_completion
from relaygen.gateway.request_scope import RequestScope
from relaygen.gateway.service import Service
from relaygen.gateway.traffic import Traffic
from relaygen.gateway.wire.chat_request import ChatRequest
from relaygen.gateway.wire.completion_request import CompletionRequest
from relaygen.settings import KeySettings, ServerSettings
from relaygen.views.playground import files

if TYPE_CHECKING:
    from relaygen.gateway.tracing.spans import Tracing

_LAST_SPANS_S = 5.0


def create_app(
    service: Service,
    settings: ServerSettings | None = None,
    keys: Sequence[KeySettings] = (),
    *,
    clock: Callable[[], float] = time.perf_counter,
    tracing: Tracing | None = None,
) -> Starlette:
    """An OpenAI-compatible server over one relay, as an ASGI application.

    Args:
        service: what is served; it stays open until whoever opened it closes it.
        settings: limits, and what else is served; whoever listens sees to host and port.
        keys: who may call; none: everybody.
        clock: seconds that only go forward, for rate limits, logs and metrics; spans need the
            default, which is the clock of every `Stream`.
        tracing: makes spans of requests; it is closed with the application. None: there are none.
    """
    settings = settings or ServerSettings()
    traffic = Traffic(settings.max_streams, settings.retry_after_s)
    gateway = Gateway(
        service=service,
        settings=settings,
        keys=KeyRing(keys, clock),
        traffic=traffic,
        metrics=Metrics(lambda: traffic.generations, service.queue, service.replicas),
        clock=clock,
    )
    about = About(gateway)
    chat = GeneratingEndpoint(gateway, ChatRequest, plan_chat)
    completion = GeneratingEndpoint(gateway, CompletionRequest, plan_completion)
    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", completion, methods=["POST"]),
        Route("/v1/models", about.models),
        Route("/v1/models/{model:path}", about.model),
        Route("/health/live", about.live),
        Route("/health/ready", about.ready),
        Route("/metrics", about.metrics),
        Route("/version", about.version),
        Route("/openapi.json", about.openapi),
    ]
    if settings.playground:
        routes += [Route(path, page(kind, body)) for path, (kind, body) in files().items()]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await drain(app)
        if tracing is not None:
            await tracing.aclose(_LAST_SPANS_S)

    app = Starlette(
        routes=routes,
        middleware=_middleware(gateway, frozenset(route.path for route in routes), tracing),
        exception_handlers={HTTPException: failed, RelayGenError: failed, Exception: failed},
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    return app


async def drain(app: Starlette, deadline_s: float | None = None) -> int:
    """Lets no new work in and waits for what runs; ``/health/ready`` says 503 from now on.

    Args:
        app: made by `create_app`.
        deadline_s: what still runs after so many seconds is cut off; None: as the settings say.

    Returns:
        how many requests were cut off.
    """
    gateway: Gateway = app.state.gateway
    return await gateway.traffic.drain(
        gateway.settings.drain_s if deadline_s is None else deadline_s
    )


def _middleware(
    gateway: Gateway, routes: frozenset[str], tracing: Tracing | None
) -> list[Middleware]:
    models = gateway.service.relay.models
    listed = [
        Middleware(
            RequestScope,
            metrics=gateway.metrics,
            clock=gateway.clock,
            new_id=gateway.service.new_id,
            routes=routes,
            models={role: model.name for role, model in models.items()},
            tracing=tracing,
        )
    ]
    if gateway.settings.cors_origins:
        listed.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(gateway.settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-request-id"],
                expose_headers=["x-request-id", "retry-after", *LIMIT_HEADERS],
            )
        )
    return listed
