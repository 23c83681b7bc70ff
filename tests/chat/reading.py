"""Reads tool calls out of text for tests."""

from __future__ import annotations

from collections.abc import Iterable

from relaygen.chat.tool_calls import ToolCall, ToolCallParser


def read_all(parser: ToolCallParser, chunks: Iterable[str]) -> list[str | ToolCall]:
    """What comes out of a parser, neighbouring texts in one piece."""
    out: list[str | ToolCall] = []
    for piece in [p for chunk in chunks for p in parser.feed(chunk)] + parser.finish():
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return out
