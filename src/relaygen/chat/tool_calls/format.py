"""What tells the tool calls of one model family from ordinary text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made.

    Attributes:
        name: of the function.
        arguments: a JSON object, as the model wrote it.
    """

    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallFormat:
    """The tool-call format of a family.

    Attributes:
        name: for messages.
        opening: text that begins a call, or a group of them.
        closing: text that ends it.
        parse: the calls in the text between the two; None where it is malformed.
        before_name: from the opening to the name, for a call that is put together from its parts.
        before_arguments: from the name to the arguments.
        after_arguments: from there to the end of the closing.
        marks: what a chat template of the family holds.
        foreign_marks: what it does not hold: signs of a family with the same tags.
    """

    name: str
    opening: str
    closing: str
    parse: Callable[[str], list[ToolCall] | None]
    before_name: str
    before_arguments: str
    after_arguments: str
    marks: tuple[str, ...]
    foreign_marks: tuple[str, ...] = ()


def arguments_object(raw: bytes) -> str | None:
    """The text of a JSON object; None if it is something else.

    A string that holds a JSON object counts as that object: some models quote it once too often.
    """
    try:
        value = msgspec.json.decode(raw)
        if isinstance(value, str):
            return arguments_object(value.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return raw.decode() if isinstance(value, dict) else None
