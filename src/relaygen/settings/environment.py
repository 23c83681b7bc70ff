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
    return named_key(pool.api_key_env, f"{role}.api_key_env")


def named_key(variable: str | None, setting: str) -> str | None:
    """The key in a variable of the environment; None: no variable is named.

    Args:
        variable: its name.
        setting: what names it, for messages.

    Raises:
        SettingsError: it is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise SettingsError(
            f"{setting} names the variable {variable}, and it is not set: set it to the servers' "
            "key, or leave it out"
        )
    return key
