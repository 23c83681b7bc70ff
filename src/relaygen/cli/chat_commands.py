"""The commands inside a chat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relaygen.cli.chat_session import ChatSession
from relaygen.cli.files import check_writable, write_whole
from relaygen.cli.options import PolicyName
from relaygen.cli.terminal import say
from relaygen.errors import RelayGenError
from relaygen.types import Sampling
from relaygen.views.printable import one_line
from relaygen.views.result_json import to_json


class Command(NamedTuple):
    """One command."""

    usage: str
    does: str
    run: Callable[[ChatSession, str], None]


def obey(session: ChatSession, line: str) -> bool:
    """Carries out a line that begins with ``/``; returns whether the chat goes on."""
    name, _, argument = line[1:].strip().partition(" ")
    if name in ("quit", "exit"):
        return False
    command = COMMANDS.get(name)
    if command is None:
        say(f"there is no command /{name}; /help lists them")
        return True
    try:
        command.run(session, argument.strip())
    except (RelayGenError, OSError) as error:
        say(str(error))
    return True


def _help(session: ChatSession, argument: str) -> None:
    width = max(len(c.usage) for c in COMMANDS.values())
    for command in COMMANDS.values():
        _stderr().print(Text(f"  {command.usage:<{width}}  {command.does}"))
    _stderr().print(Text(f"  {'/quit':<{width}}  end the chat (Ctrl-D does, too)"))


def _reset(session: ChatSession, argument: str) -> None:
    session.reset()
    say("the chat begins anew")


def _system(session: ChatSession, argument: str) -> None:
    session.use(system=argument or None)
    session.reset()
    say("the chat begins anew, " + ("with this system message" if argument else "without one"))


def _policy(session: ChatSession, argument: str) -> None:
    if argument not in list(PolicyName):
        say(f"the policy is {session.writing.policy}; /policy takes one of {', '.join(PolicyName)}")
        return
    session.use_policy(argument)
    say(f"the next answers are written by policy {argument}")


def _seed(session: ChatSession, argument: str) -> None:
    if not (argument.isascii() and argument.isdigit()):
        say(f"the seed is {session.writing.seed}; /seed takes a whole number")
        return
    session.use(seed=Sampling(seed=int(argument)).seed)
    say(f"the seed is now {argument}")


def _trace(session: ChatSession, argument: str) -> None:
    if not session.turns:
        say("there is no answer yet")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("who", "stage", "tokens", "ms", "ended by", "text"):
        table.add_column(heading, no_wrap=heading != "text")
    for segment in session.turns[-1].trace.segments:
        table.add_row(
            str(segment.role),
            str(segment.stage),
            str(len(segment.token_ids)),
            f"{(segment.ended_s - segment.started_s) * 1000:.1f}",
            Text(one_line(segment.ended_by)),
            Text(one_line(segment.text)),
        )
    _stderr().print(table)


def _save(session: ChatSession, argument: str) -> None:
    if not argument:
        say("/save takes the name of a file")
        return
    path = Path(argument).expanduser()
    check_writable(path)
    write_whole(path, to_json(session.saved(), indent=1) + "\n")
    say(f"saved {len(session.turns)} answers to {path}")


COMMANDS = {
    "help": Command("/help", "show this list", _help),
    "reset": Command("/reset", "forget the turns so far", _reset),
    "system": Command(
        "/system [TEXT]", "set or remove the system message, and begin anew", _system
    ),
    "policy": Command("/policy NAME", f"who writes: {', '.join(PolicyName)}", _policy),
    "seed": Command("/seed N", "the seed of the next answers", _seed),
    "trace": Command("/trace", "who wrote what in the last answer", _trace),
    "save": Command("/save FILE", "write the chat and its traces to a JSON file", _save),
}


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False)
