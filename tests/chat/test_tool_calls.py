"""Tool calls in text: found for any chunking, and what is no call stays what it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.chat import ChatEncoder, ChatTemplate
from relaygen.chat.tool_calls import (
    FORMATS,
    CallHistory,
    Offered,
    ToolCall,
    ToolCallFormat,
    ToolCallParser,
    detect_tool_calls,
)
from relaygen.chat.tool_calls.format import OutsideStrings
from relaygen.tokens import Tokenizer
from tests.chat.reading import read_all

HERMES, DEEPSEEK, DEEPSEEK_BARE = FORMATS[:3]
OFFERED: Offered = {"add": {}, "now": {}}
ADD = '{"name": "add", "arguments": {"a": 1, "b": "</tool_call> \\" }"}}'
ARGUMENTS = '{"a": 1, "b": "</tool_call> \\" }"}'
FENCED = '<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 1}\n```<｜tool▁call▁end｜>'
BARE = '<｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 2}<｜tool▁call▁end｜>'


def read(known: ToolCallFormat, *chunks: str) -> list[str | ToolCall]:
    """What comes out, neighbouring texts in one piece."""
    return read_all(ToolCallParser(known, OFFERED), chunks)


def call(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (call(ADD), [ToolCall("add", ARGUMENTS)]),
        (call('{"name": "now"}'), [ToolCall("now", "{}")]),
        (call('{"name": "now", "arguments": "{\\"a\\":1}"}'), [ToolCall("now", '{"a":1}')]),
        (f"\n\nFirst.\n{call(ADD)}", ["\n\nFirst.", ToolCall("add", ARGUMENTS)]),
        (f"{call(ADD)}\n{call(ADD)}\n", [ToolCall("add", ARGUMENTS)] * 2),
        (f"{call(ADD)}\nDone.\n", [ToolCall("add", ARGUMENTS), "\nDone.\n"]),
        (f"<tool_call>{ADD}", [ToolCall("add", ARGUMENTS)]),  # the end of sequence closed it
    ],
)
def test_calls_in_the_format_of_hermes(text: str, expected: list[str | ToolCall]) -> None:
    assert read(HERMES, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "No call at all.\n\n",
        "a < b, <tool_cal and <tool_call",
        call("{not json}"),
        call('{"name": "unknown", "arguments": {}}'),
        call('{"name": "add", "arguments": [1]}'),
        call('{"name": "add", "arguments": {"a": "open }'),
        "<tool_call>",
        'text <tool_call>{"name": "add", "argu',
        "</tool_call>",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert read(HERMES, text) == [text]


@pytest.mark.parametrize("known", FORMATS[:3], ids=lambda known: known.name)
def test_a_call_put_together_from_its_parts_is_one(known: ToolCallFormat) -> None:
    parts = known.parts
    assert parts is not None
    text = f'{parts.before_name}add{parts.before_arguments}{{"a": 1}}{parts.after_arguments}'
    assert text.startswith(known.opening)
    assert text.endswith(known.closing)
    assert read(known, text) == [ToolCall("add", '{"a": 1}')]


def test_calls_in_the_format_of_deepseek() -> None:
    calls = [ToolCall("add", '{"a": 1}'), ToolCall("add", '{"a": 2}')]
    text = f"I look.\n<｜tool▁calls▁begin｜>{FENCED}\n{BARE}<｜tool▁calls▁end｜>"
    assert read(DEEPSEEK, text) == ["I look.", *calls]
    broken = f"<｜tool▁calls▁begin｜>{FENCED} and so on<｜tool▁calls▁end｜>"
    assert read(DEEPSEEK, broken) == [broken]


_PIECES = st.sampled_from(
    [call(ADD), call("{"), "<tool_call>", "</tool_call>", "\n", " ", '"', "So. ", "<", "tool_call>"]
)


@given(st.lists(_PIECES, max_size=8).map("".join), st.data())
def test_any_chunking_gives_the_same(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(HERMES, *chunks) == read(HERMES, text)


@given(st.lists(_PIECES, max_size=8).map("".join))
def test_no_text_is_lost_where_there_is_no_call(text: str) -> None:
    out = read(HERMES, text)
    if all(isinstance(piece, str) for piece in out):
        assert "".join(map(str, out)) == text


def test_ordinary_text_does_not_wait() -> None:
    parser = ToolCallParser(HERMES, OFFERED)
    assert parser.feed("The sum") == ["The sum"]
    assert parser.feed(" is 3. ") == [" is 3."]
    assert parser.feed("<b>") == [" <b>"]


def test_the_template_says_which_format() -> None:
    assert detect_tool_calls('<tool_call>{"name": x, "arguments": y}') is HERMES
    assert detect_tool_calls("<｜tool▁call▁begin｜>function<｜tool▁sep｜>```json") is DEEPSEEK
    assert detect_tool_calls("<｜tool▁call▁begin｜>name<｜tool▁sep｜>") is DEEPSEEK_BARE
    assert detect_tool_calls('<tool_call>{"arguments": <arg_key>') is None
    assert detect_tool_calls('<tool_call><invoke name="f"> "arguments"') is None
    assert detect_tool_calls("{{ messages }}") is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (
            "{{ m.content or '' }}{{ c.function.name ~ c.function.arguments | tojson }}",
            (False, False),
        ),
        ("{{ m.content + c.function.name }}{{ c.function.arguments | tojson }}", (True, False)),
        ("{{ c.function.name + c.function.arguments }}", (False, True)),
        (
            "{% if m.content is none %}{{ c.function.name + c.function.arguments }}"
            "{% else %}{{ m.content + c.function.name }}{% endif %}",
            (False, True),
        ),
        ("", None),
    ],
)
def test_how_a_template_takes_calls(
    shown: str, expected: tuple[bool, bool] | None, tokenizer: Tokenizer
) -> None:
    each = "{% for m in messages %}{% for c in m.tool_calls or [] %}SHOWN{% else %}{{ m.content }}{% endfor %}{% endfor %}"
    template = ChatTemplate(each.replace("SHOWN", shown), tokenizer.special_tokens)
    found = CallHistory.of(ChatEncoder(tokenizer, template))
    assert expected == (found and (found.empty_content, found.arguments_as_text))


def test_arguments_are_json_of_the_models_own_spelling() -> None:
    (found,) = read(HERMES, call('{"name": "add", "arguments": {"a" :  1.0}}'))
    assert isinstance(found, ToolCall)
    assert found.arguments == '{"a" :  1.0}'
    assert json.loads(found.arguments) == {"a": 1.0}


@given(
    st.lists(st.sampled_from(['"', "\\", '\\"', "a", "</tool_call>", "{", "\n"]), max_size=12),
    st.data(),
)
def test_strings_are_told_apart_in_pieces_as_in_the_whole(
    parts: list[str], data: st.DataObject
) -> None:
    body = "".join(parts)
    known = OutsideStrings()
    for end in sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5))):
        inside = escaped = False
        for letter in body[:end]:
            if escaped:
                escaped = False
            elif inside and letter == "\\":
                escaped = True
            elif letter == '"':
                inside = not inside
        assert known(body[:end]) is not inside


def test_tags_by_the_thousand_in_a_string_that_never_ends_stay_text() -> None:
    text = '<tool_call>{"name": "add", "arguments": {"a": "' + '\\"</tool_call>' * 20_000
    assert "".join(map(str, read(HERMES, text))) == text  # minutes, if each were read anew
