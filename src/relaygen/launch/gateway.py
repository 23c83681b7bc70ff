"""The gateway's configuration and command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from relaygen.launch.command import Command

# What a launch decides must not come from variables that were set for another gateway.
_DECIDED = (
    "RELAYGEN_LARGE",
    "RELAYGEN_SMALL",
    "RELAYGEN_RELAY__TOKENIZER",
    "RELAYGEN_SERVER__HOST",
    "RELAYGEN_SERVER__PORT",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A model server as the gateway sees it.

    Attributes:
        name: ``large`` or ``small``.
        url: of the server.
        dialect: as `PoolSettings.dialect`.
        key: the name of its key, which is also the variable that holds it; None: it has none.
        context_tokens: prompt plus generation.
        concurrency: legs at once; None: the gateway's default.
        stop_strings: as `PoolSettings.stop_strings`.
    """

    name: str
    url: str
    dialect: str
    key: str | None
    context_tokens: int
    concurrency: int | None
    stop_strings: int | None


def gateway_config(
    pools: Sequence[Pool], *, tokenizer: Path, profile: str | None, host: str, port: int
) -> str:
    """The configuration as TOML, which `relaygen.settings` reads."""
    document = tomlkit.document()
    for pool in pools:
        document[pool.name] = _present(
            replicas=[pool.url],
            dialect=pool.dialect,
            model=pool.name,
            api_key_env=pool.key,
            context_tokens=pool.context_tokens,
            concurrency=pool.concurrency,
            stop_strings=pool.stop_strings,
        )
    document["relay"] = _present(tokenizer=str(tokenizer), profile=profile)
    document["server"] = _present(host=host, port=port)
    return tomlkit.dumps(document)


def gateway_command(*, python: str, config: Path, keys: Sequence[str]) -> Command:
    """The command line of the gateway.

    Args:
        python: an interpreter that has RelayGen.
        config: the configuration's file.
        keys: names of the servers' keys.
    """
    return Command(
        argv=(python, "-m", "relaygen", "serve", "--config", str(config)),
        keys={name: name for name in keys},
        without=_DECIDED,
    )


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
