"""How models draw where a request does not say, and whether their engines can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relaygen.api import Model
from relaygen.api.model import default_sampling
from relaygen.engines.penalties import Penalties, check_penalties
from relaygen.errors import SettingsError, UnsupportedError
from relaygen.settings import RelaySettings, Settings
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
        _check(model.sampling, model.engine.capabilities().penalties, role, relay)
    return found


def check_defaults(settings: Settings) -> None:
    """What `with_defaults` finds, as far as files show it: no server counts more than frequency.

    Raises:
        SettingsError: as there.
        ModelLoadError: the tokenizer's folder or file is damaged.
    """
    relay = settings.relay
    if relay.tokenizer is None or not relay.tokenizer.exists():
        return
    sampling = relay.sampling.over(default_sampling(relay.tokenizer))
    for role, pool in ((ModelRole.LARGE, settings.large), (ModelRole.SMALL, settings.small)):
        if pool.replicas:
            _check(sampling, Penalties.FREQUENCY, role, relay)


def _check(sampling: Sampling, counted: Penalties, role: ModelRole, relay: RelaySettings) -> None:
    try:
        check_penalties(sampling, counted, role)
    except UnsupportedError as error:
        raise _unusable(error.param or "", sampling, role, relay) from error


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
