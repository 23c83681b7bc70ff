"""From bytes that a process writes to lines that a terminal may show."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from relaygen.views.printable import printable

_LONGEST = 4096
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class LogLines:
    r"""Cuts a stream of bytes into lines, for any chunking and any bytes.

    Colours are taken out, other control characters spelled out, invalid UTF-8 shown as ``\xff``.
    A progress bar, which rewrites its line, counts as what it showed last; a line without end is cut
    at 4,096 characters.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._open = ""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that `chunk` completes."""
        self._open += self._decoder.decode(chunk)
        *whole, self._open = self._open.split("\n")
        for line in whole:
            yield from _shown(line)
        while len(self._open) > _LONGEST:
            # What a progress bar has overwritten is not worth a line.
            start, self._open = self._open[:_LONGEST], self._open[_LONGEST:]
            if "\r" in self._open:
                self._open = self._open.rpartition("\r")[2]
            else:
                yield from _shown(start)

    def close(self) -> Iterator[str]:
        """The last line, if it has no end."""
        yield from _shown(self._open + self._decoder.decode(b"", final=True))
        self._open = ""


def _shown(line: str) -> Iterator[str]:
    last = line.rstrip("\r").rpartition("\r")[2]
    text = printable(_ESCAPE.sub("", last)).rstrip()
    for start in range(0, len(text), _LONGEST):
        yield text[start : start + _LONGEST]
