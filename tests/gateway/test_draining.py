"""The end of a gateway: nobody new, and nobody cut off before the deadline."""

from __future__ import annotations

import asyncio

from relaygen.engines.simulated import Fault
from relaygen.gateway import drain
from tests.gateway.asgi import chat_body
from tests.gateway.pairs import ANSWER, LARGE, pair


async def test_a_running_stream_ends_and_new_work_is_refused() -> None:
    async with pair() as opened:
        running = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        pieces = running.pieces()
        await anext(pieces)
        draining = asyncio.ensure_future(drain(opened.app, 60))
        await asyncio.sleep(0)
        ready = await opened.client.get("/health/ready")
        assert (ready.status, ready.json["reason"]) == (503, "draining")
        assert ready.headers["retry-after"] == "5"
        assert (await opened.client.get("/health/live")).status == 200
        for refused in (await opened.client.chat(), await opened.client.complete(stream=True)):
            assert (refused.status, refused.error["code"]) == (503, "shutting_down")
            assert refused.headers["retry-after"] == "5"
        reply = await running.end()
        assert await draining == 0
    assert reply.events[-1] == "[DONE]"
    content = [e["choices"][0]["delta"].get("content", "") for e in reply.events[:-1]]
    assert "".join(content) == ANSWER


async def test_after_the_deadline_a_stream_gets_an_error_and_a_whole_reply_a_status() -> None:
    async with pair(faults={LARGE: Fault(kind="stall", after=3)}) as opened:
        stream = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        await anext(stream.pieces())
        whole = opened.client.call("/v1/chat/completions", chat_body())
        while opened.engines[LARGE].counters.active_legs < 2:
            await asyncio.sleep(0)
        assert await drain(opened.app, 0) == 2
        streamed, refused = await stream.end(), await whole.end()
        await opened.idle()
    assert streamed.events[-1]["error"]["code"] == "shutting_down"
    assert (refused.status, refused.error["code"]) == (503, "shutting_down")


async def test_an_idle_gateway_is_drained_at_once() -> None:
    async with pair() as opened:
        assert await drain(opened.app) == 0
