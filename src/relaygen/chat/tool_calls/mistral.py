"""Mistral's format: a list of calls after ``[TOOL_CALLS]``, in newer models one call after each.

Nothing closes a call but the next one, or the end of the answer.
"""

from __future__ import annotations

import re

import msgspec

from relaygen.chat.tool_calls.format import Offered, ToolCall, ToolCallFormat, arguments_object

_OPENING = "[TOOL_CALLS]"
_ONE = re.compile(
    r"(?P<name>[^\s\[\]{}]+)\s*+(?:\[CALL_ID\][^\[\]{}]*+)?(?:\[ARGS\])?\s*+(?P<json>\{.*\})",
    re.DOTALL,
)


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


def parse(body: str, offered: Offered) -> list[ToolCall] | None:
    """The calls of a list, or the one call; None where it is malformed."""
    body = body.strip()
    one = _ONE.fullmatch(body)
    if one is not None:
        arguments = arguments_object(one["json"].encode())
        return None if arguments is None else [ToolCall(one["name"], arguments)]
    try:
        listed = msgspec.json.decode(body, type=list[_Call])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    calls: list[ToolCall] = []
    for call in listed:
        arguments = arguments_object(bytes(call.arguments))
        if arguments is None:
            return None
        calls.append(ToolCall(call.name, arguments))
    return calls or None


MISTRAL = ToolCallFormat(
    name="mistral", opening=_OPENING, closing="", parse=parse, marks=(_OPENING,)
)
