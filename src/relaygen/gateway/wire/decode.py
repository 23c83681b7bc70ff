"""From bytes to a request; whatever is wrong is named by its path."""

from __future__ import annotations

import codecs
import difflib
import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import inspect

from relaygen.gateway.failures import HttpError, refused

_T = TypeVar("_T", bound=msgspec.Struct)
_Info = TypeVar("_Info")
_PLACE = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_NO_INTEGER = re.compile(r"Expected `int\b.*`, got `float`")

NOT_SUPPORTED = {
    "audio": "these models write text only",
    "function_call": "it is deprecated; use tool_choice",
    "functions": "they are deprecated; use tools",
    "moderation": "nothing is moderated here",
    "prediction": "there is no speculation on predicted output",
    "prompt": "/v1/chat/completions takes messages; a raw prompt goes to /v1/completions",
    "messages": "/v1/completions takes a prompt; messages go to /v1/chat/completions",
    "prompt_cache_retention": "the engines decide how long a prefix stays cached",
    "verbosity": "the chat template has no such variable",
    "web_search_options": "there is no web search",
    "guided_json": "use response_format",
    "guided_regex": "only response_format can ask for a form",
    "guided_grammar": "only response_format can ask for a form",
    "guided_choice": "only response_format can ask for a form",
    "structured_outputs": "use response_format",
    "ignore_eos": "the models decide where they end",
    "min_tokens": "the models decide where they end",
    "stop_token_ids": "use stop",
    "include_stop_str_in_output": "a stop string is never part of the output",
    "skip_special_tokens": "special tokens of the answer are always left out",
    "chat_template": "the template is the model's own; chat_template_kwargs are its variables",
}
"""Fields that other servers know, and why they are refused."""


def decode(body: bytes, kind: type[_T]) -> _T:
    """Reads a request.

    Raises:
        HttpError: 400; it is no JSON (says where), or a field is unknown, missing, or of a
            wrong type (says which, as in ``messages[0].role``).
    """
    try:
        return _decoded(body, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(
            400, f"the body is not valid JSON: {_where(body, error)}", code="invalid_json"
        ) from None
    except RecursionError:
        raise HttpError(
            400, "the body is nested too deeply; flatten it", code="invalid_json"
        ) from None


def _decoded(body: bytes, kind: type[_T]) -> _T:
    """Numbers such as ``16.0`` are integers, as JSON has it and as OpenAI takes them."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        if not _NO_INTEGER.match(str(error)):
            raise
    return msgspec.convert(_whole(msgspec.json.decode(body)), kind, str_keys=True)


def _whole(value: Any) -> Any:
    """The value with every number that is whole as an integer."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case _:
            return value


def _where(body: bytes, error: Exception) -> str:
    """The place of the mistake, which the slower parser of the standard library tells better."""
    if body.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark; send it without"
    encoding = json.detect_encoding(body)
    if encoding != "utf-8":
        return f"it seems to be {encoding.upper()}; send UTF-8"
    try:
        json.loads(body.decode(), parse_constant=_no_constant)
    except json.JSONDecodeError as found:
        return f"{found.msg} (line {found.lineno}, column {found.colno}, character {found.pos})"
    except UnicodeDecodeError as found:
        return f"it is not UTF-8 (byte {found.start})"
    except _NoJsonError as found:
        return f"{found} is no JSON; send a number, or null"
    except RecursionError:
        return "it is nested too deeply"
    return f"{error}; is there half a surrogate pair (\\ud800) in a text?"


class _NoJsonError(Exception):
    """A word that Python's parser takes for a number, and JSON does not."""


def _no_constant(word: str) -> NoReturn:
    raise _NoJsonError(word)


def _explained(message: str, kind: type[msgspec.Struct]) -> HttpError:
    place = _PLACE.search(message)
    path = place["path"].removeprefix(".") if place else ""
    problem = message[: place.start()] if place else message
    if unknown := _UNKNOWN.fullmatch(problem):
        return _unknown(path, unknown["name"], kind)
    if missing := _MISSING.fullmatch(problem):
        name = _joined(path, missing["name"])
        return refused(name, f"{name} is missing; send it", code="missing_required_parameter")
    problem = problem[:1].lower() + problem[1:]
    options = ", ".join(map(repr, _options_at(path, kind)))
    if "enum" in problem:
        told = f"{path}: {problem}; it must be one of {options}"
        return refused(path, told, code="invalid_value")
    return refused(path, f"{path or 'the body'}: {problem}", code="invalid_type")


def _unknown(path: str, name: str, kind: type[msgspec.Struct]) -> HttpError:
    full = _joined(path, name)
    known = _fields_at(path, kind)
    if name in NOT_SUPPORTED and not path:
        return refused(
            full,
            f"{full} is not supported: {NOT_SUPPORTED[name]}; leave it out",
            code="unsupported_parameter",
        )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {_joined(path, close[0])}?" if close else "leave it out"
    return refused(full, f"there is no field {full[:100]!r}; {hint}", code="unknown_parameter")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fields_at(path: str, kind: type[msgspec.Struct]) -> list[str]:
    """The fields of the object at `path`, for suggestions."""
    (found,) = _alternatives(_type_at(path, kind), inspect.StructType)
    return [field.name for field in found.fields]


def _options_at(path: str, kind: type[msgspec.Struct]) -> list[Any]:
    """The values that may stand at `path`, where they are listed."""
    found = _alternatives(_type_at(path, kind), inspect.LiteralType)
    return [value for literal in found for value in literal.values]


def _type_at(path: str, kind: type[msgspec.Struct]) -> Any:
    here: Any = inspect.type_info(kind)
    for step in re.findall(r"\w+|\[", path):
        if step == "[":
            lists = _alternatives(here, inspect.ListType)
            dicts = _alternatives(here, inspect.DictType)
            here = lists[0].item_type if lists else dicts[0].value_type
        elif not step.isdigit():
            fields = _alternatives(here, inspect.StructType)[0].fields
            here = next(field.type for field in fields if field.encode_name == step)
    return here


def _alternatives(here: Any, wanted: type[_Info]) -> list[_Info]:
    options = here.types if isinstance(here, inspect.UnionType) else (here,)
    return [option for option in options if isinstance(option, wanted)]
