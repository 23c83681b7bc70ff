"""Arguments that a model wrote as bare text between tags, with the types of their schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relaygen.chat.tool_calls.format import Offered, ToolCall

_PYTHON = {"True": True, "False": False, "None": None}
"""Templates show earlier arguments by Python's ``str``, so models write these too."""
_MAX_DEPTH = 8  # of references and alternatives in a client's schema


def typed_call(name: str, pairs: Iterable[tuple[str, str]], offered: Offered) -> ToolCall | None:
    """The call with these arguments; None where a parameter stands there twice.

    Args:
        name: of the function.
        pairs: parameters with the text of their values.
        offered: says which parameters are strings. Any other value is read as JSON, and stays text
            where it is none.
    """
    root = offered.get(name, {})
    properties = root.get("properties")
    schemas = properties if isinstance(properties, Mapping) else {}
    arguments: dict[str, Any] = {}
    for parameter, text in pairs:
        if parameter in arguments:
            return None
        arguments[parameter] = _value(text, _allowed(schemas.get(parameter), root, set()))
    return ToolCall(name, msgspec.json.encode(arguments).decode())


def _value(text: str, kinds: frozenset[str]) -> Any:
    """The value of a text; it stays text where that is allowed, and what it reads as is not."""
    if kinds == {"string"}:
        return text
    bare = text.strip()
    if bare in _PYTHON:
        value: Any = _PYTHON[bare]
    else:
        try:
            value = msgspec.json.decode(bare)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return text
    return text if "string" in kinds and not kinds & _kinds_of(value) else value


def _kinds_of(value: Any) -> frozenset[str]:
    """The names that JSON schemas have for the kind of a value."""
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
        case _:
            return frozenset({"object"})


def _allowed(
    schema: Any, root: Mapping[str, Any], followed: set[str], depth: int = 0
) -> frozenset[str]:
    """The kinds that a parameter's schema names; none where it does not say.

    Args:
        schema: of the parameter.
        root: of the function's parameters, which references are looked up in.
        followed: references that were; none is followed twice, for they may go round.
        depth: of alternatives in alternatives.
    """
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return frozenset()
    if isinstance(choices := schema.get("enum"), list) and choices:
        return frozenset().union(*map(_kinds_of, choices))
    if "const" in schema:
        return _kinds_of(schema["const"])
    found: set[str] = set()
    named = schema.get("type")
    found.update(kind for kind in (named if isinstance(named, list) else [named]) if kind)
    for key in ("anyOf", "oneOf"):
        parts = schema.get(key)
        for part in parts if isinstance(parts, list) else ():
            found |= _allowed(part, root, followed, depth + 1)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/") and reference not in followed:
        followed.add(reference)
        at: Any = root
        for step in reference[2:].split("/"):
            at = at.get(step) if isinstance(at, Mapping) else None
        found |= _allowed(at, root, followed, depth + 1)
    return frozenset(kind for kind in found if isinstance(kind, str))
