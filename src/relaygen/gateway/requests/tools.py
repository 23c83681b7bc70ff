"""Tools: what the model is shown, and how far a ``tool_choice`` can be honoured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from relaygen.api import ForcedCall
from relaygen.chat.tool_calls import ToolCallFormat, ToolCallParser
from relaygen.gateway.failures import conflicting, refused, unsupported
from relaygen.gateway.service import Service
from relaygen.gateway.wire.chat_request import ChatRequest, NamedToolChoice, ToolSpec

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
"""OpenAI: a function without parameters has an empty list of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The tools of one request.

    Attributes:
        shown: for the template; None: none.
        known: the model's format of a call; None: nothing is taken for a call.
        forced: the call that the answer has to be.
        parallel: it may make several calls; else those after the first are left out.
    """

    shown: list[dict[str, Any]] | None = None
    known: ToolCallFormat | None = None
    forced: ForcedCall | None = None
    parallel: bool = True

    def parser(self) -> ToolCallParser | None:
        """A fresh one for an answer."""
        if self.known is None:
            return None
        functions = [tool["function"] for tool in self.shown or ()]
        offered = {each["name"]: each.get("parameters", {}) for each in functions}
        return ToolCallParser(self.known, offered, most=None if self.parallel else 1)


def tools_of(request: ChatRequest, service: Service) -> Tools:
    """What the request says of tools.

    Raises:
        HttpError: 400; the model cannot do it, or a field contradicts another.
    """
    choice = request.tool_choice
    if not request.tools:
        if choice not in (None, "none", "auto"):
            raise conflicting("tool_choice", "tool_choice asks for a call, and there are no tools")
        return Tools()
    _check_tools(request.tools, forced=choice not in (None, "none", "auto"))
    if choice == "none":
        return Tools()  # tools that are not shown are not called
    known = service.tool_calls
    if known is None or not service.template.tools:
        raise unsupported(
            "tools",
            "this model's chat template has no tool calls in a format that is known here; describe "
            "the functions in a message instead",
        )
    return Tools(
        shown=[_shown(tool) for tool in request.tools],
        known=known,
        forced=_forced(request, known),
        parallel=request.parallel_tool_calls is not False,
    )


def _shown(tool: ToolSpec) -> dict[str, Any]:
    """A tool as templates write it out: in the order that models know, without what was not said."""
    function = msgspec.to_builtins(tool.function)
    return {
        "type": tool.type,
        "function": {key: value for key, value in function.items() if value is not None},
    }


def _check_tools(tools: list[ToolSpec], *, forced: bool) -> None:
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        at, name = f"tools[{index}].function", tool.function.name
        if not _NAME.fullmatch(name):
            raise refused(
                f"{at}.name",
                f"{at}.name is {name!r:.80}; it must be 1 to 64 letters, digits, '_', '-' or '.'",
            )
        if name in seen:
            raise refused(f"{at}.name", f"{at}.name: the function {name!r} is listed twice")
        seen.add(name)
        if tool.function.strict and not forced:
            raise unsupported(
                f"{at}.strict",
                "arguments are held to their schema only where tool_choice asks for the call; "
                "leave it out, and check them",
            )


def _forced(request: ChatRequest, known: ToolCallFormat) -> ForcedCall | None:
    choice, tools = request.tool_choice, request.tools or []
    if choice in (None, "auto"):
        return None
    if known.parts is None:
        raise unsupported(
            "tool_choice",
            f"a call in this model's format ({known.name}) cannot be forced; send 'auto'",
        )
    if isinstance(choice, NamedToolChoice):
        tools = [tool for tool in tools if tool.function.name == choice.function.name]
        if not tools:
            raise refused(
                "tool_choice.function.name",
                f"tool_choice names {choice.function.name!r:.80}, which is none of the tools",
            )
    return ForcedCall(
        schemas={tool.function.name: tool.function.parameters or _NOTHING for tool in tools},
        lead="\n\n",
        before_name=known.parts.before_name,
        before_arguments=known.parts.before_arguments,
        closing=known.parts.after_arguments,
    )
