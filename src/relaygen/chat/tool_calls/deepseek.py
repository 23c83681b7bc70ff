"""DeepSeek's format: V3 and R1 put JSON in a fence after the name, V3.1 puts it bare."""

from __future__ import annotations

import re
from dataclasses import replace

from relaygen.chat.tool_calls.format import (
    CallParts,
    Offered,
    ToolCall,
    ToolCallFormat,
    arguments_object,
)

_CALL_BEGIN, _CALL_END, _SEPARATOR = (
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
)
_FENCED = re.compile(
    rf"{_CALL_BEGIN}function{_SEPARATOR}(?P<name>[^\n]+)\n```json\n(?P<json>.*?)\n```\s*{_CALL_END}\s*",
    re.DOTALL,
)
_BARE = re.compile(
    rf"{_CALL_BEGIN}(?P<name>[^\n]+?){_SEPARATOR}(?P<json>.*?){_CALL_END}\s*", re.DOTALL
)


def parse(body: str, offered: Offered) -> list[ToolCall] | None:
    """All calls of a group; None where one is malformed or something else stands between them."""
    calls: list[ToolCall] = []
    at = 0
    body = body.strip()
    while at < len(body):
        match = _FENCED.match(body, at) or _BARE.match(body, at)
        if match is None:
            return None
        arguments = arguments_object(match["json"].strip().encode())
        if arguments is None:
            return None
        calls.append(ToolCall(match["name"].strip(), arguments))
        at = match.end()
    return calls or None


_OPENING, _CLOSING = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"

DEEPSEEK = ToolCallFormat(
    name="deepseek",
    opening=_OPENING,
    closing=_CLOSING,
    parse=parse,
    parts=CallParts(
        before_name=f"{_OPENING}{_CALL_BEGIN}function{_SEPARATOR}",
        before_arguments="\n```json\n",
        after_arguments=f"\n```{_CALL_END}{_CLOSING}",
    ),
    marks=(_CALL_BEGIN, _SEPARATOR, "```json"),
)
DEEPSEEK_BARE = replace(
    DEEPSEEK,
    name="deepseek_v3.1",
    parts=CallParts(
        before_name=f"{_OPENING}{_CALL_BEGIN}",
        before_arguments=_SEPARATOR,
        after_arguments=f"{_CALL_END}{_CLOSING}",
    ),
    marks=(_CALL_BEGIN, _SEPARATOR),
)
