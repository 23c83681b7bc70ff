"""What reaches the screen: text by role on stdout, remarks on stderr."""

from __future__ import annotations

import io
import os
import sys
from enum import Enum
from typing import TYPE_CHECKING, Final, TextIO

import typer

from relaygen.types import ModelRole
from relaygen.views.printable import one_line, printable

if TYPE_CHECKING:
    from relaygen.relay.events import Emitted

_STYLE: Final = {ModelRole.LARGE: "\x1b[36m", ModelRole.SMALL: "\x1b[33m"}
_PLAIN: Final = "\x1b[0m"


class Marks(Enum):
    """How a reader tells the two models apart."""

    COLOUR = "colour"
    BRACKETS = "brackets"
    NONE = "none"


def prepare_streams() -> None:
    """Makes characters that a stream cannot encode visible instead of fatal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """One line on stderr."""
    typer.echo(f"relaygen: {one_line(text)}", err=True)


def in_colour(stream: TextIO) -> bool:
    """Whether this stream shows colours (see no-color.org)."""
    dumb = os.environ.get("TERM", "") == "dumb"
    return stream.isatty() and not dumb and not os.environ.get("NO_COLOR")


def marks_for(stream: TextIO, *, always: bool = False) -> Marks:
    """Colours, or brackets without them; nothing in a pipe, unless `always`."""
    if in_colour(stream):
        return Marks.COLOUR
    return Marks.BRACKETS if always or stream.isatty() else Marks.NONE


def legend(marks: Marks) -> str:
    """A line that explains the marks."""
    if marks is Marks.COLOUR:
        large, small = _STYLE[ModelRole.LARGE], _STYLE[ModelRole.SMALL]
        return f"{large}the large model writes{_PLAIN}, {small}the small model writes{_PLAIN}"
    return "‹what the small model wrote›; the large one wrote the rest"


class RoleWriter:
    """Writes a generation as it comes. Text from a model never controls the terminal."""

    def __init__(self, stream: TextIO, marks: Marks) -> None:
        self._stream = stream
        self._marks = marks
        self._role: ModelRole | None = None
        self._at_line_start = True

    def write(self, part: Emitted) -> None:
        """Shows what may be shown now."""
        if part.text:
            self.write_text(part.text, part.role)

    def write_text(self, text: str, role: ModelRole) -> None:
        """Shows some text by `role`."""
        shown = self._turn(role) + printable(text)
        self._at_line_start = text.endswith("\n")  # first: Ctrl-C may come during the writing
        self._stream.write(shown)
        self._stream.flush()

    def end(self) -> None:
        """Ends the line, and whatever mark is open."""
        closing = self._turn(None)
        self._stream.write(closing if self._at_line_start else closing + "\n")
        self._stream.flush()
        self._at_line_start = True

    def _turn(self, role: ModelRole | None) -> str:
        old, self._role = self._role, role
        if old is role or self._marks is Marks.NONE:
            return ""
        if self._marks is Marks.COLOUR:
            return _PLAIN if role is None else _STYLE[role]
        return "›" * (old is ModelRole.SMALL) + "‹" * (role is ModelRole.SMALL)
