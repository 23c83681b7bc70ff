"""Makes the spans. The request's lives while it is answered; its legs' are made when it has ended.

That costs nothing while tokens flow, and whatever became of a generation, its trace has its legs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import relaygen
from relaygen.engines.openai_http import request_headers
from relaygen.gateway.exchange import Ended, Exchange
from relaygen.gateway.tracing.attributes import (
    at_begin,
    end_reason,
    of_leg,
    of_request,
    request_name,
)
from relaygen.types import ModelRole

_W3C = TraceContextTextMapPropagator()
_NANO = 1_000_000_000


class Tracing:
    """Makes spans, and gives them to a processor. It touches no tracer but its own."""

    def __init__(self, processor: SpanProcessor) -> None:
        """Takes over the processor. The SDK reads ``OTEL_...`` from the environment itself."""
        named = Resource.create(
            {"service.name": "relaygen", "service.version": relaygen.__version__}
        )
        self._provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,  # it would hold up whoever is told twice to go
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("relaygen.gateway", relaygen.__version__)

    @classmethod
    def to(cls, endpoint: str) -> Self:
        """Sends spans to a collector, in batches, from a thread of its own."""
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        return cls(BatchSpanProcessor(exporter))

    def begin(self, exchange: Exchange, headers: Mapping[str, str]) -> RequestSpan:
        """A request came; what its task asks of model servers belongs to its trace from now on.

        Args:
            exchange: the request.
            headers: of it; a ``traceparent`` among them is continued.
        """
        return RequestSpan(self._tracer, exchange, _W3C.extract(headers, context=Context()))

    async def aclose(self, seconds: float) -> None:
        """Sends what is left, and gives up after so many seconds."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, seconds)


class RequestSpan:
    """The span of one request. Begin and end it in one task."""

    def __init__(self, tracer: Tracer, exchange: Exchange, parent: Context) -> None:
        self._tracer = tracer
        self._exchange = exchange
        self._came_ns = time.time_ns()
        self._span: Span = tracer.start_span(
            request_name(exchange),
            parent,
            kind=SpanKind.SERVER,
            attributes=at_begin(exchange),
            start_time=self._came_ns,
        )
        self._context = set_span_in_context(self._span, Context())
        passed_on: dict[str, str] = {}
        _W3C.inject(passed_on, context=self._context)
        self._token = request_headers.set(passed_on)

    def end(self, duration_s: float, models: Mapping[ModelRole, str]) -> None:
        """The request has been answered, or its client left.

        Args:
            duration_s: since it came.
            models: the name of each role's model.
        """
        request_headers.reset(self._token)
        if not self._span.is_recording():
            return
        exchange = self._exchange
        for ended in exchange.ended:
            self._add_legs(ended, models)
        self._span.set_attributes(of_request(exchange))
        # A client's mistake is no error of a server's, and neither is its leaving.
        broke_off = exchange.error is not None and exchange.status == 200
        if exchange.status >= 500 or broke_off:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(self._ns(exchange.started + duration_s))

    def _add_legs(self, ended: Ended, models: Mapping[ModelRole, str]) -> None:
        before = 0
        for segment in ended.result.trace.segments:
            model = models[segment.role]
            span = self._tracer.start_span(
                f"text_completion {model}",
                self._context,
                kind=SpanKind.CLIENT if segment.replicas else SpanKind.INTERNAL,
                attributes=of_leg(ended, segment, model=model, tokens_before=before),
                start_time=self._ns(ended.began + segment.started_s),
            )
            if end_reason(segment) == "failed":
                span.set_status(Status(StatusCode.ERROR))
            span.end(self._ns(ended.began + segment.ended_s))
            before += len(segment.token_ids)

    def _ns(self, at: float) -> int:
        """A time of the gateway's clock as nanoseconds since 1970."""
        return self._came_ns + round((at - self._exchange.started) * _NANO)
