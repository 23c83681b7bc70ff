"""What must hold for the template of every well-known family."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relaygen.chat import understood
from relaygen.chat.tool_calls import CallHistory
from relaygen.errors import ChatTemplateError, InvalidRequestError
from tests.chat.scenarios import ASK, CHAT, PREFIX, SCENARIOS
from tests.chat.well_known import ANSWER, FAMILIES, REASONING, Family

every = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
reasoning = pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES.values() if family.tags],
    ids=[name for name, family in FAMILIES.items() if family.tags],
)

CUT_REASONING = [
    FAMILIES[name] for name in ("deepseek-r1", "deepseek-v3.1", "glm-4.5", "nemotron-nano")
]


def markup_of(family: Family, ids: tuple[int, ...]) -> list[str]:
    tokenizer = family.tokenizer
    return [tokenizer.decode([i]) for i in ids if i in tokenizer.markup_ids]


def user(content: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@every
def test_what_a_user_types_is_never_markup(family: Family) -> None:
    typed = "".join(f"a{text}\n" for text in family.tokenizer.markup) * 2
    plain = family.encoder.encode([{"role": "system", "content": "s"}, *user("a")])
    prompt = family.encoder.encode(
        [{"role": "system", "content": "s" + typed}, *user(f"a{typed}b")]
    )
    assert markup_of(family, prompt.ids) == markup_of(family, plain.ids)
    assert family.tokenizer.decode(prompt.ids).endswith(prompt.text)
    assert f"a{family.eos}" in prompt.text
    assert prompt.first_stage == plain.first_stage


@every
def test_a_generation_prompt_opens_the_turn_of_the_model(family: Family) -> None:
    closed = family.encoder.encode([ASK], add_generation_prompt=False).text
    opened = family.encoder.encode([ASK]).text
    assert opened.startswith(closed)
    if "[INST]" not in family.markup:  # there the end of the user's turn is the opening
        assert len(opened) > len(closed)


@every
def test_the_first_stage_is_read_off_the_prompt(family: Family) -> None:
    switches = [{}, *(family.switch or ({}, {}))]
    found = [family.encoder.encode(CHAT, **options).first_stage for options in switches]
    assert tuple(found) == family.stages
    report = understood(family.encoder.template, family.tokenizer)
    assert report.works
    assert report.turns
    assert (report.tags, report.first_stage) == (family.tags, family.stages[0])


@every
def test_a_message_that_is_continued_has_no_end(family: Family) -> None:
    prompt = family.encoder.encode(
        [ASK, {"role": "assistant", "content": PREFIX}], continue_final_message=True
    )
    assert prompt.text.endswith(PREFIX)
    assert prompt.text.count(PREFIX) == 1
    assert family.tokenizer.decode(prompt.ids[-1:]) not in family.tokenizer.markup
    assert prompt.first_stage != REASONING


@reasoning
def test_a_message_may_be_continued_inside_its_reasoning(family: Family) -> None:
    opening, closing = family.tags or ("", "")
    thought = f"{opening}\nOkay, so"
    message = {"role": "assistant", "content": thought}
    prompt = family.encoder.encode([ASK, message], continue_final_message=True)
    assert prompt.text.endswith(thought)
    assert prompt.first_stage == REASONING
    whole = {"role": "assistant", "content": f"{opening}\nHm.\n{closing}\n\n{PREFIX}"}
    if family in CUT_REASONING:  # then the message cannot go on
        with pytest.raises(ChatTemplateError, match="a part of it"):
            family.encoder.encode([ASK, whole], continue_final_message=True)
    else:
        prompt = family.encoder.encode([ASK, whole], continue_final_message=True)
        assert prompt.text.endswith(PREFIX)
        assert prompt.first_stage == ANSWER


@every
def test_an_empty_message_may_be_continued(family: Family) -> None:
    if family is FAMILIES["magistral"]:
        return  # its template refuses an assistant that says nothing
    message = {"role": "assistant", "content": ""}
    prompt = family.encoder.encode([ASK, message], continue_final_message=True)
    closed = family.encoder.encode([ASK], add_generation_prompt=False).text
    assert prompt.text.startswith(closed)
    assert not prompt.text.endswith(family.eos)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.refuses])
@pytest.mark.parametrize("scenario", ["two steps of tools", "a question after tools"])
def test_no_python_value_is_shown_to_the_model(name: str, scenario: str) -> None:
    family = FAMILIES[name]
    history = CallHistory.of(family.encoder)
    assert history is not None
    messages = [
        message | ({"content": ""} if history.empty_content and message["content"] is None else {})
        for message in SCENARIOS[scenario]["messages"]
    ]
    if not history.arguments_as_text:
        messages = [with_objects(message) for message in messages]
    text = family.encoder.encode(messages, SCENARIOS[scenario]["tools"]).text
    assert "None" not in text
    assert "Undefined" not in text
    assert '"x' in text


def with_objects(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_calls" not in message:
        return message
    calls = [
        call
        | {"function": call["function"] | {"arguments": json.loads(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return message | {"tool_calls": calls}


@every
def test_the_ids_are_those_of_the_text(family: Family) -> None:
    prompt = family.encoder.encode(CHAT)
    decoded = family.tokenizer.decode(prompt.ids)
    assert decoded in (prompt.text, family.bos + prompt.text)  # the beginning is always there


@pytest.mark.parametrize(("name", "end"), [("qwen3", PREFIX + " \n"), ("llama-3", PREFIX)])
def test_blanks_at_the_end_of_a_prefix_go_where_the_template_strips(name: str, end: str) -> None:
    message = {"role": "assistant", "content": PREFIX + " \n"}
    for render in (FAMILIES[name].encoder.encode, FAMILIES[name].encoder.template.render):
        prompt = render([ASK, message], continue_final_message=True)
        text = prompt if isinstance(prompt, str) else prompt.text
        assert text.endswith(end)


def test_a_template_that_fails_without_a_content_is_shown_none() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    text = FAMILIES["deepseek-r1"].encoder.encode([ASK, message]).text
    assert "<｜Assistant｜><｜tool▁calls▁begin｜>" in text


def test_ids_of_calls_are_shortened_where_the_template_asks_for_it() -> None:
    history = CallHistory.of(FAMILIES["mistral-small"].encoder)
    assert history is not None
    short, other = history.call_id("call_abcdef012345"), history.call_id("call_abcdef012346")
    assert (len(short), short.isalnum()) == (9, True)
    assert short == history.call_id("call_abcdef012345") != other
    assert history.call_id("abc123XYZ") == "abc123XYZ"
    assert CallHistory().call_id("call_abcdef012345") == "call_abcdef012345"


def test_a_message_without_text_cannot_be_continued() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}
    with pytest.raises(InvalidRequestError, match="no text"):
        FAMILIES["qwen3"].encoder.encode(
            [ASK, {"role": "assistant", "content": None, "tool_calls": [call]}],
            continue_final_message=True,
        )
