"""Is an answer to one of the pair's problems right?"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def boxed(answer: str) -> str | None:
    r"""What the last ``\boxed{...}`` holds, or None.

    Example:
        >>> boxed(r"The answer is \\boxed{405}.")
        '405'
    """
    found = _BOX.findall(answer)
    return found[-1].strip() if found else None


def is_right(expected: str, answer: str) -> bool:
    r"""Whether the answer's box holds the expected number.

    Args:
        expected: for example ``405`` or ``3.50``.
        answer: the answer stage's text.
    """
    box = boxed(answer)
    if box is None:
        return False
    try:
        return Decimal(box.replace("$", "").replace(",", "")) == Decimal(expected.replace("$", ""))
    except InvalidOperation:
        return False
