"""``relaygen config``: checks a configuration, makes an API key, prints examples."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaygen import examples

if TYPE_CHECKING:
    from relaygen.settings import PoolSettings

config = typer.Typer(help="Check the gateway's configuration, make keys.", no_args_is_help=True)


@config.command()
def check(
    file: Annotated[Path, typer.Argument(help="A .toml, .yaml or .yml file.")],
) -> None:
    """Say whether a configuration is good; each mistake with its line.

    No server is asked and no model is loaded.
    """
    from relaygen.gateway.defaults import check_defaults
    from relaygen.settings import load

    settings = load(file)
    check_defaults(settings)
    typer.echo(f"{file}: good")
    typer.echo(f"  model   {settings.relay.name}")
    if settings.relay.wants_cues:
        typer.echo("  cues    none: set relay.profile, or each request has to bring its own")
    typer.echo(f"  large   {_pool(settings.large)}")
    typer.echo(f"  small   {_pool(settings.small)}")
    typer.echo(f"  listen  {settings.server.host}:{settings.server.port}")
    keys = ", ".join(key.name for key in settings.keys)
    typer.echo(f"  keys    {keys or 'none: anybody may call'}")


@config.command()
def key() -> None:
    """Make an API key: the key itself is shown once, the configuration keeps its hash."""
    from relaygen.gateway.keys import hash_key

    made = f"rg-{secrets.token_urlsafe(32)}"
    typer.echo(f"key   {made}")
    typer.echo(f"hash  {hash_key(made)}")


@config.command()
def example(
    name: Annotated[
        str, typer.Argument(help=f"One of {', '.join(examples.available())}.")
    ] = "vllm.toml",
) -> None:
    """Print a configuration to start from.

    Put it into a file, and change models and addresses; `relaygen config check` looks it through.
    """
    typer.echo(examples.text(name), nl=False)


def _pool(pool: PoolSettings) -> str:
    if pool.gguf is not None:
        return f"{pool.gguf} (loaded here)"
    return f"{', '.join(pool.replicas)} ({pool.dialect})"
