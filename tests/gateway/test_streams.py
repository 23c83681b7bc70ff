"""Server-sent events: their order, that no text and no token is lost, errors, and clients that leave."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from relaygen.engines.simulated import Fault
from relaygen.gateway.outbox import Outbox
from tests.gateway.asgi import chat_body
from tests.gateway.pairs import ANSWER, LARGE, REASONING, SMALL, TEXT, pair, tokenizer


def joined(events: list[Any], name: str, index: int = 0) -> str:
    choices = [c for e in events if e != "[DONE]" for c in e["choices"] if c["index"] == index]
    return "".join(choice["delta"].get(name) or "" for choice in choices)


async def test_a_stream_says_what_the_whole_reply_says() -> None:
    async with pair() as opened:
        whole = (await opened.client.chat(seed=1)).json
        events = (
            await opened.client.chat(seed=1, stream=True, stream_options={"include_usage": True})
        ).events
    message = whole["choices"][0]["message"]
    for name in ("content", "reasoning", "reasoning_content"):
        assert joined(events, name) == message[name]
    *chunks, finish, usage, done = events
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in [*chunks, finish])
    assert finish["choices"][0]["delta"] == {}
    assert finish["choices"][0]["finish_reason"] == "stop"
    ours, theirs = finish["choices"][0]["relaygen"], whole["choices"][0]["relaygen"]
    assert ours | {"id": ""} == theirs | {"id": ""}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in [*chunks, finish, usage]}) == 1
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)


async def test_usage_is_sent_only_where_it_is_asked_for() -> None:
    async with pair() as opened:
        events = (await opened.client.chat(stream=True)).events
    assert all("usage" not in event for event in events[:-1])
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_choices_run_at_once() -> None:
    async with pair() as opened:
        events = (await opened.client.chat(n=3, stream=True, seed=1)).events
    indices = [event["choices"][0]["index"] for event in events[:-1]]
    assert sorted(set(indices[:6])) == [0, 1, 2]
    assert sum(a != b for a, b in itertools.pairwise(indices)) > len(indices) // 3
    for index in range(3):
        assert joined(events, "content", index) == ANSWER
        assert joined(events, "reasoning", index) == REASONING


@pytest.mark.parametrize("inline", [False, True])
async def test_token_ids_of_the_chunks_are_the_machines(inline: bool) -> None:
    async with pair(inline=inline) as opened:
        events = (await opened.client.chat(stream=True, return_token_ids=True)).events
    assert len(events[0]["prompt_token_ids"]) == 20
    ids = [i for e in events[:-1] for i in e["choices"][0].get("token_ids", [])]
    assert tokenizer().decode(ids[:-1]) == TEXT
    assert ids[-1] in tokenizer().eos_ids


async def test_log_probabilities_come_with_their_content() -> None:
    async with pair() as opened:
        events = (await opened.client.chat(stream=True, logprobs=True, top_logprobs=1)).events
    for event in events[1:-2]:
        choice = event["choices"][0]
        content = choice["delta"].get("content")
        if content is None:
            assert choice["logprobs"] is None
        else:
            entries = choice["logprobs"]["content"]
            assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == content


async def test_a_trace_says_who_wrote_a_chunk() -> None:
    async with pair() as opened:
        events = (await opened.client.chat(stream=True, relaygen={"trace": True})).events
    told = [event["choices"][0]["relaygen"] for event in events[1:-2]]
    assert {entry["role"] for entry in told} == {"large", "small"}
    assert [entry["segment"] for entry in told] == sorted(entry["segment"] for entry in told)
    assert len(events[-2]["choices"][0]["relaygen"]["trace"]["segments"]) == told[-1]["segment"] + 1


async def test_a_failure_after_the_first_text_is_an_event_and_the_end() -> None:
    broken = {LARGE: Fault(kind="fail", after=6, retryable=False)}
    async with pair(faults=broken) as opened:
        reply = await opened.client.chat(stream=True)
    assert reply.status == 200
    *chunks, last = reply.events
    assert joined(chunks, "reasoning")
    assert last["error"]["type"] == "server_error"
    assert last["error"]["code"] == "engine_error"
    assert "failed after 6 tokens" in last["error"]["message"]


async def test_one_failed_choice_ends_the_whole_stream() -> None:
    broken = {LARGE: {1: Fault(kind="fail", after=3, retryable=False)}}
    async with pair(faults=broken) as opened:
        reply = await opened.client.chat(stream=True, n=2)
        assert "error" in reply.events[-1]
        reply = await opened.client.chat(n=2, model="pair:small")
        assert reply.status == 200


@pytest.mark.parametrize("inline", [False, True])
async def test_a_client_that_leaves_a_stream_stops_both_engines(inline: bool) -> None:
    stalled = {SMALL: Fault(kind="stall", after=2)}
    async with pair(inline=inline, faults=stalled) as opened:
        call = opened.client.call("/v1/chat/completions", chat_body(stream=True, n=2))
        async for _ in call.pieces():
            if any(engine.counters.active_legs for engine in opened.engines.values()):
                break
        call.leave()
        reply = await call.end()
        await opened.idle()
        metrics = (await opened.client.get("/metrics")).body.decode()
    assert b"[DONE]" not in reply.body
    assert 'relaygen_generations_total{reason="cancelled"} 2.0' in metrics
    assert 'route="/v1/chat/completions",status="499"} 1.0' in metrics
    assert "relaygen_in_flight 0.0" in metrics


async def test_a_client_that_leaves_before_the_answer_stops_both_engines() -> None:
    async with pair(faults={LARGE: Fault(kind="stall", after=4)}) as opened:
        call = opened.client.call("/v1/chat/completions", chat_body())
        while not opened.engines[LARGE].counters.active_legs:
            await asyncio.sleep(0)
        call.leave()
        reply = await call.end()
        await opened.idle()
        metrics = (await opened.client.get("/metrics")).body.decode()
    assert reply.status == 0
    assert 'model="pair",route="/v1/chat/completions",status="499"} 1.0' in metrics


async def test_a_server_that_cannot_send_means_a_client_that_left() -> None:
    async with pair() as opened:
        call = opened.client.call("/v1/chat/completions", chat_body(stream=True))
        call.breaks_after = 3
        await call.end()
        await opened.idle()
        metrics = (await opened.client.get("/metrics")).body.decode()
    assert 'relaygen_generations_total{reason="cancelled"} 1.0' in metrics
    assert 'route="/v1/chat/completions",status="499"} 1.0' in metrics


async def test_the_outbox_sends_what_has_piled_up_in_one_piece() -> None:
    outbox = Outbox(writers=2, most_bytes=3)
    outbox.put(b"ab")
    assert not outbox.full
    outbox.put(b"cd")
    assert outbox.full
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.take() == b"abcd"
    await waiting
    outbox.close()
    outbox.put(b"e")
    outbox.fail(ValueError("broken"))
    assert await outbox.take() == b"e"
    with pytest.raises(ValueError, match="broken"):
        await outbox.take()
    done = Outbox(writers=1)
    done.close()
    assert await done.take() == b""
