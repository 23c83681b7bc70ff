"""On which line of a file a setting stands, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Sequence

import tomlkit
import yaml
from tomlkit.container import Container
from tomlkit.items import AoT, Item, Table

Path = Sequence[str | int]
Lines = dict[tuple[str | int, ...], int]


def toml_lines(text: str) -> Lines:
    """The line of every key of a TOML file, by its path; tables and their entries alike.

    tomlkit keeps every character, so that counting the newlines of what precedes gives the line.
    """
    found: Lines = {}
    _walk(tomlkit.parse(text), (), 1, found)
    return found


def _walk(container: Container, path: tuple[str | int, ...], line: int, found: Lines) -> int:
    for key, item in container.body:
        if key is None:
            line += item.as_string().count("\n")
            continue
        here = (*path, *_names(key.as_string(), key.key))
        if isinstance(item, AoT):
            line = _tables(item, here, line, found)
        elif isinstance(item, Table):
            line = _table(item, here, line, found)
        else:
            found[here] = line
            line += _height(item)
    return line


def _names(written: str, key: str) -> tuple[str, ...]:
    return (key,) if written.startswith(('"', "'")) else tuple(key.split("."))


def _tables(item: AoT, path: tuple[str | int, ...], line: int, found: Lines) -> int:
    found[path] = line
    for index, table in enumerate(item.body):
        line = _table(table, (*path, index), line, found)
    return line


def _table(item: Table, path: tuple[str | int, ...], line: int, found: Lines) -> int:
    found[path] = line
    has_header = not item.is_super_table()
    return _walk(item.value, path, line + has_header, found)


def _height(item: Item) -> int:
    return item.as_string().count("\n") + item.trivia.trail.count("\n")


def yaml_lines(text: str) -> Lines:
    """The line of every key of a YAML file, by its path."""
    found: Lines = {}
    _visit(yaml.compose(text, Loader=yaml.SafeLoader), (), found)
    return found


def _visit(node: yaml.Node | None, path: tuple[str | int, ...], found: Lines) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            found[here] = key.start_mark.line + 1
            _visit(value, here, found)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found[*path, index] = value.start_mark.line + 1
            _visit(value, (*path, index), found)


def locate(lines: Lines, path: Path) -> int | None:
    """The line of a setting, or of the nearest part above it that the file has."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(tuple(path[:length]))) is not None:
            return line
    return None
