"""Reads a configuration; every mistake in it is named, with its line."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from relaygen.errors import SettingsError
from relaygen.settings.lines import Lines, locate, toml_lines, yaml_lines
from relaygen.settings.model import Settings
from relaygen.settings.yaml_reader import read_yaml

_MOST_BYTES = 2**20
_TOML_PLACE = re.compile(
    r"(?P<says>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)", re.DOTALL
)
_PLAIN = {
    "tuple_type": "input should be a list",
    "dict_type": "input should be a table",
    "model_type": "input should be a table",
}
"""Where pydantic speaks of Python's types, what a file has."""


def load(path: str | Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings that a file, the environment and flags make together.

    Args:
        path: a ``.toml``, ``.yaml`` or ``.yml`` file; None: no file.
        flags: nested as the file is; they win.

    Raises:
        SettingsError: the file cannot be read or does not parse, a setting is unknown or out of
            range; one line for each mistake, each with its place.
    """
    data: dict[str, Any] = {}
    lines: Lines = {}
    if path is not None:
        data, lines = _read(Path(path))
    try:
        return _with_file(data)(**dict(flags or {}))
    except ValidationError as error:
        raise SettingsError(_tell(error, path, lines)) from None


def _with_file(data: dict[str, Any]) -> Callable[..., Settings]:
    """`Settings` with one more source, weaker than the environment."""

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, data)

    return FromFile


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    parsers: dict[str, tuple[Callable[[str], Any], Callable[[str], Lines]]] = {
        ".toml": (tomllib.loads, toml_lines),
        ".yaml": (read_yaml, yaml_lines),
        ".yml": (read_yaml, yaml_lines),
    }
    if path.suffix not in parsers:
        raise SettingsError(f"{path}: a configuration is a .toml, .yaml or .yml file")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(f"{path}: larger than {_MOST_BYTES:,} bytes; is it the right file?")
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark first
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not text in UTF-8") from None
    parse, find_lines = parsers[path.suffix]
    try:
        data = parse(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_toml_mistake(path, text, str(error))) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise SettingsError(f"{where}: is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: holds no settings; `relaygen config example` prints some")
    return data, find_lines(text)


def _toml_mistake(path: Path, text: str, says: str) -> str:
    """In the form of all others, from the words of the standard library's parser."""
    if found := _TOML_PLACE.fullmatch(says):
        return f"{path}:{found['line']}: is not TOML: {found['says']} (column {found['column']})"
    return f"{path}:{len(text.splitlines()) or 1}: is not TOML: {says}"


def _tell(error: ValidationError, path: str | Path | None, lines: Lines) -> str:
    return "\n".join(
        f"{_place(detail['loc'], path, lines)}: {_message(detail)}"
        for detail in error.errors(include_url=False)
    )


def _place(where: Sequence[str | int], path: str | Path | None, lines: Lines) -> str:
    name = ".".join(map(str, where)) or "settings"
    variable = _variable(where)
    if variable is None and tuple(where) not in lines:  # it may hold the whole of a table or list
        above = (_variable(where[:length]) for length in range(len(where) - 1, 0, -1))
        variable = next(filter(None, above), None)
    if variable is not None:
        return f"{name}, by {variable} in the environment"
    line = locate(lines, where)
    if line is not None:
        return f"{path}:{line}: {name}"
    return f"{path}: {name}" if path is not None else name


def _variable(where: Sequence[str | int]) -> str | None:
    """The variable that sets it, if there is one."""
    variable = "RELAYGEN_" + "__".join(map(str, where)).upper()
    return variable if where and variable in os.environ else None


def _message(detail: Any) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        return f"there is no such setting{_suggestion(detail['loc'])}"
    message = _PLAIN.get(detail["type"]) or str(detail["msg"]).removeprefix("Value error, ")
    value = detail.get("input")
    shown = f" (it is {value!r:.80})" if isinstance(value, str | int | float) else ""
    return message[:1].lower() + message[1:] + shown


def _suggestion(where: Sequence[str | int]) -> str:
    model: type[BaseModel] | None = Settings
    for name in where[:-1]:
        if isinstance(name, int):
            continue
        field = model.model_fields.get(name) if model else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    if model is None:
        return ""
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(where[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
