"""Messages as a chat template takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from relaygen.chat.tool_calls import CallHistory
from relaygen.gateway.failures import HttpError, conflicting, refused, unsupported
from relaygen.gateway.wire.chat_request import ChatMessage, ToolCallEntry


def template_messages(
    messages: Sequence[ChatMessage], *, developer: bool, history: CallHistory | None
) -> list[dict[str, Any]]:
    """The messages, with their text in one piece.

    Args:
        messages: as they were sent.
        developer: the template knows this role; else its messages are the system's.
        history: how the template takes calls; None: not at all.

    Raises:
        HttpError: 400; a field does not go with its role, or a part is no text.
    """
    if not messages:
        raise refused("messages", "there are no messages; send at least one")
    plain = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        _check_role(message, at)
        role: str = message.role
        data: dict[str, Any] = {
            "role": "system" if role == "developer" and not developer else role,
            "content": _text(message.content, at),
        }
        for name in ("name", "reasoning", "reasoning_content", "tool_call_id"):
            if (value := getattr(message, name)) is not None:
                data[name] = value
        if message.tool_call_id is not None and history is not None:
            data["tool_call_id"] = history.call_id(message.tool_call_id)
        if message.tool_calls:
            if history is None:
                raise unsupported(
                    f"{at}.tool_calls", "this model's chat template does not show earlier calls"
                )
            data["content"] = data["content"] or ("" if history.empty_content else None)
            data["tool_calls"] = [
                _call(call, f"{at}.tool_calls[{number}]", history)
                for number, call in enumerate(message.tool_calls)
            ]
        plain.append(data)
    return plain


def _check_role(message: ChatMessage, at: str) -> None:
    assistant, tool = message.role == "assistant", message.role == "tool"
    for name, allowed in (
        ("tool_calls", assistant),
        ("reasoning", assistant),
        ("reasoning_content", assistant),
        ("annotations", assistant),
        ("parsed", assistant),
        ("provider_specific_fields", assistant),
        ("tool_call_id", tool),
    ):
        if getattr(message, name) is not None and not allowed:
            raise refused(f"{at}.{name}", f"{at}.{name} does not go with role {message.role}")
    if message.content is None and not (assistant and message.tool_calls):
        raise refused(
            f"{at}.content",
            f"{at}.content is missing; only an assistant message with tool_calls needs none",
            code="missing_required_parameter",
        )
    one, other = message.reasoning, message.reasoning_content
    if one is not None and other is not None and one != other:
        raise conflicting(
            f"{at}.reasoning",
            f"{at}.reasoning and reasoning_content differ; they are two names of one text",
        )


def _text(content: str | list[dict[str, Any]] | None, at: str) -> str | None:
    """The text; the lines of several parts are kept apart, as most templates expect."""
    if content is None or isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        place = f"{at}.content[{number}]"
        kind = part.get("type")
        if kind != "text":
            raise _no_text(place, kind)
        if not isinstance(part.get("text"), str):
            raise refused(f"{place}.text", f"{place}.text is missing, or no text; send text")
        extra = sorted(part.keys() - {"type", "text"})
        if extra:
            raise refused(
                f"{place}.{extra[0]}",
                f"there is no field {place}.{extra[0]}; leave it out",
                code="unknown_parameter",
            )
        texts.append(part["text"])
    return "\n".join(texts)


def _no_text(place: str, kind: object) -> HttpError:
    return refused(
        f"{place}.type",
        f"{place} is a part of type {kind!r:.60}; these models read text only, so send parts of "
        "type 'text'",
        code="unsupported_value",
    )


def _call(call: ToolCallEntry, at: str, history: CallHistory) -> dict[str, Any]:
    text = call.function.arguments
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise refused(
            f"{at}.function.arguments",
            f"{at}.function.arguments is {text!r:.100}; it must be a JSON object as a string",
        )
    return {
        "id": None if call.id is None else history.call_id(call.id),
        "type": "function",
        "function": {
            "name": call.function.name,
            "arguments": text if history.arguments_as_text else arguments,
        },
    }
