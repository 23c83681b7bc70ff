"""API keys, and what their holders may use."""

from __future__ import annotations

from typing import Any

import pytest

from relaygen.engines.simulated import Fault
from relaygen.gateway import hash_key
from relaygen.gateway.allowance import TokenBucket, duration
from relaygen.gateway.keys import KeyRing
from relaygen.settings import KeySettings, ServerSettings
from tests.gateway.asgi import Client, Response, chat_body
from tests.gateway.pairs import LARGE, Clock, Pair, pair


def keyed(**limits: Any) -> tuple[KeySettings, ...]:
    return (
        KeySettings(name="ann", hash=hash_key("sk-ann"), **limits),
        KeySettings(name="bob", hash=hash_key("sk-bob")),
    )


def clients(opened: Pair) -> tuple[Client, Client]:
    return tuple(Client(opened.app, authorization=f"Bearer sk-{n}") for n in ("ann", "bob"))  # type: ignore[return-value]


async def test_without_keys_everybody_may_call() -> None:
    async with pair() as opened:
        assert (await opened.client.chat()).status == 200


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer sk-eve"}, {"authorization": "Basic sk-ann"}, {"authorization": "Bearer "}])  # fmt: skip
async def test_who_has_no_key_is_refused(header: dict[str, str]) -> None:
    async with pair(keys=keyed()) as opened:
        client = Client(opened.app, **header)
        for reply in (
            await client.chat(),
            await client.complete(),
            await client.get("/v1/models"),
            await client.get("/v1/models/pair"),
        ):
            assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
            assert reply.headers["www-authenticate"] == "Bearer"
        for path in ("/health/live", "/health/ready", "/metrics", "/version", "/openapi.json"):
            assert (await client.get(path)).status == 200


async def test_each_key_opens() -> None:
    async with pair(keys=keyed()) as opened:
        for client in clients(opened):
            assert (await client.get("/v1/models")).status == 200
            assert (await client.chat()).status == 200


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return a == b

    monkeypatch.setattr("relaygen.gateway.keys.hmac.compare_digest", compare)
    ring = KeyRing(keyed(), Clock())
    assert ring.find("Bearer sk-ann").name == "ann"
    assert len(compared) == 2


async def test_requests_a_minute() -> None:
    async with pair(keys=keyed(requests_per_minute=2)) as opened:
        ann, bob = clients(opened)
        assert [(await ann.chat()).status for _ in range(3)] == [200, 200, 429]
        reply = await ann.chat(stream=True)
        assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
        assert (reply.error["type"], reply.headers["retry-after"]) == ("requests", "30")
        assert (await bob.chat()).status == 200
        opened.clock.now += 30
        assert [(await ann.chat()).status for _ in range(2)] == [200, 429]


async def test_a_limited_key_is_told_what_is_left() -> None:
    limits = {"requests_per_minute": 2, "tokens_per_minute": 6000}
    async with pair(keys=keyed(**limits)) as opened:
        ann, bob = clients(opened)
        first = await ann.chat()
        second = await ann.chat(stream=True)
        third = await ann.chat()
        assert (second.status, third.status) == (200, 429)
        other = await bob.chat()
        opened.clock.now += 15
        later = await ann.chat()
        assert not any(name.startswith("x-ratelimit") for name in other.headers)

    def told(reply: Response, what: str) -> list[str]:
        kinds = ("limit", "remaining", "reset")
        return [reply.headers[f"x-ratelimit-{kind}-{what}"] for kind in kinds]

    assert told(first, "requests") == ["2", "1", "30s"]
    assert told(second, "requests") == told(third, "requests") == ["2", "0", "1m0s"]
    assert told(later, "requests") == ["2", "0", "45s"]  # half a request is none
    usage = first.json["usage"]
    # The prompt is paid before the first byte, what is written at the end.
    left = 6000 - usage["prompt_tokens"]
    assert told(first, "tokens") == ["6000", str(left), duration((6000 - left) / 100)]
    left -= usage["completion_tokens"] + usage["prompt_tokens"]
    assert told(second, "tokens")[1] == str(left)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0124, "13ms"), (1, "1s"), (59.2, "1m0s"), (150, "2m30s")],
)
def test_times_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_tokens_a_minute_are_paid_afterwards() -> None:
    async with pair(keys=keyed(tokens_per_minute=60)) as opened:
        ann, _ = clients(opened)
        used = (await ann.chat()).json["usage"]["total_tokens"]
        assert used > 60
        reply = await ann.chat()
        assert (reply.status, reply.error["type"]) == (429, "tokens")
        wait = int(reply.headers["retry-after"])
        assert wait == used - 60 + 1
        opened.clock.now += wait
        assert (await ann.chat()).status == 200


async def test_generations_at_once() -> None:
    stalled = {LARGE: {0: Fault(kind="stall", after=1)}}
    async with pair(keys=keyed(concurrency=2), faults=stalled) as opened:
        ann, bob = clients(opened)
        running = ann.call("/v1/chat/completions", chat_body(stream=True))
        await anext(running.pieces())
        assert (await ann.chat()).status == 200
        reply = await ann.chat(n=2)
        assert (reply.status, reply.error["type"]) == (429, "concurrency")
        assert reply.headers["retry-after"] == "1"
        assert (await bob.chat(n=2)).status == 200
        running.leave()
        await running.end()
        assert (await ann.chat(n=2)).status == 200


async def test_more_generations_than_the_gateway_runs() -> None:
    stalled = {LARGE: {0: Fault(kind="stall", after=1)}}
    settings = ServerSettings(max_streams=2, retry_after_s=9)
    async with pair(settings=settings, faults=stalled) as opened:
        running = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        await anext(running.pieces())
        reply = await opened.client.chat(n=2)
        assert (reply.status, reply.error["code"]) == (429, "overloaded")
        assert reply.headers["retry-after"] == "9"
        running.leave()
        await running.end()
        assert (await opened.client.chat(n=2)).status == 200


async def test_more_generations_than_there_will_ever_be_room_for_are_refused() -> None:
    async with pair(settings=ServerSettings(max_streams=2)) as opened:
        reply = await opened.client.chat(n=3)
        assert (reply.status, reply.error["param"]) == (400, "n")
        assert "retry-after" not in reply.headers
    async with pair(keys=keyed(concurrency=2)) as opened:
        ann, _ = clients(opened)
        reply = await ann.chat(n=3)
        assert (reply.status, reply.error["param"]) == (400, "n")
        assert "retry-after" not in reply.headers


def test_a_bucket_fills_to_its_size_and_no_further() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    bucket.take(100)
    assert bucket.wait_for(1) == 41
    clock.now += 41
    assert bucket.wait_for(1) == 0
    clock.now += 1000
    bucket.take(60)
    assert bucket.wait_for(1) == 1
    assert bucket.wait_for(10_000) == 60  # never more than a whole bucket
