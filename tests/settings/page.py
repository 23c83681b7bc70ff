"""The tables of ``docs/settings.md``: every setting, from the classes that read and check it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from relaygen.relay.config import RelayConfig
from relaygen.settings.model import (
    KeySettings,
    PoolSettings,
    RelaySettings,
    SamplingSettings,
    ServerSettings,
    Url,
)
from relaygen.types import Sampling

_WORDS: Mapping[Any, str] = {
    Url: "address",
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting.

    Attributes:
        variable: of the environment; None: it is set with its whole list (`RELAYGEN_KEYS`).
    """

    name: str
    type: str
    default: str
    meaning: str
    variable: str | None


def parts() -> dict[str, Callable[[], str]]:
    """By the name of the part: ``settings: server`` and so on."""
    return {f"settings: {name}": partial(_table, rows) for name, rows in TABLES.items()}


def _of_model(model: type[BaseModel], prefix: str | None) -> list[Row]:
    meanings = _meanings(Sampling if model is SamplingSettings else model)
    return [
        Row(
            name=name,
            type=_type(name, field.annotation, field.metadata),
            default=_default(field.default),
            meaning=meanings[name],
            variable=None if prefix is None else f"{prefix}{name.upper()}",
        )
        for name, field in model.model_fields.items()
        if name not in ("limits", "sampling")  # tables of their own
    ]


def _of_limits(prefix: str) -> list[Row]:
    hints, meanings = get_type_hints(RelayConfig), _meanings(RelayConfig)
    return [
        Row(
            name=field.name,
            type=_type(field.name, hints[field.name], ()),
            default=_default(field.default),
            meaning=meanings[field.name],
            variable=f"{prefix}{field.name.upper()}",
        )
        for field in fields(RelayConfig)
    ]


def _meanings(kind: type) -> dict[str, str]:
    """What the docstring says of each attribute, in Markdown."""
    text = inspect.getdoc(kind) or ""
    found = {}
    for name, meaning in _ENTRY.findall(text.partition("Attributes:\n")[2]):
        plain = " ".join(meaning.split()).replace("``", "`").replace("|", r"\|")
        found[name] = plain.replace("None:", "not set:").replace("None ", "not set ")
    return found


def _type(name: str, annotation: Any, metadata: Any) -> str:
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    kind = annotation if get_origin(annotation) in (Literal, tuple) else kinds[0]
    bounds = [
        f"{words} {getattr(bound, which):g}"
        for bound in metadata
        for which, words in _BOUNDS.items()
        if hasattr(bound, which)
    ]
    word = "seconds" if name.endswith("_s") else _word(kind)
    return ", ".join([word, *bounds])


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        word = _word(get_args(kind)[0])
        return f"list of {'addresses' if word == 'address' else word + 's'}"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{value}`" for value in kind)
    return _WORDS[kind]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value == ():
        return "`[]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _table(rows: list[Row]) -> str:
    heads = ["setting", "type", "default", "meaning"]
    cells = [[f"`{row.name}`", row.type, row.default, row.meaning] for row in rows]
    if rows[0].variable is not None:
        heads.append("in the environment")
        for line, row in zip(cells, rows, strict=True):
            line.append(f"`{row.variable}`")
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows() -> Iterator[Row]:
    """All of them."""
    for table in TABLES.values():
        yield from table


TABLES: dict[str, list[Row]] = {
    "large": _of_model(PoolSettings, "RELAYGEN_LARGE__"),
    "relay": _of_model(RelaySettings, "RELAYGEN_RELAY__"),
    "relay.limits": _of_limits("RELAYGEN_RELAY__LIMITS__"),
    "relay.sampling": _of_model(SamplingSettings, "RELAYGEN_RELAY__SAMPLING__"),
    "server": _of_model(ServerSettings, "RELAYGEN_SERVER__"),
    "keys": _of_model(KeySettings, None),
}
