"""A server that answers with the bytes it is told to, whatever it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

After = Literal["keep", "close", "reset", "half_close", "hold"]


@dataclass(frozen=True)
class Answer:
    """What to send, and what to do then."""

    data: bytes
    after: After = "keep"


@dataclass
class RawServer:
    """Answers requests in turn, the last answer again and again; counts connections."""

    answers: list[Answer]
    url: str = ""
    connections: int = 0
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """A client closed its connection."""
    held: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.held.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed.set()
        except asyncio.CancelledError:
            return  # asyncio reports a cancelled connection as an error
        finally:
            self.held.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next(
            (
                int(line[15:])
                for line in head.splitlines()
                if line.lower().startswith("content-length")
            ),
            0,
        )
        body = await reader.readexactly(length)
        self.requests.append((head.split(" ")[1], body))
        place = min(len(self.requests), len(self.answers)) - 1
        answer = self.answers[place]
        writer.write(answer.data)
        match answer.after:
            case "keep":
                return True
            case "close":
                await writer.drain()
                return False
            case "reset":
                await writer.drain()
                writer.transport.abort()
                return False
            case "half_close":
                writer.write_eof()
        if await reader.read() == b"":
            self.closed.set()
        return False


@asynccontextmanager
async def raw_server(*answers: Answer) -> AsyncIterator[RawServer]:
    server = RawServer(list(answers))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in tuple(server.held):
            task.cancel()
        await asyncio.gather(*server.held, return_exceptions=True)


def chunk(data: bytes) -> bytes:
    """A chunk of a body whose length is not known beforehand."""
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def stream(*events: bytes, end: bytes = END) -> bytes:
    """A whole answer of these events."""
    return HEAD + b"".join(chunk(b"data: " + event + b"\n\n") for event in events) + end


def status(code: int, body: bytes = b"", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n%s" % (code, headers, len(body), body)
