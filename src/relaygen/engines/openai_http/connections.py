"""The connections to one server: kept, opened ahead, and replaced where one was closed meanwhile."""

from __future__ import annotations

import asyncio

import aiohttp

from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.request_headers import request_headers
from relaygen.engines.openai_http.session import new_session
from relaygen.engines.openai_http.spares import SpareConnector

_SPARE_AFTER_S = 0.003


class Connections:
    """They belong to the event loop that makes the first request.

    Attributes:
        closed: no request may be made any more.
    """

    def __init__(self, options: HTTPOptions) -> None:
        self.closed = False
        self._options = options
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None  # keeps no connection

    async def request(self, url: str, data: bytes | None) -> aiohttp.ClientResponse:
        """Sends a POST, or a GET where there are no data, and reads the head of the answer.

        Raises:
            aiohttp.ClientError: the server cannot be reached, or broke off.
        """
        if self._kept is None:
            self._kept = new_session(self._options, keep=True)
        try:
            return await _request(self._kept, url, data)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            # A kept connection may have been closed by the server (uvicorn and llama-server do so
            # after 5 s, llama-server after 100 requests) while the request was on its way. Nothing
            # of an answer came, so nothing was delivered: once more, on a fresh one.
            begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
                error.message, str
            )
            if begun or self.closed:
                raise
        if self._fresh is None:
            self._fresh = new_session(self._options, keep=False)
        return await _request(self._fresh, url, data)

    async def open_spare(self) -> None:
        """Opens one for a leg to come, after that of another server which is about to begin."""
        await asyncio.sleep(_SPARE_AFTER_S)
        connector = None if self._kept is None else self._kept.connector
        if isinstance(connector, SpareConnector):
            await connector.open_spare()

    def retire(self) -> None:
        """No request is made any more."""
        self.closed = True

    async def aclose(self) -> None:
        """Closes them all."""
        self.retire()
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()


async def _request(
    session: aiohttp.ClientSession, url: str, data: bytes | None
) -> aiohttp.ClientResponse:
    return await session.request(
        "GET" if data is None else "POST",
        url,
        data=data,
        headers=request_headers.get(),
        allow_redirects=False,
    )
