"""Hermes's format, which Qwen3 and Qwen2.5 share: a JSON object between ``<tool_call>`` tags."""

from __future__ import annotations

import msgspec

from relaygen.chat.tool_calls.format import (
    CallParts,
    Offered,
    ToolCall,
    ToolCallFormat,
    arguments_object,
)


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


def parse(body: str, offered: Offered) -> list[ToolCall] | None:
    """One call; None where it is malformed."""
    try:
        call = msgspec.json.decode(body.strip(), type=_Call)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    arguments = arguments_object(bytes(call.arguments))
    return None if arguments is None else [ToolCall(call.name, arguments)]


HERMES = ToolCallFormat(
    name="hermes",
    opening="<tool_call>",
    closing="</tool_call>",
    parse=parse,
    parts=CallParts(
        before_name='<tool_call>\n{"name": "',
        before_arguments='", "arguments": ',
        after_arguments="}\n</tool_call>",
    ),
    marks=("<tool_call>", "arguments"),
    foreign_marks=("<function=", "<arg_key>", "<invoke"),  # Qwen3-Coder's XML, GLM's, MiniMax's
)
