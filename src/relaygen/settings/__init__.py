"""What `relaygen serve` is told: one file, the environment, flags. Nothing else reads either.

What stands further left wins: flags, ``RELAYGEN_...`` in the environment, the file, defaults.
"""

from relaygen.settings.environment import named_key, names_a_model, server_key
from relaygen.settings.load import load
from relaygen.settings.model import (
    KeySettings,
    PoolSettings,
    RelaySettings,
    ServerSettings,
    Settings,
)

__all__ = [
    "KeySettings",
    "PoolSettings",
    "RelaySettings",
    "ServerSettings",
    "Settings",
    "load",
    "named_key",
    "names_a_model",
    "server_key",
]
