"""What tells the tool calls of one model family from ordinary text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Offered = Mapping[str, Mapping[str, Any]]
"""The functions that may be called, each with the JSON schema of its parameters."""

_IN_STRING = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made.

    Attributes:
        name: of the function.
        arguments: a JSON object, as the model wrote it.
    """

    name: str
    arguments: str


class OutsideStrings:
    """Whether JSON ends outside a string; asked again with more of it, it reads only what is new.

    A model may write a tag a thousand times into one string.
    """

    def __init__(self) -> None:
        self._at = 0
        self._inside = False

    def __call__(self, body: str) -> bool:
        """`body`: all that was read so far."""
        while True:
            if self._inside:
                found = _IN_STRING.match(body, self._at)
                self._at = found.end() if found else self._at
                if not body.startswith('"', self._at):
                    return False
                self._at += 1
                self._inside = False
            quote = body.find('"', self._at)
            if quote < 0:
                self._at = len(body)
                return True
            self._at = quote + 1
            self._inside = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CallParts:
    """What always stands around the name and the arguments of a call.

    Attributes:
        before_name: from the opening to the name.
        before_arguments: from the name to the arguments.
        after_arguments: from there to the end of the closing.
    """

    before_name: str
    before_arguments: str
    after_arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallFormat:
    """The tool-call format of a family.

    Attributes:
        name: for messages.
        opening: text that begins a call, or a group of them.
        closing: text that ends it; empty where the next opening or the end of the answer does.
        parse: the calls in the text between the two; None where it is malformed.
        marks: what a chat template of the family holds.
        foreign_marks: what it does not hold: signs of a family with the same tags.
        closable: makes, for one call, what says whether a closing after this much of its body is
            one, and no part of an argument.
        parts: what a call is put together from; None: its arguments are no JSON, which a schema
            could force.
    """

    name: str
    opening: str
    closing: str
    parse: Callable[[str, Offered], list[ToolCall] | None]
    marks: tuple[str, ...]
    foreign_marks: tuple[str, ...] = ()
    closable: Callable[[], Callable[[str], bool]] = OutsideStrings
    parts: CallParts | None = None


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
