"""The response of one request, on the bare ASGI callables: nothing stands between a token and them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Message, Send

from relaygen.gateway.failures import ClientGoneError, HttpError

_EVENT_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the events otherwise
]


class Sender:
    """Sends one response, once.

    Raises:
        ClientGoneError: by each method; the server says that nobody is there.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send_json(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a whole response."""
        listed = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        listed += [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
        self.started = True
        await self._pass({"type": "http.response.start", "status": status, "headers": listed})
        await self._pass({"type": "http.response.body", "body": body})

    async def send_event(self, data: bytes) -> None:
        """Sends one or several events; the first begins the response."""
        if not self.started:
            self.started = True
            start = {"type": "http.response.start", "status": 200, "headers": _EVENT_HEADERS}
            await self._pass(start)
        await self._pass({"type": "http.response.body", "body": data, "more_body": True})

    async def end_events(self) -> None:
        """Nothing more comes."""
        await self._pass({"type": "http.response.body", "body": b""})

    async def send_failure(self, failure: HttpError) -> None:
        """Sends an error: a response of its own, or the last event of one that has begun."""
        if self.started:
            await self.send_event(failure.event())
            await self.end_events()
        else:
            await self.send_json(failure.status, failure.body(), failure.headers)

    async def _pass(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:  # what ASGI lets a server raise
            raise ClientGoneError("the client left") from error
