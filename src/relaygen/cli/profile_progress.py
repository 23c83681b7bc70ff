"""How far ``relaygen profile`` is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from relaygen.cli.terminal import say
from relaygen.profiling.collecting import Progress


def progress_shown(*, quiet: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    """A bar on a terminal, two lines in a log, nothing where that is wanted."""
    if quiet:
        return nullcontext(lambda _: None)
    if not sys.stderr.isatty():
        return nullcontext(_Lines())
    return _Bar()


class _Lines:
    """A line at the start and at the end, for who reads a log."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, progress: Progress) -> None:
        at_an_end = progress.done == progress.total or not self._told
        line = f"{progress.done} of {progress.total} trajectories"
        if at_an_end and line != self._told:
            self._told = line
            say(line)


class _Bar:
    """A bar with an estimate of the time that is left."""

    def __enter__(self) -> Callable[[Progress], None]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as Bar,
        )

        self._bar = Bar(
            TextColumn("trajectories"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tokens]:,} tokens"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None, tokens=0)
        self._bar.start()
        return self._show

    def _show(self, progress: Progress) -> None:
        self._bar.update(
            self._task, completed=progress.done, total=progress.total, tokens=progress.tokens
        )

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
