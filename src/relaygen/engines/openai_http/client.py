"""HTTP to one server: connections that are kept, answers that are bounded, errors that are ours."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec

from relaygen.engines.openai_http.connections import Connections
from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.refusals import refusal
from relaygen.errors import (
    EngineError,
    EngineProtocolError,
    EngineUnavailableError,
    InvalidRequestError,
)

T = TypeVar("T")

_ERROR_BYTES = 2**16
_DRAIN_S = 2.0
_DRAIN_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """One request: a POST of `body` as JSON, or a GET where there is none."""

    path: str
    body: dict[str, Any] | None = None


class Client:
    """Talks to one server. Its connections belong to the event loop that makes the first call."""

    def __init__(self, url: str, options: HTTPOptions, *, spares: bool = True) -> None:
        """Connects to nothing yet.

        Args:
            url: of the server.
            options: how to talk to it.
            spares: open another connection after each that is cut off.

        Raises:
            InvalidRequestError: `url` is no address of a web server.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequestError(
                f"{url!r} is no address of a server; give one like http://127.0.0.1:8000",
                param="url",
            )
        self.url = url.rstrip("/")
        self.options = options
        self._spares = spares
        self._connections = Connections(options)
        self._open: set[aiohttp.ClientResponse] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.json.Encoder().encode

    @property
    def closed(self) -> bool:
        """Whether nothing may be asked of it any more."""
        return self._connections.closed

    async def stream(self, call: Call) -> aiohttp.ClientResponse:
        """Sends a request and returns its answer, of which only the head was read.

        Give it back with `finish` or `abort`.

        Raises:
            InvalidRequestError: the server refuses the request as it stands.
            EngineError: it cannot be reached, or answers something else than 200.
        """
        async with self._errors(call):
            response = await self._send(call)
        self._open.add(response)
        if response.status != 200:
            try:
                async with self._errors(call):
                    raise await self._refused(call, response)
            finally:
                self.finish(response)
        return response

    async def read(self, response: aiohttp.ClientResponse, call: Call) -> bytes:
        """What has arrived of the body; waits for a byte, and returns none at the end.

        Raises:
            EngineUnavailableError: the connection broke off.
        """
        try:  # `_errors` spelled out: this runs for every token
            return await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise self._ours(error, call) from error

    async def json(self, call: Call, kind: type[T]) -> T:
        """The whole answer, as a value of `kind`.

        Raises:
            EngineProtocolError: it is not of that kind.
            InvalidRequestError: as `whole`.
            EngineError: as `whole`.
        """
        return self.decoded(await self.whole(call), kind, call)

    async def whole(self, call: Call) -> bytes:
        """The body of an answer.

        Raises:
            InvalidRequestError: the server refuses the request as it stands.
            EngineProtocolError: the answer is too large.
            EngineError: the server cannot be reached, answers something else than 200, or nothing
                in time.
        """
        try:
            async with asyncio.timeout(self.options.request_s) as timer:
                return await self._whole(call)
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise EngineError(
                f"{self.where(call)} gave no answer within {self.options.request_s:g} s "
                "(request_s); is it overloaded, or is the limit too short for it?",
                retryable=True,
            ) from error

    async def tell(self, call: Call) -> None:
        """Sends what the server may know, and asks for no answer."""
        with suppress(EngineError, InvalidRequestError):
            await self.whole(call)

    def decoded(self, data: bytes, kind: type[T], call: Call) -> T:
        """JSON of that kind.

        Raises:
            EngineProtocolError: it is not.
        """
        try:
            return cast(T, _decoder(cast(Hashable, kind)).decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.garbage(call, error, data) from error

    def garbage(self, call: Call, error: Exception, data: bytes) -> EngineProtocolError:
        """The error for bytes that no server of this kind should send; another replica may not."""
        return EngineProtocolError(
            f"{self.where(call)} sent what its protocol does not allow ({error}): {data[:120]!r}",
            retryable=True,
        )

    def where(self, call: Call) -> str:
        """The address of a request, for messages."""
        return self.url + call.path

    def finish(self, response: aiohttp.ClientResponse) -> None:
        """The leg is over: reads what little is left, so that the connection can be used again."""
        self._open.discard(response)
        if not self.closed and not response.content.at_eof():
            self.later(self._drain(response))

    def abort(self, response: aiohttp.ClientResponse) -> None:
        """Closes the connection at once; servers take that as the end of the request."""
        self._open.discard(response)
        response.close()
        if self._spares and not self.closed:
            self.later(self._connections.open_spare())

    def later(self, work: Any) -> None:
        """Runs what nobody waits for; closing the client cancels it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Returns when nothing of `later` runs any more."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def aclose(self) -> None:
        """Closes every connection; whoever waits gets `EngineUnavailableError`."""
        self._connections.retire()
        for task in tuple(self._tasks):
            task.cancel()
        for response in tuple(self._open):
            self.abort(response)
        await self._connections.aclose()

    async def _whole(self, call: Call) -> bytes:
        async with self._errors(call):
            response = await self._send(call)
            self._open.add(response)
            body = None
            try:
                if response.status != 200:
                    raise await self._refused(call, response)
                body = await self._body(response, self.options.max_body_bytes)
            finally:
                self.finish(response) if body is not None else self.abort(response)
            if body is None:
                raise EngineProtocolError(
                    f"{self.where(call)} answered more than {self.options.max_body_bytes:,} bytes",
                    retryable=True,
                )
            return body

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        if self.closed:
            raise self._was_closed()
        data = None if call.body is None else self._encode(call.body)
        return await self._connections.request(self.where(call), data)

    @asynccontextmanager
    async def _errors(self, call: Call) -> AsyncIterator[None]:
        """Turns the errors of the HTTP library into ours."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise  # of a deadline
            raise self._ours(error, call) from error

    def _ours(self, error: Exception, call: Call) -> EngineError:
        if self.closed:
            return self._was_closed()
        if isinstance(error, aiohttp.ClientConnectorError):
            return EngineUnavailableError(
                f"{self.url} cannot be reached ({_why(error)}); is the server running?"
            )
        if isinstance(error, aiohttp.ClientResponseError):
            return EngineProtocolError(
                f"{self.where(call)} does not speak HTTP ({error.message})", retryable=True
            )
        return EngineUnavailableError(
            f"the connection to {self.where(call)} broke off ({error or type(error).__name__})"
        )

    async def _refused(self, call: Call, response: aiohttp.ClientResponse) -> Exception:
        body = await self._body(response, _ERROR_BYTES)
        return refusal(response.status, body or b"", response.headers, where=self.where(call))

    async def _body(self, response: aiohttp.ClientResponse, most: int) -> bytes | None:
        """All of it, or None where it is larger."""
        pieces: list[bytes] = []
        while piece := await response.content.readany():
            pieces.append(piece)
            most -= len(piece)
            if most < 0:
                return None
        return b"".join(pieces)

    async def _drain(self, response: aiohttp.ClientResponse) -> None:
        try:
            with suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(_DRAIN_S):
                    await self._body(response, _DRAIN_BYTES)
        finally:
            if not response.content.at_eof():
                response.close()

    def _was_closed(self) -> EngineUnavailableError:
        return EngineUnavailableError(f"the engine of {self.url} was closed; open another")


def _why(error: aiohttp.ClientConnectorError) -> str:
    """What the system says; aiohttp's own words speak of TLS at every address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    return error.os_error.strerror or str(error.os_error)


@functools.cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
