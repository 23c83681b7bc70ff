"""A listening gateway is told to stop, once and again."""

from __future__ import annotations

import asyncio
import json
import signal

import aiohttp
import pytest

from relaygen.engines.simulated import Fault
from relaygen.gateway.listening import bind, listen
from tests.gateway.asgi import GUARD_S, chat_body
from tests.gateway.pairs import LARGE, pair


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_second_signal_cuts_off_what_runs_and_says_that_the_gateway_ends(
    streamed: bool,
) -> None:
    said: list[str] = []
    listener = bind("127.0.0.1", 0)
    with listener:
        async with pair(faults={LARGE: Fault(kind="stall", after=3)}) as opened:
            server = listen(opened.app, listener, told=said.append)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"
            async with asyncio.timeout(GUARD_S), aiohttp.ClientSession() as session:
                while not server.started:
                    await asyncio.sleep(0)
                asking = asyncio.ensure_future(session.post(url, json=chat_body(stream=streamed)))
                while not opened.engines[LARGE].counters.active_legs:
                    await asyncio.sleep(0)
                if streamed:
                    await asyncio.wait((asking,))  # the first text has come
                server.handle_exit(signal.SIGTERM, None)
                while not said:
                    await asyncio.sleep(0)
                server.handle_exit(signal.SIGTERM, None)
                async with await asking as reply:
                    body = await reply.text()
                await serving
    last = body.strip().split("\n\n")[-1].removeprefix("data: ")
    assert json.loads(last)["error"]["code"] == "shutting_down"
    assert reply.status == (200 if streamed else 503)
    assert said == [
        "stopping: waiting for 1 generations; again to cut them off",
        "1 requests were cut off",
    ]
