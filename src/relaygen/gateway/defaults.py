"""How models draw where a request does not say, and whether their engines can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relaygen.api import Model
from relaygen.engines.penalties import check_penalties
from relaygen.errors import SettingsError, UnsupportedError
from relaygen.settings import RelaySettings
from relaygen.types import ModelRole, Sampling


def with_defaults(
    models: Mapping[ModelRole, Model], relay: RelaySettings
) -> dict[ModelRole, Model]:
    """The models, with the sampling of the settings before that of their files.

    Raises:
        SettingsError: it has a penalty that an engine cannot count: every request that does not
            say otherwise would be refused.
    """
    found = {
        role: replace(model, sampling=relay.sampling.over(model.sampling))
        for role, model in models.items()
    }
    for role, model in found.items():
        counted = model.engine.capabilities().penalties
        try:
            check_penalties(model.sampling, counted, role)
        except UnsupportedError as error:
            raise _unusable(error.param or "", model.sampling, role, relay) from error
    return found


def _unusable(
    name: str, sampling: Sampling, role: ModelRole, relay: RelaySettings
) -> SettingsError:
    own = getattr(relay.sampling, name) is not None
    source = "relay.sampling" if own else f"the default sampling in {relay.tokenizer}"
    return SettingsError(
        f"{source} has {name} {getattr(sampling, name):g}, which the servers of the {role} model "
        "cannot count over a whole generation, so that every request would be refused: to serve "
        f"without it put `{name} = {getattr(Sampling(), name):g}` under [relay.sampling]"
    )
