"""``relaygen config``: checks a configuration, makes an API key, prints an example."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from relaygen.settings import PoolSettings

config = typer.Typer(help="Check the gateway's configuration, make keys.", no_args_is_help=True)

_EXAMPLE = """\
# Run it with: relaygen serve --config relaygen.toml
# Any setting can come from the environment too: RELAYGEN_SERVER__PORT=9000

[relay]
name = "qwen3-relay"                 # what clients ask for as "model"
tokenizer = "/models/Qwen3-32B"      # folder or file with the tokenizer and chat template
profile = "qwen3"                    # which cues hand over
# max_queue_for_handoff = 8          # with more legs waiting for the small model, write on

[large]
replicas = ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]

# stop_strings = 64                  # if vLLM was started with VLLM_MAX_STOP_STRINGS=64

[small]
replicas = ["http://10.0.0.3:8000"]

[server]
host = "127.0.0.1"
port = 8080
# otel_endpoint = "http://127.0.0.1:4318"   # OpenTelemetry's spans; pip install 'relaygen[otel]'

# Without keys anybody may call. `relaygen config key` makes one.
# [[keys]]
# name = "team"
# hash = "sha256:..."
# concurrency = 64
# requests_per_minute = 600
# tokens_per_minute = 2000000
"""


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
def example() -> None:
    """Print a configuration to start from."""
    typer.echo(_EXAMPLE, nl=False)


def _pool(pool: PoolSettings) -> str:
    if pool.gguf is not None:
        return f"{pool.gguf} (loaded here)"
    return f"{', '.join(pool.replicas)} ({pool.dialect})"
