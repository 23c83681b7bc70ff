"""``python -m benchmarks.replay_server``: recites one story to thousands of clients, cheaply.

A stand-in for a model server where its own cost must not count: the events of the story are made
once, and a token costs a timer and a write. It speaks enough of vLLM's ``/v1/completions`` for the
gateway (the place in the story is read off the prompt) and enough of ``/v1/chat/completions`` for
whatever passes chats on. Each stream has a rhythm of its own: tokens come at multiples of the given
time after its request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from benchmarks.scripted_trace import tokenizer
from relaygen.tokens import Tokenizer

MARKER = "<think>\n"
_DONE = b"data: [DONE]\n\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_MANY = 2**30


class Recital:
    """The story as events."""

    def __init__(self, script: Sequence[int], read: Tokenizer, interval_s: float) -> None:
        self.interval_s = interval_s
        self.tokenizer = read
        self.marker = read.encode(MARKER, parse_special=True)
        self._eos = min(read.eos_ids)
        texts = [read.token_bytes(i).decode() for i in script]
        self._completion = [_completion(t, i) for t, i in zip(texts, script, strict=True)]
        self._chat = [_chat({"content": text}, None) for text in texts]

    def completion(self, prompt: Sequence[int], most: int, ends: Sequence[int]) -> list[bytes]:
        """A leg that goes on with this prompt."""
        place = len(prompt) - self._after_marker(prompt)
        left = self._completion[place : place + most]
        if len(left) < most and self._eos in ends:
            return [*left, _completion("", self._eos, "stop", self._eos)]
        return [*left[:-1], _completion_end(left[-1])]

    def chat(self, most: int) -> list[bytes]:
        """The story from its beginning."""
        role = _chat({"role": "assistant", "content": ""}, None)
        first, *rest = self._chat[:most]
        return [role + first, *rest[:-1], rest[-1] + _chat({}, "length")]

    def _after_marker(self, prompt: Sequence[int]) -> int:
        size = len(self.marker)
        for start in range(len(prompt) - size, -1, -1):
            if list(prompt[start : start + size]) == self.marker:
                return start + size
        raise ValueError("the prompt does not hold the marker")


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _completion(
    text: str, token_id: int, reason: str | None = None, stop: int | None = None
) -> bytes:
    choice = {
        "index": 0,
        "text": text,
        "logprobs": None,
        "finish_reason": reason,
        "stop_reason": stop,
        "prompt_token_ids": None,
        "token_ids": [token_id],
    }
    head = {"id": "cmpl-0f2c3e4d5a4b6c8d", "object": "text_completion", "created": 1764000000}
    return _event({**head, "model": "replayed", "choices": [choice]})


def _completion_end(event: bytes) -> bytes:
    return event.replace(b'"finish_reason":null', b'"finish_reason":"length"')


def _chat(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    head = {"id": "chatcmpl-0f2c3e4d5a4b", "object": "chat.completion.chunk", "created": 1764000000}
    return _event({**head, "model": "replayed", "choices": [choice]})


class Connection(asyncio.Protocol):
    """One client; one request after another."""

    def __init__(self, recital: Recital) -> None:
        self._recital = recital
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._body = b""
        self._events: list[bytes] = []
        self._sent = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self._path, self._body = url.decode(), b""

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """See httptools."""
        answer = _ANSWERS.get(self._path, Connection._missing)
        answer(self, json.loads(self._body) if self._body else {})

    def _completions(self, body: dict[str, Any]) -> None:
        ends = body.get("stop_token_ids", ())
        prompt = body["prompt"]
        self._stream(self._recital.completion(prompt, body.get("max_tokens", 16), ends))

    def _chats(self, body: dict[str, Any]) -> None:
        self._stream(self._recital.chat(body.get("max_tokens") or _MANY))

    def _models(self, body: dict[str, Any]) -> None:
        model = {"id": "replayed", "object": "model", "owned_by": "vllm", "max_model_len": 32768}
        self._whole({"object": "list", "data": [model]})

    def _tokenize(self, body: dict[str, Any]) -> None:
        self._whole({"tokens": self._recital.tokenizer.encode(body["prompt"], parse_special=True)})

    def _health(self, body: dict[str, Any]) -> None:
        self._whole({})

    def _missing(self, body: dict[str, Any]) -> None:
        self._whole({"error": {"message": self._path}}, b"404 Not Found")

    def _whole(self, value: dict[str, Any], status: bytes = b"200 OK") -> None:
        data = json.dumps(value).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, len(data)) + data)

    def _stream(self, events: list[bytes]) -> None:
        self._events, self._sent = events, 0
        self._transport.write(_STREAM_HEAD)
        self._due = self._loop.time()
        self._next()

    def _next(self) -> None:
        self._due += self._recital.interval_s
        self._timer = self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        event = self._events[self._sent]
        self._sent += 1
        over = self._sent == len(self._events)
        if over:
            event += _DONE
        end = b"\r\n0\r\n\r\n" if over else b"\r\n"
        self._transport.write(b"%x\r\n%b%b" % (len(event), event, end))
        if not over:
            self._next()


_ANSWERS: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
    "/v1/completions": Connection._completions,
    "/v1/chat/completions": Connection._chats,
    "/v1/models": Connection._models,
    "/tokenize": Connection._tokenize,
    "/health": Connection._health,
}


async def _serve(port: int, recital: Recital) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(recital), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--script", type=Path, required=True, help="token ids, as a JSON list")
    parser.add_argument("--decode-ms", type=float, default=0.0)
    options = parser.parse_args()
    script = json.loads(options.script.read_text(encoding="utf-8"))
    recital = Recital(script, tokenizer(), options.decode_ms / 1e3)
    try:
        uvloop.run(_serve(options.port, recital))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
