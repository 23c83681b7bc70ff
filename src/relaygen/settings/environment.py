"""What the environment says beside the settings themselves."""

from __future__ import annotations

import os

from relaygen.errors import SettingsError
from relaygen.settings.model import PoolSettings

_MODELS = ("RELAYGEN_LARGE__", "RELAYGEN_SMALL__")


def names_a_model() -> bool:
    """Whether a setting of a model is in the environment."""
    return any(name.startswith(_MODELS) for name in os.environ)


def server_key(role: str, pool: PoolSettings) -> str | None:
    """The key of a pool's servers; None: they have none.

    Raises:
        SettingsError: the variable that should hold it is not set.
    """
    if pool.api_key_env is None:
        return None
    key = os.environ.get(pool.api_key_env)
    if not key:
        raise SettingsError(
            f"{role}.api_key_env names the variable {pool.api_key_env}, and it is not set: set it "
            "to the servers' key, or leave the setting out"
        )
    return key
