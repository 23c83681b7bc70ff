"""A client of an ASGI application in this process: it sees every piece as it is sent, and may leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

GUARD_S = 20.0
"""No test is meant to take as long; it only keeps a hang from holding up the others."""


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, which has nothing beside it."""
        assert self.json.keys() == {"error"}
        error: dict[str, Any] = self.json["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    @property
    def events(self) -> list[Any]:
        """What the events of a stream hold; the last is the text ``[DONE]`` if it ended well."""
        assert self.headers["content-type"].startswith("text/event-stream")
        *events, rest = self.body.decode().split("\n\n")
        assert rest == ""
        data = [event.removeprefix("data: ") for event in events]
        return [entry if entry == "[DONE]" else json.loads(entry) for entry in data]


class Call:
    """A request that is being answered."""

    def __init__(
        self, app: Any, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> None:
        self.response = Response()
        self.breaks_after: int | None = None
        """Pieces after which sending fails, as it may where a client has left."""
        self._sent = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = asyncio.Event()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "server": ("gateway", 80),
            "client": ("client", 1),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._sent:
            return self._sent.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.response.status = message["status"]
            self.response.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        if self.breaks_after is not None:
            self.breaks_after -= 1
            if self.breaks_after < 0:
                raise BrokenPipeError
        self.response.body += message["body"]
        self._pieces.put_nowait(message["body"])
        if not message.get("more_body"):
            self._pieces.put_nowait(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Each piece when it is sent."""
        async with asyncio.timeout(GUARD_S):
            while (piece := await self._pieces.get()) is not None:
                yield piece

    def leave(self) -> None:
        """Closes the connection."""
        self._left.set()

    async def end(self) -> Response:
        """The whole response."""
        async with asyncio.timeout(GUARD_S):
            await self.task
        return self.response


class Client:
    """Sends JSON."""

    def __init__(self, app: Any, **headers: str) -> None:
        self.app = app
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def call(self, path: str, body: Any = None, method: str = "", **headers: str) -> Call:
        """Begins a request; `body` is sent as JSON, or as it is where it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        method = method or ("GET" if body is None else "POST")
        kind = {} if body is None else {"content-type": "application/json"}
        return Call(self.app, method, path, data, {**kind, **self._headers, **named})

    async def get(self, path: str, **headers: str) -> Response:
        return await self.call(path, **headers).end()

    async def post(self, path: str, body: Any, **headers: str) -> Response:
        return await self.call(path, body, **headers).end()

    async def chat(self, content: str = "How many?", **fields: Any) -> Response:
        """``/v1/chat/completions`` with one user's message, unless `fields` has other ones."""
        return await self.post("/v1/chat/completions", chat_body(content, **fields))

    async def complete(self, prompt: Any = "How many?", **fields: Any) -> Response:
        """``/v1/completions``."""
        return await self.post("/v1/completions", {"model": "pair", "prompt": prompt, **fields})


def chat_body(content: str = "How many?", **fields: Any) -> dict[str, Any]:
    return {"model": "pair", "messages": [{"role": "user", "content": content}], **fields}
