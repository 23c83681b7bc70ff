"""Which penalties an engine can count over a whole generation, whoever wrote its earlier parts."""

from __future__ import annotations

from enum import IntEnum

from relaygen.errors import UnsupportedError
from relaygen.types import ModelRole, Sampling


class Penalties(IntEnum):
    """How many kinds; each has those of the one before it, so that the smallest is the weakest."""

    NONE = 0
    FREQUENCY = 1
    ALL = 2


def check_penalties(
    sampling: Sampling, counted: Penalties, role: ModelRole, *, max_tokens: int | None = None
) -> None:
    """Refuses by name what would come out wrong, before anything is written.

    Args:
        sampling: of one model in a generation.
        counted: what its engine can count.
        role: the model, for messages.
        max_tokens: of the generation; None: more than one. Where one is drawn there are no earlier
            ones to count, and only repetition, with which servers count the prompt, is refused.

    Raises:
        UnsupportedError: a penalty is set that the engine cannot count.
    """
    if counted is Penalties.ALL:
        return
    refused = ["repetition_penalty"]
    if max_tokens != 1:
        refused.append("presence_penalty")
        if counted is Penalties.NONE:
            refused.append("frequency_penalty")
    for name in refused:
        value, neutral = getattr(sampling, name), getattr(Sampling(), name)
        if value != neutral:
            raise UnsupportedError(
                f"{name} is {value:g}, and the engine of the {role} model cannot count it over a "
                f"whole generation; send {neutral:g}",
                param=name,
            )
