"""Trace files are read back whole, or refused with the place of the mistake."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relaygen.errors import InvalidRequestError
from relaygen.views.recorded import generations, question
from tests.views.generations import QUESTION, generation, hostile


def test_one_generation_and_several_come_back_whole() -> None:
    made = [generation(), hostile(), generation(margins=False)]
    for one in made:
        assert generations(json.dumps(one).encode(), "t.json") == [one]
    assert generations(json.dumps({"generations": made}).encode(), "t.json") == made


def test_stream_of_another_server_is_a_trace_without_roles() -> None:
    made = generation("")
    for segment in made["trace"]["segments"]:
        segment |= {"role": None, "token_ids": None, "margins": None, "ended_by": None}
    made["trace"] |= {"utilisation": None, "handoffs": None, "overrun_tokens": None}
    made |= {"usage": None}
    assert generations(json.dumps(made).encode(), "t.json") == [made]


def _without(made: dict[str, Any], *path: str | int, value: Any = None) -> bytes:
    here: Any = made
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return json.dumps(made).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"GGUF\x00\xff", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no trace"),
        (b"{}", "missing required field"),
        (b'{"generations": []}', "length >= 1"),
        (b'{"generations": {}}', r"\$\.generations"),
        (_without(generation(), "trace", "segments"), r"\$\.trace\.segments"),
        (_without(generation(), "trace", "segments", 0, "role", value="boss"), "'boss'"),
        (_without(generation(), "trace", "segments", 0, "margins", value=[2]), r"margins"),
        (_without(generation(), "trace", "wall_s", value=-1), r"\$\.trace\.wall_s"),
        (_without(generation(), "finish_reason", value="tired"), "'tired'"),
        (_without(generation(), "schema_version", value=2), r"\$\.schema_version"),
        (b'{"choices": []}', "length >= 1"),
        (b'{"choices": [{"relaygen": {"trace": {"segments": []}}}]}', "wall_s"),
        (b'{"segments": [1], "wall_s": 1}', r"\$\.segments\[0\]"),
    ],
)
def test_what_is_no_trace_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as raised:
        generations(data, "t.json")
    assert str(raised.value).startswith("t.json ")
    assert "relaygen run --trace" in str(raised.value)


def test_depth_has_a_limit() -> None:
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        generations(b"[" * 100_000, "t.json")


def test_question_is_what_was_asked() -> None:
    assert question(generation()) == [("user", QUESTION)]
    assert question({"text": ""}) is None
