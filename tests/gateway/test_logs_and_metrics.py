"""What an operator sees: a line a request, and figures that add up."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relaygen.engines.simulated import Fault
from relaygen.gateway import hash_key
from relaygen.gateway.intervals import Intervals
from relaygen.settings import KeySettings, ServerSettings
from tests.gateway.asgi import Client, chat_body
from tests.gateway.pairs import LARGE, SMALL, Pair, pair


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_one_line_without_what_was_said(lines: io.StringIO) -> None:
    keys = (KeySettings(name="ann", hash=hash_key("sk-ann")),)
    async with pair(keys=keys) as opened:
        client = Client(opened.app, authorization="Bearer sk-ann", x_request_id="r-1")
        reply = await client.chat("Secret question", stream=True)
        await client.get("/health/live")
        await client.get("/metrics")
    (line,) = told(lines)
    assert reply.status == 200
    assert line["event"] == "request"
    assert (line["request_id"], line["key"], line["model"]) == ("r-1", "ann", "pair")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (line["stream"], line["finish_reasons"], line["handoffs"]) == (True, ["stop"], 3)
    assert line["completion_tokens"] > 100
    assert line["duration_ms"] == line["first_text_ms"] == 0.0  # the clock stands still
    assert "Secret" not in lines.getvalue()
    assert "sk-ann" not in lines.getvalue()


async def test_prompts_are_logged_only_where_that_is_asked_for(lines: io.StringIO) -> None:
    async with pair(settings=ServerSettings(log_prompts=True)) as opened:
        await opened.client.chat("Secret question")
    assert told(lines)[0]["messages"][0]["content"] == "Secret question"


async def test_failures_are_told_by_their_code_and_bugs_with_their_place(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(faults={LARGE: {0: Fault(kind="fail", after=3, retryable=False)}}) as opened:
        await opened.client.chat(stream=True)
        await opened.client.chat(model="nope")
        monkeypatch.setattr(opened.relay, "prompt", lambda *_: 1 / 0)
        await opened.client.chat()
    broken, unknown, bug, failed = told(lines)
    assert (broken["status"], broken["error"]) == (200, "engine_error")
    assert (unknown["status"], unknown["error"]) == (404, "model_not_found")
    assert (failed["status"], failed["error"]) == (500, "internal_error")
    assert (bug["level"], bug["request_id"]) == ("error", failed["request_id"])
    assert "ZeroDivisionError" in bug["exception"]


async def test_a_client_that_leaves_in_mid_stream_is_no_success(lines: io.StringIO) -> None:
    async with pair(faults={SMALL: Fault(kind="stall", after=2)}) as opened:
        call = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        await anext(call.pieces())
        call.leave()
        assert (await call.end()).status == 200  # all that it saw
        found = await figures(opened)
    (line,) = told(lines)
    assert (line["status"], line["error"]) == (499, "client_gone")
    assert found["relaygen_requests_total", "pair", "499"] == 1
    assert ("relaygen_requests_total", "pair", "200") not in found


def test_what_a_pool_says_is_a_line_of_the_log_too(lines: io.StringIO) -> None:
    logging.getLogger("relaygen.pool").error("replica %s is left out", "a")
    (line,) = told(lines)
    assert (line["level"], line["event"]) == ("error", "replica a is left out")


async def figures(opened: Pair) -> dict[tuple[str, ...], float]:
    text = (await opened.client.get("/metrics")).body.decode()
    return {
        (sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "route")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_figures_are_those_of_the_replies() -> None:
    faults = {
        SMALL: {1: Fault(kind="fail", after=1, retryable=False)},
        LARGE: {0: Fault(kind="fail")},
    }
    async with pair(faults=faults, queue=lambda: 3.0) as opened:
        replies = [(await opened.client.chat()).json for _ in range(2)]
        await opened.client.chat(model="nope")
        found = await figures(opened)
    relays = [reply["choices"][0]["relaygen"] for reply in replies]
    assert found["relaygen_requests_total", "pair", "200"] == 2
    assert found["relaygen_requests_total", "", "404"] == 1
    for name, value in (
        ("large", sum(relay["tokens"]["large"] for relay in relays)),
        ("small", sum(relay["tokens"]["small"] for relay in relays)),
        ("overrun", sum(relay["tokens"]["overrun"] for relay in relays)),
        ("prompt", sum(reply["usage"]["prompt_tokens"] for reply in replies)),
    ):
        assert found["relaygen_tokens_total", name] == value
    assert found["relaygen_handoffs_total",] == sum(relay["handoffs"] for relay in relays)
    assert found["relaygen_failovers_total",] == 1
    assert found["relaygen_degraded_total",] == 1
    assert found["relaygen_generations_total", "stop"] == 2
    assert found["relaygen_time_to_first_text_seconds_count",] == 2
    assert found["relaygen_request_duration_seconds_count",] == 2
    assert found["relaygen_utilisation_count",] == 2
    assert found["relaygen_inter_token_seconds_count",] > 100
    assert (found["relaygen_in_flight",], found["relaygen_queue",]) == (0, 3)


def test_intervals_are_counted_in_their_bucket() -> None:
    intervals = Intervals("name", "text", (0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 2.0):
        intervals.add(seconds)
    (family,) = intervals.collect()
    counts = [s.value for s in family.samples if s.name == "name_bucket"]
    assert counts == [2, 3, 4]
    assert next(s.value for s in family.samples if s.name == "name_sum") == 2.65
