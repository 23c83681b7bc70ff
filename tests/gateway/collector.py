"""A collector of spans on loopback: takes OTLP over HTTP, and keeps what it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.serving import serving


class Collector:
    """What it got.

    Attributes:
        url: of it.
        resources: attributes of the senders, one a request.
        spans: attributes of each span, with its ``name``, ``id`` and ``parent``.
        answers: whether it does; else a request waits until it is let go.
    """

    def __init__(self) -> None:
        self.url = ""
        self.resources: list[dict[str, Any]] = []
        self.spans: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()

    def app(self) -> Starlette:
        async def traces(request: Request) -> Response:
            assert request.headers["content-type"] == "application/x-protobuf"
            sent = ExportTraceServiceRequest.FromString(await request.body())
            for resource in sent.resource_spans:
                self.resources.append(_plain(resource.resource.attributes))
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        ids = {"id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                        named = {"name": span.name, "trace": span.trace_id.hex(), **ids}
                        self.spans.append(_plain(span.attributes) | named)
            self.answers.wait()
            return Response(ExportTraceServiceResponse().SerializeToString())

        return Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])


def _plain(attributes: Any) -> dict[str, Any]:
    return {entry.key: _value(entry.value) for entry in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(entry) for entry in value.array_value.values]
    return getattr(value, kind)


@contextmanager
def collector() -> Iterator[Collector]:
    """Serves one from a thread of its own."""
    opened = Collector()
    with serving(opened.app()) as opened.url:
        try:
            yield opened
        finally:
            opened.answers.set()
