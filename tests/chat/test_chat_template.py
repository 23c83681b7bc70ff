from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from relaygen.chat import ChatTemplate
from relaygen.errors import ChatTemplateError, InvalidRequestError
from tests.chat.families import FAMILIES

SPECIAL = {"bos_token": "<s>", "eos_token": "<|im_end|>"}
USER = {"role": "user", "content": "Is 3 < 5? <b>é</b> \n "}
SYSTEM = {"role": "system", "content": "Be brief."}
REPLY = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."}
PLAIN_REPLY = {"role": "assistant", "content": "Yes, it"}
TOOLS = [{"type": "function", "function": {"name": "größer", "parameters": {"a": "<b>"}}}]
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "user": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [USER, REPLY, USER]},
    "replied": {"messages": [USER, REPLY], "add_generation_prompt": False},
    "continued": {
        "messages": [USER, PLAIN_REPLY],
        "add_generation_prompt": False,
        "continue_final_message": True,
    },
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "thinking off": {"messages": [USER], "enable_thinking": False},
}


@pytest.fixture(scope="module")
def reference() -> Callable[..., str]:
    utilities = pytest.importorskip("transformers.utils.chat_template_utils")

    def render(source: str, messages: list[dict[str, Any]], **options: Any) -> str:
        options = {"add_generation_prompt": True} | SPECIAL | options
        rendered = utilities.render_jinja_template([messages], chat_template=source, **options)
        text: str = rendered[0][0]
        return text

    return render


@pytest.mark.hf
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_renders_as_transformers_does(
    family: str, conversation: str, reference: Callable[..., str]
) -> None:
    options = CONVERSATIONS[conversation]
    expected = reference(FAMILIES[family], **options)
    assert ChatTemplate(FAMILIES[family], SPECIAL).render(**options) == expected


def test_reasoning_is_found_under_either_name() -> None:
    template = ChatTemplate("{{ messages[0].reasoning_content }}|{{ messages[0].reasoning }}")
    for name in ("reasoning", "reasoning_content"):
        message = {"role": "assistant", "content": "x", name: "why"}
        assert template.render([message]) == "why|why"


def test_the_clock_is_the_callers() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }}", now=lambda: datetime(2026, 2, 3))
    assert template.render([USER]) == "03 Feb 2026"


def test_the_templates_own_refusal_is_the_message() -> None:
    with pytest.raises(ChatTemplateError, match="roles must alternate") as caught:
        ChatTemplate(FAMILIES["mistral"], SPECIAL).render([USER, USER])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"content": "x"}],
        [{"role": "think", "content": "x"}],
        ["x"],
        [{"role": "user", "content": object()}],
    ],
)
def test_bad_messages_are_refused(messages: Any) -> None:
    with pytest.raises(InvalidRequestError):
        ChatTemplate(FAMILIES["qwen"]).render(messages)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999999) %}{% endfor %}",
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s='aa') %}{% for i in range(60) %}"
        "{% set n.s = n.s.replace('a', n.s) %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
        "{{ n.x | tojson }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
        "{{ n.x }}",
        "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'a' | center(10 ** 9) }}",
        "{{ 'a'.ljust(10 ** 9) }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '%0999999999d' | format(1) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ range(99999) | map('center', 99999) | join }}",
        "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% for m in messages recursive %}{{ loop(messages) }}{{ loop(messages) }}{% endfor %}",
    ],
)
def test_a_costly_template_is_stopped(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        ChatTemplate(source).render([USER])


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ self._TemplateReference__context.vars }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ ('%s' | attr('__class__')).x }}",
        "{{ '{0.__class__.__mro__}'.format(1).x.y }}",
        "{% set n = namespace() %}{% set n.__class__ = 1 %}",
        "{% include '/etc/passwd' %}",
        "{{ lipsum() }}",
    ],
)
def test_pythons_internals_are_out_of_reach(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        ChatTemplate(source).render([USER])


@pytest.mark.parametrize(
    "source", ["{% if %}", "{{ x", "{{ " + "(" * 5000 + " }}", "x" * 1_000_001]
)
def test_a_template_that_does_not_compile_is_refused(source: str) -> None:
    with pytest.raises(ChatTemplateError) as caught:
        ChatTemplate(source)
    assert "\n" not in str(caught.value)


def test_a_message_cannot_be_continued_that_the_template_drops() -> None:
    with pytest.raises(ChatTemplateError, match="leaves out the last message"):
        ChatTemplate("fixed").render([PLAIN_REPLY], continue_final_message=True)
