"""Arguments that a model wrote as bare text between tags, with the types of their schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relaygen.chat.tool_calls.format import Offered, ToolCall

_PYTHON = {"True": True, "False": False, "None": None}
"""Templates show earlier arguments by Python's ``str``, so models write these too."""


def typed_call(name: str, pairs: Iterable[tuple[str, str]], offered: Offered) -> ToolCall | None:
    """The call with these arguments; None where a parameter stands there twice.

    Args:
        name: of the function.
        pairs: parameters with the text of their values.
        offered: says which parameters are strings. Any other value is read as JSON, and stays text
            where it is none.
    """
    properties = offered.get(name, {}).get("properties")
    schemas = properties if isinstance(properties, Mapping) else {}
    arguments: dict[str, Any] = {}
    for parameter, text in pairs:
        if parameter in arguments:
            return None
        arguments[parameter] = _value(text, schemas.get(parameter))
    return ToolCall(name, msgspec.json.encode(arguments).decode())


def _value(text: str, schema: Any) -> Any:
    if _is_text(schema):
        return text
    bare = text.strip()
    if bare in _PYTHON:
        return _PYTHON[bare]
    try:
        return msgspec.json.decode(bare)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text


def _is_text(schema: Any) -> bool:
    """Whether the values of a parameter are strings, and may be nothing else."""
    if not isinstance(schema, Mapping):
        return False
    if isinstance(choices := schema.get("enum"), list) and choices:
        return all(isinstance(choice, str) for choice in choices)
    return schema.get("type") in ("string", ["string"]) or isinstance(schema.get("const"), str)
