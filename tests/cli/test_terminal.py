"""Roles on the screen, with and without colour; text that cannot control it."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.cli.terminal import Marks, RoleWriter, in_colour, marks_for
from relaygen.types import ModelRole
from relaygen.views.printable import escaped_json, one_line, printable

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _written(marks: Marks, *parts: tuple[str, ModelRole]) -> str:
    stream = io.StringIO()
    writer = RoleWriter(stream, marks)
    for text, role in parts:
        writer.write_text(text, role)
    writer.end()
    return stream.getvalue()


def test_colours_and_brackets() -> None:
    parts = (("So,", LARGE), (" it", SMALL), (" is.", SMALL), ("\n", LARGE))
    assert _written(Marks.COLOUR, *parts) == "\x1b[36mSo,\x1b[33m it is.\x1b[36m\n\x1b[0m"
    assert _written(Marks.BRACKETS, *parts) == "So,‹ it is.›\n"
    assert _written(Marks.BRACKETS, *parts[:2]) == "So,‹ it›\n"
    assert _written(Marks.NONE, *parts) == "So, it is.\n"


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert in_colour(_Terminal())
    assert not in_colour(io.StringIO())
    assert marks_for(io.StringIO()) is Marks.NONE
    assert marks_for(io.StringIO(), always=True) is Marks.BRACKETS
    monkeypatch.setenv("NO_COLOR", "1")
    assert marks_for(_Terminal()) is Marks.BRACKETS
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert marks_for(_Terminal()) is Marks.BRACKETS


@given(st.text())
def test_printable_text_has_no_controls(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
    assert "\n" not in one_line(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_means_the_same(text: str) -> None:
    encoded = escaped_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(encoded) == {"text": text}
    assert printable(encoded) == encoded
