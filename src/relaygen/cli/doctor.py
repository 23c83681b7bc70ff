"""``relaygen doctor``: what is installed, what works, and whether two models fit together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaygen.cli.options import PairOptions, grouped
from relaygen.cli.terminal import in_colour
from relaygen.views.printable import one_line

if TYPE_CHECKING:
    from relaygen.cli.doctor_checks import Check

_MARKS = {"ok": "ok  ", "note": "note", "fail": "FAIL"}
_STYLES = {"ok": "\x1b[32m", "note": "\x1b[33m", "fail": "\x1b[31m"}


@grouped
def doctor(
    pair: PairOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what works, and whether two models fit.

    Tries each engine on a few tokens, compares tokenizers, looks at the chat template.

    The exit code is 1 if something that should work does not.
    """
    from relaygen.cli.doctor_checks import all_checks
    from relaygen.cli.pair import find_pair
    from relaygen.views.result_json import to_json

    checks: list[Check] = []
    for check in all_checks(find_pair(pair), pair):
        checks.append(check)
        if not as_json:
            _show(check)
    failed = [check.name for check in checks if check.status == "fail"]
    if as_json:
        report: dict[str, Any] = {"ok": not failed, "checks": [c.as_object() for c in checks]}
        typer.echo(to_json(report))
    elif not failed:
        typer.echo("everything that should work does")
    if failed:
        raise typer.Exit(1)


def _show(check: Check) -> None:
    mark = _MARKS[check.status]
    if in_colour(sys.stdout):
        mark = f"{_STYLES[check.status]}{mark}\x1b[0m"
    typer.echo(f"{mark}  {check.name}: {one_line(check.detail)}")
    if check.remedy:
        typer.echo(f"      {one_line(check.remedy)}")
