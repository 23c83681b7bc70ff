"""Text that a terminal cannot misread: what a model writes may hold escape sequences."""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
    # Controls but tab and newline, then those that reverse the order of the text around them.
)


def printable(text: str) -> str:
    r"""Returns `text` with control characters spelled out, all but tab and newline.

    Example:
        ```python
        from relaygen.views.printable import printable

        assert printable("\x1b[31mred") == r"\x1b[31mred"
        assert printable("a\tb\n") == "a\tb\n"
        ```
    """
    return _CONTROLS.sub(_spelled, text)


def escaped_json(text: str) -> str:
    """Escapes, in JSON text, the control characters that JSON itself lets through."""
    return _CONTROLS.sub(lambda m: m[0] if m[0] in "\r\n\t" else f"\\u{ord(m[0]):04x}", text)


def one_line(text: str) -> str:
    """`text` made printable, on one line."""
    return " ".join(printable(text).split())


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
