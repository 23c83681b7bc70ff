"""What a form allows, without a model: for each place in a text another value."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from relaygen.errors import InvalidRequestError

_WORDS = ("apple", "box", "seven", "Größe", "いち", 'so "far"', "", "a longer string of words")
_SAYS_NOTHING = frozenset(
    ("type", "title", "description", "default", "examples", "$schema", "$id", "$comment")
)
_UNDERSTOOD: Mapping[str, frozenset[str]] = {
    "object": frozenset(("properties", "required", "additionalProperties")),
    "array": frozenset(("items", "minItems", "maxItems")),
    "integer": frozenset(("minimum", "maximum")),
    "number": frozenset(("minimum", "maximum")),
    "string": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_SPREAD = 1000
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ALTERNATIVES = re.compile(rf"root ::= {_QUOTED}(?: \| {_QUOTED})*")
_MOST_ITEMS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts, instead of JSON."""

    texts: tuple[str, ...]

    @classmethod
    def of_grammar(cls, grammar: str) -> Choice:
        """The alternatives of a grammar that has one rule, and quoted texts in it.

        Raises:
            InvalidRequestError: it is another grammar.
        """
        if not _ALTERNATIVES.fullmatch(grammar):
            raise InvalidRequestError(f"the grammar {grammar!r:.80} is not understood")
        return cls(tuple(json.loads(text) for text in re.findall(_QUOTED, grammar)))


def form_text(schema: Any, prefix: Sequence[int]) -> str:
    """An instance of the schema as JSON, or a choice; a function of it and of the tokens before.

    Raises:
        InvalidRequestError: the schema uses what is not understood.
    """
    digest = hashlib.blake2b(array("I", prefix).tobytes(), digest_size=8).digest()
    draw = Random(int.from_bytes(digest, "little"))
    if isinstance(schema, Choice):
        return draw.choice(schema.texts)
    value = _instance(schema, draw)
    return json.dumps(value, ensure_ascii=False)


def _instance(schema: Any, draw: Random) -> Any:
    if not isinstance(schema, dict):
        raise InvalidRequestError(f"a schema is {schema!r:.80}; it must be an object")
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return draw.choice(schema["enum"])
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _UNDERSTOOD:
        raise InvalidRequestError(
            f"a schema has the type {kind!r:.80}; it must be one of {', '.join(_UNDERSTOOD)}"
        )
    unknown = schema.keys() - _UNDERSTOOD[kind] - _SAYS_NOTHING
    if unknown:
        raise InvalidRequestError(f"{min(unknown)!r} is not understood in a schema of {kind}")
    return _MAKERS[kind](schema, draw)


def _object(schema: dict[str, Any], draw: Random) -> Any:
    properties = schema.get("properties", {})
    return {name: _instance(properties[name], draw) for name in _required(schema, properties)}


def _required(schema: dict[str, Any], properties: dict[str, Any]) -> list[str]:
    names: list[str] = schema.get("required", [])
    missing = [name for name in names if name not in properties]
    if missing:
        raise InvalidRequestError(f"{missing[0]!r} is required, and no property")
    return names


def _array(schema: dict[str, Any], draw: Random) -> Any:
    least = schema.get("minItems", 0)
    most = schema.get("maxItems", max(least, _MOST_ITEMS))
    return [_instance(schema.get("items"), draw) for _ in range(draw.randint(least, most))]


def _integer(schema: dict[str, Any], draw: Random) -> Any:
    low, high = _range(schema)
    return draw.randint(int(low), int(high))


def _number(schema: dict[str, Any], draw: Random) -> Any:
    return draw.uniform(*_range(schema))


def _range(schema: dict[str, Any]) -> tuple[float, float]:
    low = schema.get("minimum", schema.get("maximum", _SPREAD) - 2 * _SPREAD)
    return low, schema.get("maximum", low + 2 * _SPREAD)


_MAKERS: Mapping[str, Callable[[dict[str, Any], Random], Any]] = {
    "object": _object,
    "array": _array,
    "integer": _integer,
    "number": _number,
    "string": lambda _, draw: draw.choice(_WORDS),
    "boolean": lambda _, draw: draw.random() < 0.5,
    "null": lambda _, draw: None,
}
