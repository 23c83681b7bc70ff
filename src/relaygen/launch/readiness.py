"""Whether a server answers."""

from __future__ import annotations

import asyncio

_ANSWER_S = 5.0


async def is_ready(host: str, port: int, path: str) -> bool:
    """Whether ``GET`` of `path` is answered by 200 now."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode("ascii"))
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


async def until_ready(host: str, port: int, path: str, *, poll_s: float) -> None:
    """Asks until the server is ready."""
    while not await is_ready(host, port, path):  # noqa: ASYNC110  the event is in another process
        await asyncio.sleep(poll_s)
