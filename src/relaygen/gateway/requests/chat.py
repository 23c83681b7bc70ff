"""A chat request: its messages, its form, and how the model is to think."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from relaygen.api import Constraint, ConstraintKind, Options
from relaygen.chat import PromptTokens
from relaygen.gateway.failures import conflicting, refused, unsupported
from relaygen.gateway.requests import limits
from relaygen.gateway.requests.messages import template_messages
from relaygen.gateway.requests.relay_fields import relay_options
from relaygen.gateway.requests.tools import Tools, tools_of
from relaygen.gateway.service import Service
from relaygen.gateway.wire.chat_request import ChatRequest

MAX_TOP_LOGPROBS = 20
_RESERVED = ("messages", "tools", "add_generation_prompt", "continue_final_message")


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedChat:
    """A chat request in the library's terms.

    Attributes:
        prompt: rendered.
        options: of every choice, but for what tells choices apart.
        tools: what may be called.
        logprobs: whether to list them.
    """

    prompt: PromptTokens
    options: Options
    tools: Tools
    logprobs: bool


def read_chat(request: ChatRequest, service: Service) -> AskedChat:
    """Checks everything and renders the prompt.

    Raises:
        HttpError: something in it cannot be honoured.
        RelayGenError: likewise, where the library found it.
    """
    limits.check_common(request)
    if request.modalities is not None and request.modalities != ["text"]:
        raise unsupported("modalities", "these models write text only; send ['text']")
    options = relay_options(request, service)
    tools = tools_of(request, service)
    form = _form(request)
    if form is not None and tools.forced is not None:
        raise conflicting(
            "response_format", "response_format and a forced tool_choice exclude another"
        )
    messages = template_messages(
        request.messages,
        developer="developer" in service.template_source,
        history=service.call_history,
    )
    continued = _continued(request)
    if continued and (form or tools.forced):
        raise conflicting(
            "continue_final_message",
            "continue_final_message asks for the rest of an answer, and only a whole one can be "
            "held to a form; leave it out",
        )
    options = replace(
        options,
        max_tokens=_max_tokens(request),
        sampling=limits.sampling(request, service.relay),
        seed=limits.seed(request),
        stop=limits.stops(request),
        margins=options.margins or bool(request.logprobs),
        top_logprobs=_top_logprobs(request),
        template=_template_variables(request, service),
        tools=tools.shown,
        add_generation_prompt=not continued and request.add_generation_prompt is not False,
        continue_final_message=continued,
        constraint=form or tools.forced,
        stream_form=bool(request.stream) and tools.forced is None,  # a call is sent whole
    )
    return AskedChat(
        prompt=service.relay.prompt(messages, options),
        options=options,
        tools=tools,
        logprobs=bool(request.logprobs),
    )


def _max_tokens(request: ChatRequest) -> int | None:
    one, other = request.max_tokens, request.max_completion_tokens
    if one is not None and other is not None and one != other:
        raise conflicting(
            "max_tokens",
            f"max_tokens is {one} and max_completion_tokens is {other}; they are two names of one "
            "limit, so send max_completion_tokens alone",
        )
    if other is not None and other < 1:
        raise refused(
            "max_completion_tokens", f"max_completion_tokens is {other}; it must be at least 1"
        )
    return one if other is None else other


def _top_logprobs(request: ChatRequest) -> int:
    count = request.top_logprobs or 0
    if not 0 <= count <= MAX_TOP_LOGPROBS:
        raise refused(
            "top_logprobs",
            f"top_logprobs is {count}; it must be between 0 and {MAX_TOP_LOGPROBS}",
        )
    if count and not request.logprobs:
        raise conflicting("top_logprobs", "top_logprobs needs logprobs: true")
    return count


def _continued(request: ChatRequest) -> bool:
    """Whether the model goes on inside the last message."""
    if not request.continue_final_message:
        return False
    if request.add_generation_prompt:
        raise conflicting(
            "continue_final_message",
            "continue_final_message and add_generation_prompt exclude each other; send one",
        )
    if request.messages and request.messages[-1].role != "assistant":
        raise refused(
            "continue_final_message",
            f"continue_final_message is set, and the last message is the "
            f"{request.messages[-1].role}'s; it must be the assistant's",
        )
    return True


def _form(request: ChatRequest) -> Constraint | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    schema = None
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema is None:
            raise refused(
                "response_format.json_schema",
                "response_format.json_schema.schema is missing; send it",
                code="missing_required_parameter",
            )
        schema = wanted.json_schema.schema
    return Constraint(kind=ConstraintKind(wanted.type), schema=schema)


def _template_variables(request: ChatRequest, service: Service) -> dict[str, Any]:
    """What the template is told beside the messages; a variable that it does not know is refused."""
    variables = dict(request.chat_template_kwargs or {})
    for name in variables:
        at = f"chat_template_kwargs.{name}"
        if name in _RESERVED:
            raise unsupported(at, "it is a field of the request itself")
        if not re.search(rf"\b{re.escape(name)}\b", service.template_source):
            raise unsupported(at, "the chat template has no such variable")
    for name, value in _thinking(request, service).items():
        if variables.setdefault(name, value) != value:
            raise conflicting(name, f"{name} is {value}, and in chat_template_kwargs it is not")
    return variables


def _thinking(request: ChatRequest, service: Service) -> dict[str, Any]:
    found: dict[str, Any] = {}
    template, effort = service.template, request.reasoning_effort
    if request.enable_thinking is not None:
        found["enable_thinking"] = request.enable_thinking
        if not template.enable_thinking:
            if not request.enable_thinking or template.tags is None:
                raise unsupported(
                    "enable_thinking",
                    "this model's chat template cannot switch its reasoning on or off",
                )
            return {}  # it reasons anyway
    if effort is None:
        return found
    if re.search(r"\breasoning_effort\b", service.template_source):
        return found | {"reasoning_effort": effort}
    if effort == "none" and template.enable_thinking:
        if request.enable_thinking:
            raise conflicting(
                "reasoning_effort", "reasoning_effort is 'none', and enable_thinking set"
            )
        return {"enable_thinking": False}
    raise unsupported(
        "reasoning_effort",
        "this model's chat template knows no levels of effort"
        + ("; 'none' switches the reasoning off" if template.enable_thinking else ""),
    )
