"""The format of Qwen3-Coder, Qwen3.5 and Nemotron 3; Seed-OSS has it between tags of its own.

A call is ``<function=NAME>``, a ``<parameter=NAME>`` for each argument with its bare value on lines of
its own, and ``</function>``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from relaygen.chat.tool_calls.format import Offered, ToolCall, ToolCallFormat
from relaygen.chat.tool_calls.typed import typed_call

_CALL = re.compile(r"\s*<function=(?P<name>[^<>\s]+)>(?P<rest>.*)</function>\s*", re.DOTALL)
_OPEN, _CLOSE = "<parameter=", "</parameter>"
# A value may hold a closing tag: it ends where the next parameter begins, or the call ends.
_PARAMETER = re.compile(
    rf"\s*{_OPEN}(?P<name>[^<>\n]+)>\n?(?P<value>.*?)\n?{_CLOSE}(?=\s*(?:{_OPEN}|\Z))", re.DOTALL
)


def parse(body: str, offered: Offered) -> list[ToolCall] | None:
    """One call; None where it is malformed."""
    found = _CALL.fullmatch(body)
    if found is None:
        return None
    rest, at = found["rest"].rstrip(), 0
    pairs: list[tuple[str, str]] = []
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            return None
        pairs.append((match["name"].strip(), match["value"]))
        at = match.end()
    call = typed_call(found["name"], pairs, offered)
    return None if call is None else [call]


def closable(body: str) -> bool:
    """Whether no parameter is open."""
    return body.rfind(_OPEN) <= body.rfind(_CLOSE)


QWEN_XML = ToolCallFormat(
    name="qwen3-coder",
    opening="<tool_call>",
    closing="</tool_call>",
    parse=parse,
    marks=("<tool_call>", "<function=", _OPEN),
    closable=lambda: closable,
)
SEED_XML = replace(
    QWEN_XML,
    name="seed-oss",
    opening="<seed:tool_call>",
    closing="</seed:tool_call>",
    marks=("<seed:tool_call>", "<function=", _OPEN),
)
