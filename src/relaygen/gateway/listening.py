"""Listens on a port until told to stop, and then lets everybody finish."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from relaygen.errors import SettingsError
from relaygen.gateway.app import drain

_LARGEST_BACKLOG = 4096
_LAST_WORDS_S = 5


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        SettingsError: the address cannot be had; says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        hint = "is another server running there? --port takes another" if taken else "check --host"
        raise SettingsError(f"cannot listen on {host}:{port}: {error}; {hint}") from None
    return listener


class _Server(uvicorn.Server):
    """On the first signal the gateway drains, while it still answers.

    On the second it cuts off what runs, which is told so, and goes; on the third it goes at once.
    """

    def __init__(self, config: uvicorn.Config, app: Starlette, told: Callable[[str], None]) -> None:
        super().__init__(config)
        self._app = app
        self._told = told
        self._draining: asyncio.Task[None] | None = None
        self._events: asyncio.AbstractEventLoop | None = None
        self._cutting_off = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._events = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._cutting_off or self._events is None:
            self._go()
        elif self._draining is not None:
            self._cutting_off = True
            self._events.call_soon_threadsafe(self._cut_off)
        else:
            self._events.call_soon_threadsafe(self._begin_to_drain)

    def _go(self) -> None:
        logging.getLogger("uvicorn.error").disabled = True  # it would show what it cuts off
        self.should_exit = self.force_exit = True

    def _cut_off(self) -> None:
        """Whoever is cut off lets go of the engines and has a last word; then `_drain` ends."""
        self._told_cut_off(self._app.state.gateway.traffic.cut_off())
        asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._go)

    def _begin_to_drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        running = self._app.state.gateway.traffic.generations
        if running:
            self._told(f"stopping: waiting for {running} generations; again to cut them off")
        self._told_cut_off(await drain(self._app))
        self.should_exit = True

    def _told_cut_off(self, requests: int) -> None:
        if requests:
            self._told(f"{requests} requests were cut off")


def listen(
    app: Starlette, listener: socket.socket, *, told: Callable[[str], None]
) -> uvicorn.Server:
    """A server for `app`; await its ``serve(sockets=[listener])``.

    Args:
        app: made by `create_app`.
        listener: see `bind`.
        told: what somebody at the terminal wants to know.
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=_LARGEST_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_LAST_WORDS_S,
    )
    return _Server(config, app, told)
