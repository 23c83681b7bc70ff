"""What llama.cpp says: kept for our error messages, passed on to `logging`, never printed."""

from __future__ import annotations

import ctypes
import logging
from collections import deque

from relaygen.engines.llama_cpp._capi import Api, LogCallback

logger = logging.getLogger("relaygen.llama_cpp")

_WARN, _ERROR, _CONTINUED = 3, 4, 5
_kept: deque[str] = deque(maxlen=20)
_level = 0


def _receive(level: int, text: bytes | None, _data: int | None) -> None:
    # Called from whichever thread llama.cpp is in. Nothing here may raise: C cannot catch it.
    global _level  # noqa: PLW0603  a continued line has the level of the line it continues
    if level != _CONTINUED:
        _level = level
    line = (text or b"").decode("utf-8", "replace").strip()
    if not line.strip("."):
        return
    if _level in (_WARN, _ERROR):
        _kept.append(line)
    logger.debug("%s", line)


# ctypes keeps no reference to a callback; this name must live as long as the library.
_callback = LogCallback(_receive)


def capture(api: Api) -> None:
    """Takes over llama.cpp's log, and forgets what it said before.

    The log is one for the whole process: whoever else uses the library here may have taken it.
    """
    api.log_set(ctypes.cast(_callback, ctypes.c_void_p), None)
    _kept.clear()


def release(api: Api) -> None:
    """Gives the log back before the interpreter goes: C code must not call into Python after it."""
    api.log_set(None, None)


def last_complaint() -> str:
    """The latest warnings and errors in one line; empty if there were none."""
    lines = [line for line in _kept if "failed to load model" not in line]
    return "; ".join(lines[-3:])
