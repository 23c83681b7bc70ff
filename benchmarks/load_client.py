"""``python -m benchmarks.load_client``: opens streams and notes when their events arrive.

A process of its own, on bare sockets, so that it costs little and the same whatever it measures. It
reads what to do as JSON from its input and prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from random import Random
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

_EVENT, _DONE, _END = b"data: ", b"data: [DONE]", b"0\r\n\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to do.

    Attributes:
        url: of the server.
        body: of each request to ``/v1/chat/completions``; ``{n}`` in it becomes a number.
        streams: connections, each with one request at a time.
        requests: one after another on each connection.
        ramp_s: the connections begin at random within so many seconds.
        timeout_s: for everything.
    """

    url: str
    body: str
    streams: int
    requests: int = 1
    ramp_s: float = 0.0
    timeout_s: float = 300.0


@dataclass(kw_only=True, slots=True)
class Seen:
    """What came of it; times in milliseconds.

    Attributes:
        first: from a request to its first event.
        gaps: between two events of a stream.
        whole: from a request to its end.
        events: in all.
        seconds: from the first request to the last end.
        errors: what went wrong, each kind with its number.
        open_at_once: the most streams between their first event and their end.
    """

    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    open_at_once: int = 0
    open_now: int = 0


class Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._tail = b""
        self._done = True
        self._first: float | None = None
        self._began = self._last = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._fail("the connection closed")

    async def ask(self, request: bytes) -> None:
        """One request, to its end."""
        self._ended = self._loop.create_future()
        self._tail, self._first, self._done = b"", None, False
        self._began = perf_counter()
        self._transport.write(request)
        await self._ended

    def close(self) -> None:
        """Ends it."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        now = perf_counter()  # uvloop's own clock counts milliseconds
        if self._first is None:
            data = self._tail + data
            if not data.startswith(b"HTTP/1.1 200"):
                self._fail(f"{data[:400]!r}")
                return
            if _EVENT not in data:
                self._tail = data
                return
        self._count(data, now)
        end = self._tail + data
        self._done = self._done or _DONE in end
        self._tail = end[-16:]
        if self._done and end.endswith(_END):
            self._end(now)

    def _count(self, data: bytes, now: float) -> None:
        seen, events = self._seen, data.count(_EVENT)
        seen.events += events
        if self._first is None:
            self._first = now
            seen.first.append((now - self._began) * 1e3)
            seen.open_now += 1
            seen.open_at_once = max(seen.open_at_once, seen.open_now)
        elif events:
            seen.gaps.append((now - self._last) * 1e3)
            seen.gaps += [0.0] * (events - 1)
        if events:
            self._last = now

    def _end(self, now: float) -> None:
        self._seen.open_now -= 1
        self._seen.whole.append((now - self._began) * 1e3)
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(ConnectionError(reason))


async def run(load: Load) -> Seen:
    """Does it."""
    seen, draw = Seen(), Random(load.streams)
    place = urlsplit(load.url)
    host, port = place.hostname or "", place.port or 80
    loop = asyncio.get_running_loop()
    first = perf_counter() + 0.2 + load.streams / 2000  # everybody is connected by then

    async def one(number: int, after_s: float) -> None:
        stream: Stream | None = None
        try:
            _, stream = await loop.create_connection(lambda: Stream(seen), host, port)
            await asyncio.sleep(max(0.0, first + after_s - perf_counter()))
            for repeat in range(load.requests):
                await stream.ask(_request(load, place.netloc, number * load.requests + repeat))
        except OSError as error:
            seen.errors[str(error)] = seen.errors.get(str(error), 0) + 1
        finally:
            if stream is not None:
                stream.close()

    offsets = [draw.uniform(0, load.ramp_s) for _ in range(load.streams)]
    async with asyncio.timeout(load.timeout_s):
        await asyncio.gather(*(one(number, after) for number, after in enumerate(offsets)))
    seen.seconds = perf_counter() - first
    return seen


def _request(load: Load, host: str, number: int) -> bytes:
    body = load.body.replace("{n}", str(number)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """From input to output."""
    load: dict[str, Any] = json.load(sys.stdin)
    seen = asdict(uvloop.run(run(Load(**load))))
    del seen["open_now"]
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
