"""``relaygen chat``: several turns on a terminal, or from a script on stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer

from relaygen.cli.options import PairOptions, WritingOptions, grouped
from relaygen.cli.terminal import in_colour, legend, marks_for, say

_PROMPT = "you> "


@grouped
def chat(pair: PairOptions, writing: WritingOptions) -> None:
    """Talk over several turns.

    /help lists the commands in it. Ctrl-C cancels an answer, Ctrl-D ends the chat. Answers go to stdout, everything else to stderr.
    """
    from relaygen.cli.chat_commands import obey
    from relaygen.cli.chat_session import ChatSession
    from relaygen.cli.generating import notice_one_stage
    from relaygen.cli.pair import check_writing, find_pair, open_pair

    paths = find_pair(pair)
    checked = check_writing(writing, embedded=paths.embedded)
    with open_pair(paths, pair, checked.profile) as relay:
        notice_one_stage(relay)
        session = ChatSession(relay, checked, embedded=paths.embedded)
        if sys.stdin.isatty():
            typer.echo(legend(marks_for(sys.stdout, always=True)), err=not in_colour(sys.stdout))
            say("/help lists the commands; Ctrl-D ends")
        for line in _lines():
            if line.startswith("/"):
                if not obey(session, line):
                    break
            elif line.strip():
                session.answer(line)
    if session.failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _lines() -> Iterator[str]:
    """Lines from the user until the end of input; Ctrl-C at the prompt clears the line."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if on_terminal:
        import readline  # noqa: F401  it gives input() line editing and history
    while True:
        try:
            if on_terminal:
                line = input(_PROMPT)
            else:
                if sys.stdin.isatty():
                    typer.echo(_PROMPT, nl=False, err=True)
                line = sys.stdin.readline()
                if not line:
                    return
        except EOFError:
            typer.echo(err=True)
            return
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            typer.echo(err=True)
            continue
        yield line.rstrip("\n")
