"""Written arithmetic, digit by digit, in the few words that the large model learns to spend on it."""

from __future__ import annotations

_PLACES = ("ones", "tens", "hundreds", "thousands", "ten thousands")
SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "compare": "-"}


def apply(kind: str, a: int, b: int) -> int:
    """Returns the result of one step."""
    if kind == "add":
        return a + b
    if kind in ("sub", "compare"):
        return a - b
    if kind == "mul":
        return a * b
    if kind == "div":
        return a // b
    raise ValueError(f"unknown kind of step {kind!r}; known are {sorted(SIGNS)}")


def working(kind: str, a: int, b: int) -> str:
    """Writes out a step, e.g. `347+58: ones 15, tens 10, hundreds 4`.

    Carries are in the next place's figure; a borrow is named; a division goes from the left, with rests.
    """
    steps = {"add": _add, "sub": _subtract, "compare": _subtract, "mul": _multiply, "div": _divide}
    return f"{a}{SIGNS[kind]}{b}: " + ", ".join(steps[kind](a, b))


def _digits(n: int) -> list[int]:
    return [int(d) for d in reversed(str(n))]


def _add(a: int, b: int) -> list[str]:
    out, carry = [], 0
    xs, ys = _digits(a), _digits(b)
    for i in range(max(len(xs), len(ys))):
        total = (xs[i] if i < len(xs) else 0) + (ys[i] if i < len(ys) else 0) + carry
        out.append(f"{_PLACES[i]} {total}")
        carry = total // 10
    return out


def _subtract(a: int, b: int) -> list[str]:
    out, borrow = [], 0
    xs, ys = _digits(a), _digits(b)
    for i, x in enumerate(xs):
        total = x - (ys[i] if i < len(ys) else 0) - borrow
        borrow = int(total < 0)
        out.append(f"{_PLACES[i]} {total % 10}" + (" borrow" if borrow else ""))
    return out


def _multiply(a: int, b: int) -> list[str]:
    out, carry = [], 0
    for i, x in enumerate(_digits(a)):
        total = x * b + carry
        out.append(f"{_PLACES[i]} {total}")
        carry = total // 10
    return out


def _divide(a: int, b: int) -> list[str]:
    out, rest = [], 0
    for digit in str(a):
        part = rest * 10 + int(digit)
        quotient, rest = divmod(part, b)
        out.append(f"{part} gives {quotient}" + (f" rest {rest}" if rest else ""))
    return out
