"""Spans: one a request, one a leg below it, whatever becomes of either, and no text in any."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.openai_http import request_headers
from relaygen.engines.simulated import Fault, SimulatedEngine
from relaygen.errors import MissingExtraError
from relaygen.gateway import hash_key
from relaygen.gateway.exchange import Exchange
from relaygen.gateway.tracing import open_tracing
from relaygen.gateway.tracing.spans import Tracing
from relaygen.settings import KeySettings
from tests.gateway.asgi import Client, chat_body
from tests.gateway.collector import collector
from tests.gateway.pairs import LARGE, SMALL, pair

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Kept:
    """Tracing whose spans a test can read."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(SimpleSpanProcessor(self._exporter))

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.all() if span.kind is SpanKind.SERVER]

    def request(self) -> ReadableSpan:
        (span,) = self.requests()
        return span

    def legs(self) -> list[ReadableSpan]:
        return [span for span in self.all() if span.kind is not SpanKind.SERVER]


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_and_its_legs_are_those_of_the_reply(inline: bool, stream: bool) -> None:
    kept = Kept()
    keys = (KeySettings(name="ann", hash=hash_key("sk-ann")),)
    async with pair(tracing=kept.tracing, inline=inline, keys=keys) as opened:
        client = Client(opened.app, authorization="Bearer sk-ann", x_request_id="r-1")
        options = {"stream": stream, "relaygen": {"trace": True}}
        if stream:
            options["stream_options"] = {"include_usage": True}
        reply = await client.chat("Secret question", **options)
    if stream:
        usage = reply.events[-2]["usage"]
        segments = reply.events[-3]["choices"][0]["relaygen"]["trace"]["segments"]
    else:
        usage = reply.json["usage"]
        segments = reply.json["choices"][0]["relaygen"]["trace"]["segments"]
    request, legs = kept.request(), kept.legs()
    assert request.name == "POST /v1/chat/completions"
    assert said(request) | {
        "relaygen.request_id": "r-1",
        "relaygen.key": "ann",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "pair",
        "gen_ai.request.stream": stream,
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.response.finish_reasons": ("stop",),
        "relaygen.handoffs": 3,
    } == said(request)
    assert request.status.status_code is StatusCode.UNSET
    assert len(legs) == len(segments) > 5
    read = usage["prompt_tokens"]
    for leg, segment in zip(legs, segments, strict=True):
        assert leg.parent is not None
        assert f"{leg.parent.span_id:016x}" == ids(request)[1]
        assert leg.name == f"text_completion {segment['role']}"
        told = said(leg)
        assert told["relaygen.role"] == segment["role"]
        assert told["relaygen.stage"] == segment["stage"]
        assert told["relaygen.ended_by"] == segment["ended_by"].split(":")[0]
        assert told["relaygen.overrun_tokens"] == segment["overrun_tokens"]
        assert told["gen_ai.usage.input_tokens"] == read
        read += told["gen_ai.usage.output_tokens"]
        assert request.start_time is not None
        assert request.end_time is not None
        assert leg.start_time is not None
        assert leg.end_time is not None
        assert request.start_time <= leg.start_time <= leg.end_time <= request.end_time
        waited_ns = 1e9 * told["gen_ai.response.time_to_first_chunk"]
        assert 0 <= waited_ns <= leg.end_time - leg.start_time + 1
    assert read == usage["total_tokens"]


async def test_no_span_holds_what_was_said() -> None:
    kept = Kept()
    cue = {"text": "Thus, the sum"}
    async with pair(tracing=kept.tracing) as opened:
        await opened.client.chat(
            "Secret question", stop=["nothing of it"], relaygen={"cues": [cue]}
        )
        await opened.client.complete("Secret question")
    told = "".join(span.to_json() for span in kept.all())
    for word in ("Secret", "nothing of", "Thus", "So,", "apples", "boxed"):
        assert word not in told


async def test_choices_are_told_apart() -> None:
    kept = Kept()
    async with pair(tracing=kept.tracing) as opened:
        reply = await opened.client.chat(n=2)
    for index in (0, 1):
        legs = [said(leg) for leg in kept.legs() if said(leg)["relaygen.choice"] == index]
        tokens = reply.json["choices"][index]["relaygen"]["tokens"]
        for role in ("large", "small"):
            of_role = [leg for leg in legs if leg["relaygen.role"] == role]
            assert sum(leg["gen_ai.usage.output_tokens"] for leg in of_role) == tokens[role]


class Asking(SimulatedEngine):
    """Notes what a model server would be asked with."""

    asked: list[Any] = []  # noqa: RUF012 - one list for both engines, made anew by the test

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        self.asked.append(request_headers.get())
        async for output in super().generate(request):
            yield output


@pytest.mark.parametrize("sampled", ["01", "00"])
async def test_a_trace_is_continued_and_passed_on_to_the_servers(
    sampled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asking, "asked", [])
    kept = Kept()
    async with pair(tracing=kept.tracing, engine=Asking) as opened:
        client = Client(opened.app, traceparent=f"00-{TRACE}-{CALLER}-{sampled}", tracestate="a=b")
        await client.chat()
        one, *more = Asking.asked
        assert all(headers == one for headers in more)
        version, trace, span, flags = one["traceparent"].split("-")
        assert (version, trace, flags, one["tracestate"]) == ("00", TRACE, sampled, "a=b")
        if sampled == "01":
            request = kept.request()
            assert ids(request) == (trace, span)
            assert request.parent is not None
            assert f"{request.parent.span_id:016x}" == CALLER
        else:
            assert not kept.all()
        assert span != CALLER


async def test_a_traceparent_that_is_none_begins_a_trace() -> None:
    kept = Kept()
    async with pair(tracing=kept.tracing) as opened:
        for sent in ("", "nonsense", f"00-{'0' * 32}-{CALLER}-01", "00-" + "x" * 10_000):
            assert (await Client(opened.app, traceparent=sent).chat()).status == 200
    assert [request.parent for request in kept.requests()] == [None] * 4
    assert len({ids(request)[0] for request in kept.requests()}) == 4


async def test_what_a_task_asks_after_the_request_is_not_of_its_trace() -> None:
    span = Kept().tracing.begin(Exchange(id="r", method="GET", path="/", started=0.0), {})
    assert "traceparent" in (request_headers.get() or {})
    span.end(1.0, {})
    assert request_headers.get() is None


async def test_without_tracing_nothing_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asking, "asked", [])
    async with pair(engine=Asking) as opened:
        await Client(opened.app, traceparent=f"00-{TRACE}-{CALLER}-01").chat()
    assert set(Asking.asked) == {None}


async def test_a_client_that_leaves_leaves_its_spans() -> None:
    kept = Kept()
    async with pair(tracing=kept.tracing, faults={SMALL: Fault(kind="stall", after=2)}) as opened:
        call = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        await anext(call.pieces())
        while not opened.engines[SMALL].counters.active_legs:
            await asyncio.sleep(0)
        call.leave()
        await call.end()
    legs = [said(leg) for leg in kept.legs()]
    assert [leg["relaygen.ended_by"] for leg in legs] == ["cue", "cancelled"]
    assert [leg["relaygen.role"] for leg in legs] == ["large", "small"]
    request = kept.request()
    assert said(request)["error.type"] == "client_gone"
    assert said(request)["http.response.status_code"] == 499
    assert said(request)["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert request.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("stream", [False, True])
async def test_a_generation_that_fails_is_an_error(stream: bool) -> None:
    kept = Kept()
    faults = {LARGE: {0: Fault(kind="fail", after=3, retryable=False)}}
    async with pair(tracing=kept.tracing, faults=faults) as opened:
        reply = await opened.client.chat(stream=stream)
    (leg,) = kept.legs()
    assert said(leg)["relaygen.ended_by"] == "failed"
    assert said(leg)["gen_ai.usage.output_tokens"] == 3
    assert leg.status.status_code is StatusCode.ERROR
    request = kept.request()
    assert said(request)["http.response.status_code"] == reply.status == (200 if stream else 502)
    assert said(request)["error.type"] == "engine_error"
    assert request.status.status_code is StatusCode.ERROR


async def test_a_request_that_is_refused_has_a_span_and_one_for_the_machinery_has_none() -> None:
    kept = Kept()
    async with pair(tracing=kept.tracing) as opened:
        await opened.client.chat(model="nope")
        for path in ("/health/live", "/health/ready", "/metrics"):
            await opened.client.get(path)
        await opened.client.call("/" + "x" * 999, method="BREW").end()
    refused, unknown = kept.requests()
    assert said(refused)["error.type"] == "model_not_found"
    assert said(refused)["http.response.status_code"] == 404
    assert "gen_ai.request.model" not in said(refused)
    assert refused.status.status_code is StatusCode.UNSET
    assert unknown.name == "HTTP"
    assert said(unknown)["http.request.method"] == "_OTHER"
    assert len(said(unknown)["url.path"]) < 300
    assert not kept.legs()


async def test_spans_go_to_a_collector_at_the_latest_when_the_gateway_ends() -> None:
    with collector() as opened:
        tracing = open_tracing(opened.url)
        async with pair(tracing=tracing) as served:
            async with served.app.router.lifespan_context(served.app):
                await served.client.chat()
            spans = list(opened.spans)
    (request,) = [span for span in spans if not span["parent"]]
    assert request["name"] == "POST /v1/chat/completions"
    legs = [span for span in spans if span["parent"] == request["id"]]
    assert len(legs) == len(spans) - 1 > 5
    assert {span["trace"] for span in spans} == {request["trace"]}
    total = request["gen_ai.usage.output_tokens"]
    assert sum(leg["gen_ai.usage.output_tokens"] for leg in legs) == total
    assert opened.resources[0]["service.name"] == "relaygen"


async def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    with collector() as opened:
        opened.answers.clear()
        tracing = open_tracing(opened.url)
        async with pair(tracing=tracing) as served:
            assert (await served.client.chat()).status == 200
            async with asyncio.timeout(5):  # an exporter waits for 10 s, and tries again
                await tracing.aclose(0.1)


def test_names_in_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "relay-eu")
    exporter = InMemorySpanExporter()
    tracing = Tracing(SimpleSpanProcessor(exporter))
    assert tracing._provider.resource.attributes["service.name"] == "relay-eu"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "relaygen.gateway.tracing.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(MissingExtraError, match=r"otel_endpoint .* 'relaygen\[otel\]'"):
        open_tracing("http://127.0.0.1:4318")


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, relaygen.cli.serve, relaygen.gateway.assembly, relaygen.gateway.tracing\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == "[]"
