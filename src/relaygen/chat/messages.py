"""Messages as plain data: what a template may see, and how a message is continued."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from relaygen.errors import ChatTemplateError, InvalidRequestError

Message = Mapping[str, Any]
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "ipython"})
"""Templates write the role into markup (``<|user|>``), so none but these may get there."""

_REASONING = ("reasoning_content", "reasoning", "thinking")
_MAX_DEPTH = 32
_PLANE_16 = re.compile("[\U00100000-\U0010ffff]")


def chat_data(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Copies messages into plain data; keys without a value are left out.

    But a message with calls and no text has a content of ``None``, for `without_nulls` to leave out.

    Raises:
        InvalidRequestError: something in them is not JSON, or a role is unknown.
    """
    chat: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidRequestError(
                f"messages[{index}] is {message!r:.60}; it must be an object", param="messages"
            )
        data = {key: value for key, value in plain_data(message).items() if value is not None}
        if data.get("tool_calls"):
            data.setdefault("content", None)  # see `without_nulls`
        if data.get("role") not in ROLES:
            raise InvalidRequestError(
                f"messages[{index}].role is {data.get('role')!r:.60}; it must be one of "
                f"{', '.join(sorted(ROLES))}",
                param="messages",
            )
        reasoning = next((data[key] for key in _REASONING if key in data), None)
        if reasoning is not None:
            data = dict.fromkeys(_REASONING, reasoning) | data
        chat.append(data)
    if not chat:
        raise InvalidRequestError("there are no messages; send at least one", param="messages")
    return chat


def without_nulls(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as transformers shows them to a template: a content of ``None`` is left out."""
    return [
        {key: value for key, value in message.items() if key != "content" or value is not None}
        for message in chat
    ]


def plain_data(value: Any, depth: int = 0) -> Any:
    """Copies JSON-like data into plain lists and dictionaries.

    Raises:
        InvalidRequestError: something in it is not JSON, or it is nested too deeply.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if depth > _MAX_DEPTH:
        raise InvalidRequestError(
            f"the request is nested more than {_MAX_DEPTH} levels deep; flatten it"
        )
    if isinstance(value, Mapping):
        return {str(key): plain_data(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item, depth + 1) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    raise InvalidRequestError(f"{value!r:.60} is no JSON value; send text, numbers, lists, objects")


def texts_of(value: Any) -> Iterable[str]:
    """Every string in JSON-like data, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


def private_chars(data: Any) -> frozenset[str]:
    """The private characters (Unicode plane 16) that occur in `data`."""
    return frozenset(char for text in texts_of(data) for char in _PLANE_16.findall(text))


def unused_chars(data: Any, count: int, taken: frozenset[str] = frozenset()) -> list[str]:
    """`count` private characters that occur nowhere in `data`, and are not `taken`.

    Raises:
        InvalidRequestError: there are not so many.
    """
    taken |= private_chars(data)
    free = (char for char in map(chr, range(0x100000, 0x10FFFE)) if char not in taken)
    found = list(islice(free, count))
    if len(found) < count:
        raise InvalidRequestError(
            "the messages use up the private characters of Unicode's plane 16; take some out",
            param="messages",
        )
    return found


def mark_end(chat: list[dict[str, Any]], end: str) -> str:
    """Puts the character `end` and a blank behind the text of the last message; returns that text.

    Raises:
        InvalidRequestError: the last message has no text to go on with.
    """
    content = chat[-1].get("content")
    parts = [chat[-1]] if isinstance(content, str) else content if isinstance(content, list) else []
    name = "content" if isinstance(content, str) else "text"
    texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get(name), str)]
    if not texts:
        raise InvalidRequestError(
            "continue_final_message is set, and the last message has no text; add some",
            param="messages",
        )
    text: str = texts[-1][name]
    texts[-1][name] = f"{text}{end} "
    return text


def cut_at(rendered: str, end: str, text: str) -> str:
    """What stands before the character `end`.

    Args:
        rendered: by the template.
        end: what `mark_end` put there.
        text: what `mark_end` returned.

    Raises:
        ChatTemplateError: the template dropped something of the last message.

    Source: as in transformers, blanks at the end of `text` go where the template strips a message.
    """
    before, found, after = rendered.rpartition(end)
    if not found or text.strip() not in before:
        raise ChatTemplateError(
            "the chat template leaves out the last message or a part of it, so it cannot be "
            "continued; give its reasoning as reasoning_content, or switch continue_final_message "
            "off"
        )
    return before if after.startswith(" ") or not text.strip() else before.rstrip()
