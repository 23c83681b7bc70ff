"""``relaygen trace view``: trace files as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaygen.cli.terminal import say
from relaygen.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES = 256 * 2**20

trace = typer.Typer(help="Look at trace files.", rich_markup_mode=None)


@trace.command()
def view(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="From `run --trace` or `--json`, a playground, or a gateway's reply.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="By default the first trace's name, in .html."
        ),
    ] = None,
) -> None:
    """Draw traces of one question side by side, as a page in one file.

    The page loads nothing and needs no network. It holds all that the traces hold.
    """
    from relaygen.cli.files import check_writable, write_whole
    from relaygen.views.html import trace_page
    from relaygen.views.recorded import generations

    found = [generation for file in files for generation in generations(_read(file), str(file))]
    _check_same_question(found)
    target = output or files[0].with_suffix(".html")
    if target.resolve() in [file.resolve() for file in files]:
        raise InvalidRequestError(f"{target} is a trace to be read; name another file with -o")
    check_writable(target)
    write_whole(target, trace_page(found))
    say(f"wrote {target}")


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidRequestError(f"{file} is larger than {MOST_BYTES >> 20} MiB: no trace is")
        return file.read_bytes()
    except FileNotFoundError:
        raise InvalidRequestError(f"there is no file {file}") from None
    except OSError as error:
        raise InvalidRequestError(f"{file} cannot be read: {error.strerror}") from None


def _check_same_question(found: Sequence[dict[str, Any]]) -> None:
    from relaygen.views.recorded import question

    asked = [messages for messages in map(question, found) if messages is not None]
    if any(messages != asked[0] for messages in asked):
        raise InvalidRequestError(
            "the traces answer different questions, and a comparison of them would mean nothing; "
            "view them one by one"
        )
