"""The formats without a JSON envelope: Qwen3-Coder's and Seed-OSS's XML, GLM's pairs, Mistral's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.chat.tool_calls import (
    FORMATS,
    Offered,
    ToolCall,
    ToolCallFormat,
    ToolCallParser,
    detect_tool_calls,
)
from tests.chat.reading import read_all
from tests.chat.well_known import FAMILIES

BY_NAME = {known.name: known for known in FORMATS}
CODER, SEED, GLM = BY_NAME["qwen3-coder"], BY_NAME["seed-oss"], BY_NAME["glm"]
MISTRAL = BY_NAME["mistral"]
OFFERED: Offered = {
    "add": {
        "type": "object",
        "properties": {
            "s": {"type": "string"},
            "pick": {"enum": ["1", "2"]},
            "n": {"type": "integer"},
            "on": {"type": "boolean"},
            "list": {"type": "array"},
            "maybe": {"type": ["string", "null"]},
            "zip": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "code": {"$ref": "#/$defs/code"},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "loop": {"$ref": "#/$defs/loop"},
        },
        "$defs": {"code": {"type": "string"}, "loop": {"anyOf": [{"$ref": "#/$defs/loop"}] * 2}},
    },
    "now": {},
}
HOSTILE = (
    "</tool_call>",
    "<tool_call>",
    '"',
    "</parameter>",
    "</arg_value>",
    "</function>",
    "[TOOL_CALLS]",
    "<",
    "1",
    "\n",
    " x",
    "\\",
    "{",
    "é",
)


def read(known: ToolCallFormat, *chunks: str) -> list[str | ToolCall]:
    """What comes out, neighbouring texts in one piece."""
    return read_all(ToolCallParser(known, OFFERED), chunks)


def coder(name: str, arguments: dict[str, str], tag: str = "tool_call") -> str:
    body = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in arguments.items())
    return f"<{tag}>\n<function={name}>\n{body}</function>\n</{tag}>"


def seed(name: str, arguments: dict[str, str]) -> str:
    return coder(name, arguments, "seed:tool_call")


def glm(name: str, arguments: dict[str, str]) -> str:
    body = "".join(
        f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in arguments.items()
    )
    return f"<tool_call>{name}\n{body}</tool_call>"


WRITERS: dict[str, tuple[ToolCallFormat, Callable[[str, dict[str, str]], str]]] = {
    "qwen3-coder": (CODER, coder),
    "seed-oss": (SEED, seed),
    "glm": (GLM, glm),
}
written = pytest.mark.parametrize(("known", "write"), WRITERS.values(), ids=WRITERS)
chunked = st.lists(st.integers(0, 400), max_size=8)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted(min(at, len(text)) for at in cuts)
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def arguments_of(found: str | ToolCall) -> Any:
    assert isinstance(found, ToolCall)
    return json.loads(found.arguments)


@written
def test_bare_values_get_the_types_of_the_schema(
    known: ToolCallFormat, write: Callable[[str, dict[str, str]], str]
) -> None:
    given_ = {
        "s": "12",
        "pick": "2",
        "n": "12",
        "on": "True",
        "list": '["a", 1]',
        "maybe": "None",
        "zip": "90210",
        "code": "007",
        "either": "7",
        "loop": "7",
        "unknown": '{"x": [1]}',
    }
    (found,) = read(known, write("add", given_))
    assert arguments_of(found) == {
        "s": "12",
        "pick": "2",
        "n": 12,
        "on": True,
        "list": ["a", 1],
        "maybe": None,
        "zip": "90210",
        "code": "007",
        "either": 7,
        "loop": 7,
        "unknown": {"x": [1]},
    }


@written
@pytest.mark.parametrize("value", ["twelve", "[1", "1e999999", "NaN", ""])
def test_a_value_that_is_not_of_its_type_stays_text(
    known: ToolCallFormat, write: Callable[[str, dict[str, str]], str], value: str
) -> None:
    (found,) = read(known, write("add", {"n": value}))
    assert arguments_of(found) == {"n": value}


@written
@given(value=st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join), cuts=chunked)
def test_a_hostile_string_arrives_whole_or_the_call_stays_text(
    known: ToolCallFormat,
    write: Callable[[str, dict[str, str]], str],
    value: str,
    cuts: list[int],
) -> None:
    text = write("add", {"s": value, "n": "3"})
    out = read(known, *cut(text, cuts))
    if out == [text]:
        return
    (found,) = out
    assert arguments_of(found) == {"s": value, "n": 3}


@written
@pytest.mark.parametrize(
    "value", ["</tool_call>", 'say "hi', "</function>\n", "a\n\n b", "<tool_call>"]
)
def test_a_string_may_hold_tags_and_quotes(
    known: ToolCallFormat, write: Callable[[str, dict[str, str]], str], value: str
) -> None:
    (found,) = read(known, *write("add", {"s": value}))
    assert arguments_of(found) == {"s": value}


@written
def test_several_calls_and_the_text_before_them(
    known: ToolCallFormat, write: Callable[[str, dict[str, str]], str]
) -> None:
    text = f"I look.\n\n{write('now', {})}\n{write('add', {'s': 'x'})}\n"
    assert read(known, *text) == ["I look.", ToolCall("now", "{}"), ToolCall("add", '{"s":"x"}')]


MALFORMED = [
    (CODER, coder("unknown", {})),
    (CODER, "<tool_call>\n<function=add>\n</tool_call>"),
    (CODER, "<tool_call>\n<function=add>\n<parameter=s>\nx\n</function>\n</tool_call>"),
    (CODER, "<tool_call>\n<function=add>\nx\n<parameter=s>\nx\n</parameter></function></tool_call>"),
    (CODER, coder("add", {"s": "x"}).replace("</function>", "<parameter=s>y</parameter></function>")),
    (CODER, "<tool_call>\n<function=></function></tool_call>"),
    (CODER, '<tool_call>{"name": "add", "arguments": {}}</tool_call>'),
    (CODER, "<tool_call><function=add><parameter=s>x"),
    (GLM, glm("unknown", {})),
    (GLM, "<tool_call></tool_call>"),
    (GLM, "<tool_call>add\n<arg_key>s</arg_key>\n</tool_call>"),
    (GLM, "<tool_call>add and more</tool_call>"),
    (GLM, "<tool_call>add\n<arg_key>s</arg_key><arg_value>x</tool_call>"),
    (GLM, glm("add", {"s": "x"}).replace("</tool_call>", "<arg_key>s</arg_key><arg_value></arg_value></tool_call>")),
    (MISTRAL, "[TOOL_CALLS]"),
    (MISTRAL, "[TOOL_CALLS]add"),
    (MISTRAL, "[TOOL_CALLS]unknown[ARGS]{}"),
    (MISTRAL, "[TOOL_CALLS]add[ARGS][1]"),
    (MISTRAL, '[TOOL_CALLS]add[ARGS]{"a": }'),
    (MISTRAL, '[TOOL_CALLS]add{"a": 1} and so on'),
    (MISTRAL, "[TOOL_CALLS][]"),
    (MISTRAL, '[TOOL_CALLS][{"name": "add", "arguments": "x"}]'),
    (MISTRAL, '[TOOL_CALLS][{"name": "add"}, {"name": "unknown"}]'),
]  # fmt: skip


@pytest.mark.parametrize(("known", "text"), MALFORMED)
def test_a_malformed_call_stays_content(known: ToolCallFormat, text: str) -> None:
    assert read(known, text) == [text]
    assert read(known, *text) == [text]
    assert read(known, f"So.{text}") == [f"So.{text}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[TOOL_CALLS][{"name": "add", "arguments": {"n": 1}, "id": "abcdefghi"}]', ['{"n": 1}']),
        (
            '[TOOL_CALLS][{"name": "add", "arguments": {"n": 1}}, {"name": "now"}]',
            ['{"n": 1}', "{}"],
        ),
        ('[TOOL_CALLS]add[ARGS]{"n": 1}[TOOL_CALLS]now[ARGS]{}', ['{"n": 1}', "{}"]),
        ('[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{"n": 1}', ['{"n": 1}']),
        ('[TOOL_CALLS]add{"n": 1}\n', ['{"n": 1}']),
        ('[TOOL_CALLS]add[ARGS]{"s": "[TOOL_CALLS]\\"}"}', ['{"s": "[TOOL_CALLS]\\"}"}']),
    ],
)
def test_calls_in_the_format_of_mistral(text: str, expected: list[str]) -> None:
    for chunks in ([text], list(text)):
        out = read(MISTRAL, "I look. ", *chunks)
        assert out[0] == "I look."
        assert [call.arguments for call in out[1:] if isinstance(call, ToolCall)] == expected
        assert len(out) == len(expected) + 1


def test_a_malformed_call_of_mistrals_leaves_the_next_one() -> None:
    text = "[TOOL_CALLS]add[ARGS]{x}[TOOL_CALLS]now[ARGS]{}"
    assert read(MISTRAL, *text) == ["[TOOL_CALLS]add[ARGS]{x}", ToolCall("now", "{}")]


def test_a_long_run_of_blanks_costs_little() -> None:
    text = f"[TOOL_CALLS]add{' ' * 200_000}x"
    assert read(MISTRAL, text) == [text]


_PIECES = st.sampled_from(
    [
        coder("add", {"s": "x"}), seed("now", {}), glm("add", {"n": "1"}), "[TOOL_CALLS]",
        'add[ARGS]{"n": 1}', *HOSTILE, "<function=add>", "<arg_key>", "<arg_value>", "So. ",
    ]
)  # fmt: skip


@pytest.mark.parametrize("known", FORMATS, ids=BY_NAME)
@given(text=st.lists(_PIECES, max_size=8).map("".join), cuts=chunked)
def test_any_chunking_gives_the_same_and_no_text_is_lost(
    known: ToolCallFormat, text: str, cuts: list[int]
) -> None:
    out = read(known, text)
    assert read(known, *cut(text, cuts)) == out
    if all(isinstance(piece, str) for piece in out):
        assert "".join(map(str, out)) == text


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_template_of_a_family_names_its_format(family: Any) -> None:
    known = detect_tool_calls(family.source)
    assert (known and known.name) == family.calls
