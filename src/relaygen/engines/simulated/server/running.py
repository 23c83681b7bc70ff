"""A simulated server in this process, on a real socket of the loopback interface."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from relaygen.engines.simulated.server.app import application
from relaygen.engines.simulated.server.backend import Backend


class SimulatedServer:
    """Serves a backend while the context is open::

        async with SimulatedServer(backend) as server:
            engine = await OpenAIHTTPEngine.connect(server.url)

    It runs uvicorn's protocol on the caller's event loop, without uvicorn's own server, whose
    shutdown takes a tenth of a second and which installs signal handlers.
    """

    def __init__(self, backend: Backend, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.backend = backend
        self.url = ""
        self._host = host
        self._port = port
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(
            application(self.backend), lifespan="off", log_config=None, access_log=False
        )
        config.load()
        connections, state = self.backend.connections, self._state

        class Protocol(HttpToolsProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                connections.made(transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                connections.lost(self.transport)
                super().connection_lost(exc)

        self._server = await asyncio.get_running_loop().create_server(
            lambda: Protocol(config=config, server_state=state, app_state={}),
            self._host,
            self._port,
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{self._host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the socket and every connection, as when a server is killed."""
        if self._server is None:
            return
        self._server.close()
        self.backend.connections.close_all()
        for task in tuple(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        self._server = None

    async def forever(self) -> None:
        """Serves until it is cancelled."""
        if self._server is not None:
            await self._server.serve_forever()
