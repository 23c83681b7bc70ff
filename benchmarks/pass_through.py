"""``python -m benchmarks.pass_through``: the least that a proxy can do in our stack.

Starlette in front, aiohttp behind, bytes handed on as they come: what a gateway adds to that is its
own work.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route


def application(upstream: str) -> Starlette:
    """Hands chats on to `upstream`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            app.state.session = session
            yield

    async def chat(request: Request) -> Response:
        session: aiohttp.ClientSession = request.app.state.session
        headers = {"Content-Type": "application/json"}
        reply = await session.post(
            f"{upstream}/v1/chat/completions", data=await request.body(), headers=headers
        )

        async def body() -> AsyncIterator[bytes]:
            async with reply:
                async for piece in reply.content.iter_any():
                    yield piece

        return StreamingResponse(
            body(), status_code=reply.status, media_type=reply.headers["Content-Type"]
        )

    async def health(request: Request) -> Response:
        return PlainTextResponse("")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/health", health),
        ],
        lifespan=lifespan,
    )


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL of a model server")
    options = parser.parse_args()
    uvicorn.run(
        application(options.upstream),
        port=options.port,
        access_log=False,
        log_level="error",
        backlog=4096,
        loop="uvloop",
    )


if __name__ == "__main__":
    main()
