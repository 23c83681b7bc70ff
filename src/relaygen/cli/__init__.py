"""The command line: each file one command, which parses, calls and prints."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``relaygen`` and returns its exit code.

    0: done; 1: a generation failed, or `doctor` found something broken; 2: bad input;
    130: Ctrl-C; 141: the reader of a pipe went away.
    """
    from relaygen.cli.app import run_app

    return run_app(arguments)
