"""transformers' ``apply_chat_template``, asked what the gateway is asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from jinja2 import TemplateError

from relaygen.chat.tool_calls import CallHistory
from tests.chat.scenarios import SCENARIOS, VARIABLES
from tests.chat.well_known import NOW, Family

_FAILURES = (TemplateError, TypeError, ValueError, LookupError, AttributeError)


@pytest.fixture(scope="module", autouse=True)
def stopped_clock() -> Iterator[None]:
    """transformers' ``strftime_now`` says `NOW`."""
    utilities = pytest.importorskip("transformers.utils.chat_template_utils")

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls(NOW.year, NOW.month, NOW.day)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "datetime", Clock)
        yield


def asked(scenario: str, family: Family) -> dict[str, Any]:
    """The request of a scenario, with the family's own switch for thinking and its variables."""
    request = copy.deepcopy(SCENARIOS[scenario])
    wanted = request.pop("chat_template_kwargs", {}).get("enable_thinking")
    if wanted is not None:
        on, off = family.switch or ({}, {})
        request["chat_template_kwargs"] = dict(on if wanted else off)
    if scenario == VARIABLES:
        request["chat_template_kwargs"] = dict(family.variables)
    return request


def as_shown(messages: list[dict[str, Any]], history: CallHistory | None) -> list[dict[str, Any]]:
    """The messages with the calls in the form in which the template takes them."""
    history = history or CallHistory()
    shown = copy.deepcopy(messages)
    for message in shown:
        if "tool_call_id" in message:
            message["tool_call_id"] = history.call_id(message["tool_call_id"])
        if "tool_calls" in message and history.empty_content:
            message["content"] = message["content"] or ""
        for call in message.get("tool_calls", []):
            call["id"] = history.call_id(call["id"])
            if not history.arguments_as_text:
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        if "reasoning_content" in message:  # a template may read either name
            message["reasoning"] = message["reasoning_content"]
    return shown


@dataclass(frozen=True)
class Refused:
    """The template did not render; the beginning of what it said."""

    words: str


def rendered(
    family: Family, request: Mapping[str, Any], history: CallHistory | None
) -> str | Refused:
    """What transformers makes of a request.

    Where a template fails on a message with calls and no content, the content is ``None``, as up to
    transformers 4.
    """
    from transformers import PreTrainedTokenizerFast
    from transformers.utils.chat_template_utils import render_jinja_template

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=family.backend, bos_token=family.bos, eos_token=family.eos
    )
    messages = as_shown(request["messages"], history)
    continued = request.get("continue_final_message", False)
    options = {
        "tools": request.get("tools"),
        "chat_template": family.source,
        "add_generation_prompt": request.get("add_generation_prompt", not continued),
        "continue_final_message": continued,
        **request.get("chat_template_kwargs", {}),
    }
    text: str
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except _FAILURES as error:
        if any(message["content"] is None for message in messages):
            with suppress(*_FAILURES):
                special = tokenizer.special_tokens_map
                (text,), _ = render_jinja_template([messages], **options, **special)
                return text
        return Refused(" ".join(str(error).split())[:100])
    return text
