"""Connections that are open before they are needed.

A leg is cancelled by closing its connection, which happens at every handoff; the next leg on that
server would have to open another first, which takes one round trip, and two more under TLS.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_LATE_S = 0.01  # an event loop's clock may be a little ahead


class SpareConnector(aiohttp.TCPConnector):
    """For one server: hands out what `open_spare` opened before it opens another.

    It overrides the one method in which aiohttp's connectors differ from each other, and which is
    called where no kept connection is free.
    """

    def __init__(self, *, idle_s: float, most: int = 64) -> None:
        """`idle_s`: a connection that nobody used for so long is closed; `most`: how many wait."""
        super().__init__(limit=0, keepalive_timeout=idle_s)
        self._idle_s = idle_s
        self._most = most
        self._spares: deque[tuple[float, ResponseHandler]] = deque()
        self._opening = 0
        self._like: tuple[Any, ...] = ()  # arguments of the last connection

    async def open_spare(self) -> None:
        """Opens one like the last; where that fails, whoever needs it will see why."""
        self._drop_old()
        if not self._like or self.closed or len(self._spares) + self._opening >= self._most:
            return
        self._opening += 1
        try:
            with suppress(aiohttp.ClientError, OSError):
                opened = await super()._create_connection(*self._like)
                if self.closed:
                    opened.close()
                else:
                    self._spares.append((time.monotonic(), opened))
                    asyncio.get_running_loop().call_later(self._idle_s + _LATE_S, self._drop_old)
        finally:
            self._opening -= 1

    async def _create_connection(self, req: aiohttp.ClientRequest, *rest: Any) -> ResponseHandler:
        self._drop_old()
        self._like = (req, *rest)
        while self._spares:
            _, spare = self._spares.pop()
            if spare.is_connected():
                return spare
        return await super()._create_connection(req, *rest)

    def close(self, **options: Any) -> Any:
        """See `aiohttp.BaseConnector.close`."""
        while self._spares:
            self._spares.pop()[1].close()
        return super().close(**options)

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._idle_s
        while self._spares and self._spares[0][0] < oldest:
            self._spares.popleft()[1].close()
