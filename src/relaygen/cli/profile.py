"""``relaygen profile``: which cues a pair of models has; and what to do with profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relaygen.cli.options import grouped
from relaygen.cli.profile_options import DataOptions, ModelOptions, OutputOptions, RuleOptions
from relaygen.cli.terminal import say

profile = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

_File = Annotated[str, typer.Argument(metavar="PROFILE", help="A packaged profile, or a file.")]


@profile.callback()
@grouped
def make(
    context: typer.Context,
    models: ModelOptions,
    data: DataOptions,
    rule: RuleOptions,
    output: OutputOptions,
) -> None:
    """Find the switch cues of a pair of models; show, compare, merge and untie profiles.

    The large model answers the questions, both models score what it wrote, and every way to open a
    sentence is tested: are the tokens after it surer, and does the small model agree more? Ctrl-C
    loses nothing: the same command goes on. Needs the extra `profile`.
    """
    if context.invoked_subcommand is None:
        from relaygen.cli.profile_making import make_profile

        make_profile(models, data, rule, output)


@profile.command()
def show(file: _File) -> None:
    """Print a profile: its cues with their statistics, and where it comes from."""
    from relaygen.cli.profile_tables import profile_lines
    from relaygen.profiles import load

    typer.echo("\n".join(profile_lines(load(file))))


@profile.command()
def diff(
    first: _File,
    second: _File,
) -> None:
    """Print what tells two profiles apart."""
    from relaygen.cli.profile_tables import difference_lines
    from relaygen.profiles import load
    from relaygen.profiling.compare import difference

    a, b = load(first), load(second)
    typer.echo("\n".join(difference_lines(a, b, difference(a, b))))


@profile.command()
def merge(
    files: Annotated[
        list[str], typer.Argument(metavar="PROFILE", help="Packaged profiles, or files.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The result.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the result; by default the file's.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also profiles of different tokenizers.")
    ] = False,
) -> None:
    """Put the cues of several profiles together; of a cue in several, the first one's stays."""
    from relaygen.cli.files import check_writable, write_whole
    from relaygen.profiles import load
    from relaygen.profiling.compare import merge as merged

    check_writable(output)
    found = merged([load(file) for file in files], name=name or output.stem, force=force)
    write_whole(output, found.to_json())
    say(f"wrote {output}: {len(found.cues)} cues")


@profile.command()
def untie(
    file: _File,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The result.")],
) -> None:
    """Free a profile from its tokenizer: its cues are then taken with any pair, untested."""
    from relaygen.cli.files import check_writable, write_whole
    from relaygen.profiles import load

    check_writable(output)
    write_whole(output, load(file).untied().to_json())
    say(f"wrote {output}: tied to no tokenizer")
