from __future__ import annotations

import asyncio

import pytest

from relaygen.engines.deadlines import LegDeadlineError, LegDeadlines
from relaygen.engines.openai_http import OpenAIHTTPEngine, request_headers
from relaygen.errors import EngineError, EngineUnavailableError
from tests.engines.openai_http.raw_server import HEAD, Answer, chunk, raw_server, stream
from tests.engines.openai_http.talking import DONE, LAST, TWO, leg, opened, read

GOOD = Answer(stream(TWO, LAST, DONE))


async def test_a_connection_is_used_again() -> None:
    async with opened(GOOD) as (engine, server):
        for _ in range(5):
            await read(engine, leg())
            await engine.settled()
        await engine.check_health()
        assert server.connections == 1


async def test_a_connection_that_never_comes_back_is_no_obstacle() -> None:
    """The body does not end with the leg."""
    async with opened(Answer(HEAD + chunk(b"data: " + LAST + b"\n\n"), "hold")) as (engine, server):
        assert await read(engine, leg(max_tokens=1)) == [7]
        waiting = asyncio.ensure_future(engine.settled())
        await asyncio.sleep(0)
        assert not waiting.done()
        await engine.aclose()
        await waiting
        await asyncio.wait_for(server.closed.wait(), 20)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_kept_connection_that_the_server_closed_is_no_failure(how: str) -> None:
    hang_up = Answer(b"", how)  # type: ignore[arg-type]
    async with opened(GOOD, hang_up, GOOD) as (engine, server):
        await read(engine, leg())
        await engine.settled()
        assert await read(engine, leg()) == [5, 6, 7]
        assert len(server.requests) == 3
        assert server.connections == 2


async def test_a_server_that_always_hangs_up_is_asked_twice() -> None:
    async with opened(Answer(b"", "close")) as (engine, server):
        with pytest.raises(EngineUnavailableError):
            await read(engine, leg())
        assert len(server.requests) == 2


async def test_headers_of_a_task_go_with_all_that_it_asks() -> None:
    hang_up = Answer(b"", "close")
    async with opened(GOOD, hang_up, GOOD) as (engine, server):
        token = request_headers.set({"traceparent": "00-of-this-task"})
        await read(engine, leg())
        await engine.settled()
        await asyncio.ensure_future(read(engine, leg()))  # again, on a fresh connection
        request_headers.reset(token)
        await read(engine, leg())
    assert ["traceparent: 00-of-this-task" in head for head in server.heads] == [True] * 3 + [False]


async def test_nothing_is_repeated_once_an_answer_has_begun() -> None:
    async with opened(Answer(b"HTTP/1.1 200 OK\r\nContent-", "close")) as (engine, server):
        with pytest.raises(EngineError):
            await read(engine, leg())
        assert len(server.requests) == 1


async def test_closing_the_iterator_closes_the_connection() -> None:
    async with opened(Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "hold")) as (engine, server):
        outputs = engine.generate(leg())
        await anext(outputs)
        await outputs.aclose()
        await asyncio.wait_for(server.closed.wait(), 20)


async def test_after_a_cancelled_leg_a_connection_is_open_before_it_is_needed() -> None:
    held = Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "hold")
    async with opened(held, GOOD) as (engine, server):
        outputs = engine.generate(leg())
        await anext(outputs)
        await outputs.aclose()
        await engine.settled()
        async with asyncio.timeout(20):
            while server.connections < 2:
                await asyncio.sleep(0)
        assert await read(engine, leg()) == [5, 6, 7]
        assert server.connections == 2


async def test_a_spare_connection_that_nobody_needs_is_closed() -> None:
    held = Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "hold")
    async with opened(held, GOOD, idle_s=0.05) as (engine, server):
        outputs = engine.generate(leg())
        await anext(outputs)
        await outputs.aclose()
        await engine.settled()
        async with asyncio.timeout(20):
            while server.connections < 2 or server.held:
                await asyncio.sleep(0.01)


async def test_no_spare_connection_is_opened_to_a_server_with_few_threads() -> None:
    held = Answer(HEAD + chunk(b'data: {"tokens":[5],"tokens_predicted":1}\n\n'), "hold")
    async with raw_server(held) as server:
        engine = OpenAIHTTPEngine(
            server.url, dialect="llama_server", context_tokens=64, vocab_size=100
        )
        outputs = engine.generate(leg())
        await anext(outputs)
        await outputs.aclose()
        await engine.settled()
        assert server.connections == 1
        await engine.aclose()


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + chunk(b"data: " + TWO + b"\n\n")])
async def test_cancelling_the_reader_closes_the_connection(sent: bytes) -> None:
    async with opened(Answer(sent, "hold")) as (engine, server):
        task = asyncio.ensure_future(read(engine, leg()))
        while not server.requests:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.wait_for(server.closed.wait(), 20)


DEADLINES = {
    "first_token_s": Answer(b"", "hold"),
    "between_tokens_s": Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "hold"),
    "leg_s": Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "hold"),
}


@pytest.mark.parametrize("name", DEADLINES)
async def test_an_overrun_names_its_deadline(name: str) -> None:
    async with opened(DEADLINES[name], deadlines=LegDeadlines(**{name: 0.05})) as (engine, server):
        with pytest.raises(LegDeadlineError, match=rf"within 0\.05 s \({name}\)") as raised:
            await read(engine, leg())
        assert raised.value.retryable
        assert raised.value.deadline == name
        await asyncio.wait_for(server.closed.wait(), 20)


async def test_a_first_token_that_does_not_follow_the_head() -> None:
    pings = chunk(b": ping\n\n") * 3
    deadlines = LegDeadlines(first_token_s=0.05)
    async with opened(Answer(HEAD + pings, "hold"), deadlines=deadlines) as (engine, _):
        with pytest.raises(LegDeadlineError, match="first_token_s"):
            await read(engine, leg())


async def test_a_slow_reader_is_no_fault_of_the_server() -> None:
    async with opened(GOOD, deadlines=LegDeadlines(between_tokens_s=0.05)) as (engine, _):
        outputs = engine.generate(leg())
        first = await anext(outputs)
        await asyncio.sleep(0.1)  # the reader's own time
        rest = [output async for output in outputs]
        assert [*first.token_ids, *(t for output in rest for t in output.token_ids)] == [5, 6, 7]


async def test_a_request_that_gets_no_answer() -> None:
    async with opened(Answer(b"", "hold"), request_s=0.05) as (engine, _):
        with pytest.raises(EngineError, match="request_s"):
            await engine.score((1, 2, 3), 1)
        await engine.prefill((1, 2, 3))  # a hint may come to nothing


async def test_closing_the_engine_ends_what_waits() -> None:
    async with opened(Answer(b"", "hold")) as (engine, server):
        tasks = [
            asyncio.ensure_future(read(engine, leg())),
            asyncio.ensure_future(engine.score((1, 2, 3), 1)),
            asyncio.ensure_future(engine.prefill((1, 2, 3))),
        ]
        while len(server.requests) < len(tasks):
            await asyncio.sleep(0)
        await engine.aclose()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, EngineUnavailableError)
