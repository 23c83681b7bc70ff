"""The endpoints that generate nothing: models, health, metrics, version."""

from __future__ import annotations

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import relaygen
from relaygen.gateway.endpoint import EXCHANGE, Gateway
from relaygen.gateway.failures import HttpError, failure
from relaygen.gateway.logs import log_bug
from relaygen.gateway.openapi import openapi
from relaygen.gateway.replicas import left_out
from relaygen.gateway.wire.about_replies import (
    HealthReply,
    ModelList,
    ModelMeaning,
    ModelReply,
    VersionReply,
)


class About:
    """Handlers in Starlette's form."""

    def __init__(self, gateway: Gateway) -> None:
        """Takes the gateway to tell about."""
        self._gateway = gateway

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        self._check_key(request)
        listed = [self._model(name) for name in self._gateway.service.models]
        return _json(ModelList(object="list", data=listed))

    async def model(self, request: Request) -> Response:
        """``GET /v1/models/{model}``."""
        self._check_key(request)
        return _json(self._model(request.path_params["model"]))

    async def live(self, request: Request) -> Response:
        """``GET /health/live``: the process answers."""
        return _json(HealthReply(status="live"))

    async def ready(self, request: Request) -> Response:
        """``GET /health/ready``: 503 while draining, or where no request could be served."""
        gateway = self._gateway
        problem = "draining" if gateway.traffic.draining else gateway.service.ready()
        out = left_out(gateway.service.replicas())
        if problem is None:
            return _json(HealthReply(status="ready", left_out=out))
        wait = {"retry-after": str(gateway.settings.retry_after_s)}
        return _json(HealthReply(status="not ready", reason=problem, left_out=out), 503, wait)

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``."""
        text = self._gateway.metrics.text()
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def version(self, request: Request) -> Response:
        """``GET /version``."""
        return _json(VersionReply(version=relaygen.__version__))

    async def openapi(self, request: Request) -> Response:
        """``GET /openapi.json``."""
        return Response(openapi(), media_type="application/json")

    def _check_key(self, request: Request) -> None:
        allowance = self._gateway.keys.find(request.headers.get("authorization"))
        request.scope[EXCHANGE].key = allowance.name

    def _model(self, name: str) -> ModelReply:
        service = self._gateway.service
        return ModelReply(
            id=name,
            object="model",
            created=service.started,
            owned_by="relaygen",
            relaygen=ModelMeaning(policy=service.policy_of(name), means=service.meaning_of(name)),
        )


async def failed(request: Request, error: Exception) -> Response:
    """An error outside the generating endpoints, in OpenAI's shape."""
    told = _unrouted(request, error) if isinstance(error, HTTPException) else failure(error)
    request.scope[EXCHANGE].error = told.code
    if told.code == "internal_error":
        log_bug(request.scope[EXCHANGE], error)
    return Response(told.body(), told.status, headers=told.headers, media_type="application/json")


def _unrouted(request: Request, error: HTTPException) -> HttpError:
    path, method = request.url.path, request.method
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return HttpError(
            405,
            f"{path} does not take {method}; it takes {allowed}",
            code="method_not_allowed",
            headers={"allow": allowed},
        )
    return HttpError(
        error.status_code,
        f"there is nothing at {method} {path}; /openapi.json lists what there is",
        code="not_found",
    )


def _json(
    value: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(
        msgspec.json.encode(value), status, headers=headers, media_type="application/json"
    )
