"""Between the choices of a request, which write, and its connection, which may be slower.

What has piled up is sent in one piece, so that a busy gateway makes fewer and larger writes.
"""

from __future__ import annotations

import asyncio


class Outbox:
    """Bytes in from several tasks, out to one."""

    def __init__(self, writers: int, most_bytes: int = 256 * 1024) -> None:
        """Opens it.

        Args:
            writers: that will each call `close` or `fail`.
            most_bytes: with more waiting, `full` is true.
        """
        self._writers = writers
        self._most = most_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Adds bytes; after a failure nothing more goes out."""
        if data and self._error is None:
            self._pieces.append(data)
            self._size += len(data)
            self._filled.set()

    @property
    def full(self) -> bool:
        """Whether a writer should wait for `room` before it goes on."""
        return self._size > self._most

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._pieces

    async def room(self) -> None:
        """Waits until the reader has taken what there was."""
        self._emptied.clear()
        await self._emptied.wait()

    def close(self) -> None:
        """One writer has ended."""
        self._writers -= 1
        self._filled.set()

    def fail(self, error: Exception) -> None:
        """One writer has failed; the reader gets what was written before, and then the error."""
        self._error = self._error or error
        self.close()

    async def take(self) -> bytes:
        """All that waits, or what comes next; empty at the end.

        Raises:
            Exception: what a writer failed with.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._writers <= 0:
                return b""
            self._filled.clear()
            await self._filled.wait()
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._emptied.set()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
