"""The playground's files, as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from relaygen.views.playground import HEADERS


def page(content_type: str, body: bytes) -> Callable[[Request], Awaitable[Response]]:
    """A handler that sends one file with the headers that keep model text from running."""

    async def send(request: Request) -> Response:
        return Response(body, headers=dict(HEADERS), media_type=content_type)

    return send
