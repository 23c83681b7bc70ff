"""Where the model servers are is for operators: no reply says it, and the log does."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from relaygen.engines.pool import ReplicaCounts, ReplicaState
from relaygen.engines.simulated.server import ServerFault, SimulatedServer, storyteller
from relaygen.gateway import create_app, served_pools
from relaygen.gateway.addresses import without_any, without_servers
from relaygen.gateway.assembly import open_service
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole
from tests.gateway.asgi import Client
from tests.gateway.test_assembly import TOKENIZER, settings


def replica(url: str) -> ReplicaCounts:
    return ReplicaCounts(
        name=url,
        state=ReplicaState.UP,
        in_flight=0,
        legs=0,
        failures={},
        ejections=0,
        checks=0,
        failed_checks=0,
        last_error="",
    )


REPLICAS = {
    ModelRole.LARGE: [replica("http://10.0.0.1:80"), replica("http://10.0.0.1:8000/api")],
    ModelRole.SMALL: [replica("https://me:secret@gpu-3")],
}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("http://10.0.0.1:80/v1/completions answered 400: no.", "the large model answered 400: no."),
        ("http://10.0.0.1:8000/api/v1/x answered 500", "the large model answered 500"),
        ("replica https://me:secret@gpu-3 ended.", "replica the small model ended."),
        ("no host gpu-3:443 ssl:default [who?]", "no host the small model ssl:default [who?]"),
        (
            "it cannot be reached (host 10.0.0.1:80 ssl:default [Multiple exceptions: [Errno 111] "
            "Connect call failed ('10.0.0.9', 80, 0, 0)]); is it running?",
            "it cannot be reached (host the large model ssl:default [Multiple exceptions: [Errno 111] "
            "Connect call failed]); is it running?",
        ),
        ("proxy at 10.1.2.3:99 said: see http://inside/x", "proxy at (an address) said: see (an address)"),
    ],
)  # fmt: skip
def test_an_address_becomes_the_name_of_its_model(message: str, shown: str) -> None:
    assert without_any(message, REPLICAS) == shown


def test_an_address_of_the_request_stays_in_what_is_said_of_it() -> None:
    told = (
        "messages[0].content holds https://example.org and 10.1.2.3, which http://10.0.0.1:80 minds"
    )
    assert without_servers(told, REPLICAS) == told.replace("http://10.0.0.1:80", "the large model")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ServerFault(kind="status", status=400), 400),
        (ServerFault(kind="status", status=404), 502),
        (ServerFault(kind="status", status=500), 502),
        (None, 503),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_no_reply_says_where_a_server_is(
    fault: ServerFault | None,
    status: int,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(served_pools._GONE, ModelRole.LARGE, {"begin_gone_s": 0.2})
    own = Tokenizer.load(TOKENIZER)
    replies: list[Any] = []
    async with (
        SimulatedServer(storyteller("vllm", tokenizer=own, faults=fault)) as large,
        SimulatedServer(storyteller("vllm", tokenizer=own)) as small,
        open_service(settings(large.url, small.url)) as service,
    ):
        if fault is None:
            await large.aclose()
        client = Client(create_app(service))
        replies = [await client.chat(model="relay", stream=stream) for stream in (True, False)]
        ready = await client.get("/health/ready")
    assert replies[0].status == status
    for reply in replies:
        assert "the large model" in reply.error["message"]
        assert large.url.removeprefix("http://") not in reply.error["message"]
        assert "127.0.0.1" not in reply.error["message"]
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    requests = [line for line in told if line["event"] == "request"]
    assert all(large.url in line["detail"] for line in requests)
    assert status == 400 or large.url in str(ready.json)  # for operators


async def test_an_error_event_does_not_say_it_either() -> None:
    own = Tokenizer.load(TOKENIZER)
    later = dict.fromkeys(range(1, 50), ServerFault(kind="status", status=400))
    async with (
        SimulatedServer(storyteller("vllm", tokenizer=own, faults=later)) as large,
        SimulatedServer(storyteller("vllm", tokenizer=own)) as small,
        open_service(settings(large.url, small.url)) as service,
    ):
        reply = await Client(create_app(service)).chat(model="relay", stream=True)
    assert reply.events[-1]["error"]["message"].startswith("the large model answered 400")
    assert "127.0.0.1" not in reply.body.decode()
