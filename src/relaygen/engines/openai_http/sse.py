"""Server-sent events: bytes in whatever chunks they arrive, out come the data of whole events.

Every byte is looked at once, however it arrives, and what one event may hold is bounded: a server
that never ends a line cannot fill the memory.

Source: WHATWG HTML, section 9.2.6 ("Interpreting an event stream").
"""

from __future__ import annotations

from relaygen.errors import EngineProtocolError

_MARK = b"\xef\xbb\xbf"


class SSEParser:
    """Reads one stream. Fields other than ``data`` mean nothing to the servers we talk to."""

    def __init__(self, *, max_bytes: int) -> None:
        """`max_bytes`: the longest line, and the most data of one event."""
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._held = 0  # bytes in them
        self._data: list[bytes] = []  # lines of the event that has not ended
        self._data_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the data of every event that is complete now, in order.

        Raises:
            EngineProtocolError: a line or an event is longer than allowed.
        """
        if b"\r" in chunk or self._after_cr:
            chunk = self._with_plain_newlines(chunk)
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        first, *lines, rest = chunk.split(b"\n")
        events: list[bytes] = []
        self._hold(first)
        self._line(self._taken(), events)
        for line in lines:
            self._line(line, events)
        self._hold(rest)
        return events

    def _with_plain_newlines(self, chunk: bytes) -> bytes:
        # A line ends at its CR at once; a LF that follows, perhaps in the next chunk, adds nothing.
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held += len(piece)
        self._check(self._held, "a line")
        self._pieces.append(piece)

    def _taken(self) -> bytes:
        line = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return line

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if self._at_start:
            line = line.removeprefix(_MARK)
            self._at_start = False
        if line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._add(b"")
        elif not line and self._data:
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
            self._data.clear()
            self._data_bytes = 0

    def _add(self, data: bytes) -> None:
        self._data_bytes += len(data) + 1
        self._check(self._data_bytes - 1, "an event")
        self._data.append(data)

    def _check(self, size: int, what: str) -> None:
        if size > self._max_bytes:
            raise EngineProtocolError(
                f"the server sent {what} of more than {self._max_bytes:,} bytes; if that is "
                "right, raise max_event_bytes",
                retryable=True,
            )
