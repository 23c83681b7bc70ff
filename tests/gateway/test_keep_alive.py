"""A stream with nothing to say says that it lives, for the proxies between it and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from relaygen.engines.simulated import Fault, Latency, SimulatedEngine
from relaygen.gateway.keep_alive import COMMENT, KeepAlive
from relaygen.gateway.outbox import Outbox
from relaygen.settings import ServerSettings
from relaygen.types import ModelRole
from tests.engines.pool.virtual import now, run
from tests.gateway.asgi import chat_body
from tests.gateway.pairs import LARGE, pair

TEXT = "So.</think>It is seven."


async def pieces(
    latency: Latency,
    *,
    every_s: float = 15.0,
    faults: Mapping[ModelRole, Mapping[int, Fault] | Fault] | None = None,
    **fields: Any,
) -> list[tuple[float, bytes]]:
    """What a client gets, and when."""
    found: list[tuple[float, bytes]] = []
    async with pair(
        TEXT,
        engine=partial(SimulatedEngine, latency=latency),
        settings=ServerSettings(keepalive_s=every_s),
        faults=faults,
    ) as opened:
        call = opened.client.call(
            "/v1/chat/completions", chat_body(stream=True, model="pair:large", **fields)
        )
        queue = call._pieces
        while (piece := await queue.get()) is not None:
            found.append((now(), piece))
        await call.task
        assert call.response.status == 200
    return found


def test_an_idle_stream_gets_a_comment_every_few_seconds() -> None:
    found = run(pieces(Latency(decode_ms=40_000)))
    comments = [at for at, piece in found if piece == COMMENT]
    texts = [at for at, piece in found if piece != COMMENT and b'finish_reason":null' in piece]
    assert COMMENT == b": keep-alive\n\n"
    assert comments[:3] == pytest.approx([15, 30, texts[0] + 15])
    gaps = [b - a for (a, _), (b, _) in pairwise(found)]
    assert max(gaps) <= 15.001
    events = b"".join(piece for _, piece in found if piece != COMMENT)
    quick = run(pieces(Latency(decode_ms=1)))
    assert len(events) == pytest.approx(len(b"".join(piece for _, piece in quick)), abs=200)


@pytest.mark.parametrize(("decode_ms", "every_s"), [(6_000, 15.0), (40_000, 0.0), (20_000, 50.0)])
def test_a_stream_that_is_not_idle_gets_none(decode_ms: float, every_s: float) -> None:
    found = run(pieces(Latency(decode_ms=decode_ms), every_s=every_s))
    assert COMMENT not in [piece for _, piece in found]


def test_a_failure_after_a_comment_is_an_event() -> None:
    broken = {LARGE: Fault(kind="fail", after=1, retryable=False)}
    found = run(pieces(Latency(decode_ms=40_000), faults=broken))
    assert found[0][1] == COMMENT
    assert b'"error"' in found[-2][1]
    assert found[-1][1] == b""


def test_a_client_that_is_slow_is_sent_no_comments() -> None:
    async def scene() -> bytes:
        outbox = Outbox(1)
        outbox.put(b"data: 1\n\n")
        with KeepAlive(outbox, 5.0):
            await asyncio.sleep(60)
        return await outbox.take()

    assert run(scene()) == b"data: 1\n\n"
