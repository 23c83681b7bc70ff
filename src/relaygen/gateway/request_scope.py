"""What surrounds every request: its id and limits, its line in the log and metrics, its span."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relaygen.gateway.endpoint import EXCHANGE
from relaygen.gateway.exchange import Exchange
from relaygen.gateway.logs import log_exchange
from relaygen.gateway.metrics import Metrics
from relaygen.types import ModelRole

if TYPE_CHECKING:
    from relaygen.gateway.tracing.spans import Tracing

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_QUIET = ("/health/", "/metrics")


class RequestScope:
    """Middleware. A client's own ``x-request-id`` is kept where it is short and plain."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        routes: frozenset[str],
        models: Mapping[ModelRole, str],
        tracing: Tracing | None = None,
    ) -> None:
        """Takes what requests share.

        Args:
            app: what answers.
            metrics: counts requests.
            clock: seconds.
            new_id: makes ids of requests unique.
            routes: paths that may be labels; others would let a client fill the metrics.
            models: the name of each role's model.
            tracing: makes spans of requests; None: there are none.
        """
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._new_id = new_id
        self._routes = routes
        self._models = models
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers, quiet = Headers(scope=scope), path.startswith(_QUIET)
        exchange = Exchange(
            id=self._id(headers.get("x-request-id")),
            method=scope["method"],
            path=path,
            started=self._clock(),
            route=path if path in self._routes else "",
        )
        scope[EXCHANGE] = exchange
        header = (b"x-request-id", exchange.id.encode())

        async def send_with_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                limits = exchange.allowance.headers() if exchange.allowance else []
                message = {**message, "headers": [*message["headers"], header, *limits]}
            await send(message)

        span = None
        if self._tracing is not None and not quiet:
            span = self._tracing.begin(exchange, headers)
        try:
            await self._app(scope, receive, send_with_more)
        finally:
            duration = self._clock() - exchange.started
            self._metrics.request_ended(exchange, duration)
            if not quiet:
                log_exchange(exchange, duration)
            if span is not None:
                span.end(duration, self._models)

    def _id(self, sent: str | None) -> str:
        if sent is not None and _ID.fullmatch(sent):
            return sent
        return f"req_{self._new_id()}"
