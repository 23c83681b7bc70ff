"""The server's connections, so that a simulated fault can close one in ways that HTTP cannot."""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.requests import Request


class Connections:
    """By the address of the client, which is all that an ASGI application sees of one."""

    def __init__(self) -> None:
        self.accepted = 0
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.accepted += 1
        opened = cast(asyncio.Transport, transport)
        self._transports[opened.get_extra_info("peername")[:2]] = opened

    def lost(self, transport: asyncio.BaseTransport) -> None:
        """It is gone."""
        self._transports = {k: t for k, t in self._transports.items() if t is not transport}

    def abort(self, request: Request) -> None:
        """Closes the request's connection without another byte."""
        self._of(request).abort()

    def half_close(self, request: Request) -> None:
        """Closes the sending side alone."""
        self._of(request).write_eof()

    def close_all(self) -> None:
        """Closes every connection."""
        for transport in tuple(self._transports.values()):
            transport.abort()

    def _of(self, request: Request) -> asyncio.Transport:
        assert request.client is not None
        return self._transports[request.client.host, request.client.port]
