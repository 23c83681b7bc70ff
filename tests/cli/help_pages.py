"""The help of each command for ``docs/cli.md``, from the same source as ``--help``.

It is laid out here, not by typer, whose layout changes from version to version.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import typer

from relaygen.cli.app import app

_OF_TYPER = {"install_completion", "show_completion", "help"}


def parts() -> dict[str, Callable[[], str]]:
    """By the name of the part: ``help: relaygen run`` and so on."""
    paths: list[list[str]] = [[], *(name.split() for name in commands())]
    return {" ".join(["help: relaygen", *path]): partial(_page, path) for path in paths}


def commands() -> list[str]:
    """The names of all commands, those inside a group as ``group command``."""
    return _names(typer.main.get_command(app))


def _names(group: Any) -> list[str]:
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command and command.callback:
                found.append(name)  # a command that has others below it
            found += [f"{name} {inner}" for inner in _names(command)]
        else:
            found.append(name)
    return found


def _page(path: list[str]) -> str:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p for p in command.params if p.param_type_name == "option" and p.name not in _OF_TYPER
    ]
    what = (
        " COMMAND" if hasattr(command, "commands") else "".join(f" [{p.name}]" for p in arguments)
    )
    lines = [f"relaygen {' '.join([*path, '[OPTIONS]'])}{what}", "", command.help.strip(), ""]
    rows = [(p.name, _text(p)) for p in arguments]
    rows += [(_spelling(p), _text(p)) for p in options]
    width = max((len(name) for name, _ in rows), default=0)
    lines += [f"  {name:<{width}}  {text}" for name, text in rows]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _spelling(option: Any) -> str:
    names = ", ".join(option.opts)
    if option.is_flag:
        return names
    return f"{names} {option.metavar}"


def _text(option: Any) -> str:
    default = option.default
    if getattr(option, "is_flag", False) or default in (None, "", [], ()):
        return str(option.help)
    return f"{option.help} [default: {getattr(default, 'value', default)}]"
