"""The format of GLM-4.5 and later: a name, then pairs of ``<arg_key>`` and ``<arg_value>``."""

from __future__ import annotations

import re

from relaygen.chat.tool_calls.format import Offered, ToolCall, ToolCallFormat
from relaygen.chat.tool_calls.typed import typed_call

_NAME = re.compile(r"\s*(?P<name>[^<>\s]+)\s*")
_OPEN, _CLOSE = "<arg_value>", "</arg_value>"
# A value may hold a closing tag: it ends where the next key begins, or the call ends.
_PAIR = re.compile(
    rf"<arg_key>(?P<key>[^<>\n]+)</arg_key>\s*{_OPEN}(?P<value>.*?){_CLOSE}(?=\s*(?:<arg_key>|\Z))\s*",
    re.DOTALL,
)


def parse(body: str, offered: Offered) -> list[ToolCall] | None:
    """One call; None where it is malformed."""
    begun = _NAME.match(body)
    if begun is None:
        return None
    at = begun.end()
    pairs: list[tuple[str, str]] = []
    while at < len(body):
        match = _PAIR.match(body, at)
        if match is None:
            return None
        pairs.append((match["key"].strip(), match["value"]))
        at = match.end()
    call = typed_call(begun["name"], pairs, offered)
    return None if call is None else [call]


def closable(body: str) -> bool:
    """Whether no value is open."""
    return body.rfind(_OPEN) <= body.rfind(_CLOSE)


GLM = ToolCallFormat(
    name="glm",
    opening="<tool_call>",
    closing="</tool_call>",
    parse=parse,
    marks=("<tool_call>", "<arg_key>", _OPEN),
    closable=lambda: closable,
)
