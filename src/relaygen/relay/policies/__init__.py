"""The policies: each one file, on the same machine. `make_policy` finds them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relaygen.errors import InvalidRequestError
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.policies.alone import AlonePolicy
from relaygen.relay.policies.paper import PaperPolicy
from relaygen.relay.policies.random import RandomPolicy
from relaygen.relay.policies.relay import RelayPolicy
from relaygen.relay.policy import Policy
from relaygen.types import ModelRole

__all__ = [
    "POLICIES",
    "AlonePolicy",
    "PaperPolicy",
    "RandomPolicy",
    "RelayPolicy",
    "make_policy",
]

_Factory = Callable[[Sequence[SwitchCue], RelayConfig, int, float], Policy]

POLICIES: dict[str, _Factory] = {
    "relay": lambda cues, config, seed, share: RelayPolicy(cues, config),
    "large": lambda cues, config, seed, share: AlonePolicy(ModelRole.LARGE),
    "small": lambda cues, config, seed, share: AlonePolicy(ModelRole.SMALL),
    "random": lambda cues, config, seed, share: RandomPolicy(share, seed, config),
    "paper": lambda cues, config, seed, share: PaperPolicy(cues, config),
}


def make_policy(
    name: str,
    cues: Sequence[SwitchCue],
    config: RelayConfig,
    *,
    seed: int = 0,
    handoff_share: float = 0.5,
) -> Policy:
    """A fresh policy for one generation.

    Args:
        name: a key of `POLICIES`.
        cues: for the policies that use them.
        config: the relay's limits.
        seed: for the random control.
        handoff_share: share of sentences that the random control hands over, in 0..1.

    Raises:
        InvalidRequestError: no such policy.
    """
    try:
        factory = POLICIES[name]
    except KeyError:
        known = ", ".join(POLICIES)
        raise InvalidRequestError(
            f"there is no policy {name!r}; take one of: {known}", param="policy"
        ) from None
    return factory(cues, config, seed, handoff_share)
