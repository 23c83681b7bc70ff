"""What a server may send instead of what it should. None of it may pass, hang, or crash."""

from __future__ import annotations

from typing import Any

import pytest

from relaygen.engines.base import EngineOutput
from relaygen.engines.openai_http import OpenAIHTTPEngine
from relaygen.errors import (
    ContextLengthError,
    EngineAccessError,
    EngineError,
    EngineProtocolError,
    EngineSetupError,
    EngineUnavailableError,
    InvalidRequestError,
    ServerBusyError,
)
from tests.engines.openai_http.raw_server import (
    END,
    HEAD,
    Answer,
    chunk,
    raw_server,
    status,
    stream,
)
from tests.engines.openai_http.talking import DONE, LAST, TWO, leg, opened, read


async def failure(*answers: Answer, **options: Any) -> tuple[Exception, list[int]]:
    """The error of a leg, and the tokens that came before it."""
    async with opened(*answers, **options) as (engine, _):
        outputs: list[EngineOutput] = []
        with pytest.raises((EngineError, InvalidRequestError)) as raised:
            await read(engine, leg(), outputs)
        return raised.value, [t for output in outputs for t in output.token_ids]


async def test_a_good_server_for_comparison() -> None:
    async with opened(Answer(stream(TWO, LAST, DONE))) as (engine, server):
        assert await read(engine, leg()) == [5, 6, 7]
        assert await read(engine, leg()) == [5, 6, 7]
        assert server.connections == 1


async def test_nobody_listens() -> None:
    async with raw_server(Answer(b"")) as server:
        url = server.url
    engine = OpenAIHTTPEngine(url, dialect="vllm", context_tokens=64, vocab_size=100)
    told = r"cannot be reached.*is the server running"
    with pytest.raises(EngineUnavailableError, match=told) as raised:
        await read(engine, leg())
    assert "ssl" not in str(raised.value)
    await engine.aclose()


BROKEN = {
    "closed in the stream": Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "close"),
    "reset in the stream": Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "reset"),
    "half closed": Answer(HEAD + chunk(b"data: " + TWO + b"\n\n"), "half_close"),
    "closed inside an event": Answer(HEAD + chunk(b"data: " + TWO + b"\n\ndata: {"), "close"),
    "ended without an end": Answer(stream(TWO)),
    "done without an end": Answer(stream(TWO, DONE)),
    "ended with half an event": Answer(HEAD + chunk(b"data: " + TWO + b"\n\ndata: {") + END),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_stream_that_breaks_off(what: str) -> None:
    error, tokens = await failure(BROKEN[what])
    assert isinstance(error, EngineError)
    assert error.retryable
    assert tokens == [5, 6]


GARBAGE = {
    "no JSON": b'{"choices": [{]}',
    "no UTF-8": b'{"choices": [{"token_ids": [1], "text": "\xff\xfe", "finish_reason": "\xff"}]}',
    "a number": b"17",
    "a list": b"[1, 2]",
    "choices that are none": b'{"choices": 7}',
    "ids that are text": b'{"choices": [{"token_ids": ["7"]}]}',
    "ids that are fractions": b'{"choices": [{"token_ids": [7.5]}]}',
    "a huge id": b'{"choices": [{"token_ids": [100000000000000000000000000]}]}',
    "an id outside the vocabulary": b'{"choices": [{"token_ids": [100]}]}',
    "a negative id": b'{"choices": [{"token_ids": [-1]}]}',
    "more tokens than asked for": b'{"choices": [{"token_ids": [1, 2]}]}',
    "an unknown end": b'{"choices": [{"token_ids": [1], "finish_reason": "tired"}]}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_in_the_stream(what: str) -> None:
    error, tokens = await failure(Answer(stream(TWO, GARBAGE[what], LAST, DONE)))
    assert isinstance(error, EngineProtocolError)
    assert error.retryable
    assert tokens == [5, 6]


async def test_no_token_ids_says_which_server_has_them() -> None:
    error, _ = await failure(Answer(stream(b'{"choices": [{"text": "a"}]}')))
    assert isinstance(error, EngineSetupError)
    assert not error.retryable
    assert "text dialect" in str(error)


async def test_no_http_at_all() -> None:
    error, _ = await failure(Answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "close"))
    assert isinstance(error, EngineProtocolError)
    assert error.retryable


async def test_a_line_that_never_ends() -> None:
    error, _ = await failure(
        Answer(HEAD + chunk(b"data: " + b"x" * 200_000), "hold"), max_event_bytes=100_000
    )
    assert isinstance(error, EngineProtocolError)
    assert error.retryable


async def test_comments_and_events_that_say_nothing_are_passed_over() -> None:
    noise = HEAD + chunk(b": ping\n\n") + chunk(b"event: x\ndata: {}\n\n")
    body = noise + stream(TWO, b'{"choices":[]}', LAST, DONE).removeprefix(HEAD)
    async with opened(Answer(body)) as (engine, _):
        assert await read(engine, leg()) == [5, 6, 7]


async def test_a_stream_byte_by_byte() -> None:
    body = b"".join(b"data: " + event + b"\r\n\r\n" for event in (TWO, LAST, DONE))
    pieces = b"".join(chunk(body[i : i + 1]) for i in range(len(body)))
    async with opened(Answer(HEAD + pieces + END)) as (engine, _):
        assert await read(engine, leg()) == [5, 6, 7]


STATUSES: dict[str, tuple[int, bytes, type[Exception], bool | None]] = {
    "bad field": (
        400,
        b'{"error":{"message":"bad top_p","param":"top_p"}}',
        InvalidRequestError,
        None,
    ),
    "vLLM's context": (
        400,
        b'{"error":{"message":"This model\'s maximum context length is 64 tokens."}}',
        ContextLengthError,
        None,
    ),
    "llama-server's context": (
        400,
        b'{"error":{"message":"too many","type":"exceed_context_size_error"}}',
        ContextLengthError,
        None,
    ),
    "SGLang's context": (
        400,
        b'{"error":{"message":"The input (9 tokens) is longer than the model\'s context length"}}',
        ContextLengthError,
        None,
    ),
    "validation": (422, b'{"detail":"no"}', InvalidRequestError, None),
    "key": (401, b"{}", EngineAccessError, False),
    "filter": (403, b"{}", EngineError, False),
    "latin-1": (500, b'"\xe9"', EngineError, True),
    "deep": (500, b"[" * 60_000, EngineError, True),
    "path": (404, b"<html>", EngineSetupError, False),
    "vLLM's model": (
        404,
        b'{"error":{"message":"The model `x` does not exist.","type":"NotFoundError"}}',
        EngineSetupError,
        False,
    ),
    "method": (405, b"", EngineSetupError, False),
    "not implemented": (501, b"", EngineError, True),
    "busy": (429, b"", ServerBusyError, True),
    "draining": (503, b'"later"', ServerBusyError, True),
    "broken": (500, b'{"error":"oh"}', EngineError, True),
    "gateway": (502, b"\xff\xfe", EngineError, True),
    "redirect": (302, b"", EngineProtocolError, True),
    "empty": (204, b"", EngineProtocolError, True),
}


@pytest.mark.parametrize("what", STATUSES)
async def test_a_status_is_an_error_of_our_tree(what: str) -> None:
    code, body, kind, retryable = STATUSES[what]
    error, _ = await failure(Answer(status(code, body if code != 204 else b"")))
    assert isinstance(error, kind)
    assert str(code) in str(error)
    if retryable is not None:
        assert isinstance(error, EngineError)
        assert error.retryable is retryable


async def test_a_refused_field_is_named() -> None:
    error, _ = await failure(Answer(status(*STATUSES["bad field"][:2])))
    assert isinstance(error, InvalidRequestError)
    assert error.param == "top_p"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"7", 7.0),
        (b"soon", None),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (None, None),
        (b"Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
    ],
)
async def test_a_busy_server_says_when_to_come_back(
    header: bytes | None, seconds: float | None
) -> None:
    headers = b"" if header is None else b"Retry-After: " + header + b"\r\n"
    error, _ = await failure(Answer(status(503, b"", headers)))
    assert isinstance(error, ServerBusyError)
    assert error.retry_after_s == seconds


async def test_a_stop_string_that_nobody_gave_ends_no_leg() -> None:
    stopped = b'{"choices":[{"index":0,"text":"","token_ids":[],"finish_reason":"stop","stop_reason":"x"}]}'
    error, tokens = await failure(Answer(stream(TWO, stopped, DONE)))
    assert isinstance(error, EngineProtocolError)
    assert error.retryable
    assert tokens == [5, 6]


async def test_an_error_inside_the_stream() -> None:
    error, tokens = await failure(
        Answer(stream(TWO, b'{"error":{"message":"out of memory"}}', DONE))
    )
    assert isinstance(error, EngineError)
    assert error.retryable
    assert "out of memory" in str(error)
    assert tokens == [5, 6]


async def test_an_endless_error_page_is_not_read_to_its_end() -> None:
    page = b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000
    error, _ = await failure(Answer(page, "hold"))
    assert isinstance(error, EngineError)
    assert error.retryable


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    error, _ = await failure(Answer(bomb))
    assert isinstance(error, EngineProtocolError)


async def test_scores_of_other_tokens_are_refused() -> None:
    answer = b'{"choices":[{"token_ids":[9],"prompt_logprobs":[null]}]}'
    async with opened(Answer(status(200, answer))) as (engine, _):
        with pytest.raises(EngineProtocolError, match="other tokens"):
            await engine.score((1, 2, 3), 1)


async def test_a_body_without_an_end_is_bounded() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 300_000
    async with opened(Answer(body, "hold"), max_body_bytes=100_000) as (engine, _):
        with pytest.raises(EngineProtocolError, match="100,000 bytes"):
            await engine.score((1, 2, 3), 1)
