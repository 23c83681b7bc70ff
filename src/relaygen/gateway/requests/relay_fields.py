"""The extension field ``relaygen`` and the model name: which policy, which cues, which limits."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from relaygen.api import Options
from relaygen.errors import InvalidRequestError
from relaygen.gateway.failures import conflicting, refused
from relaygen.gateway.service import Service
from relaygen.gateway.wire.common_request import CommonRequest, CueSpec, RelayFields
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.policies import POLICIES
from relaygen.types import ModelRole

_ALONE = ("large", "small")
_MOST_CUES = 256


def relay_options(request: CommonRequest, service: Service) -> Options:
    """Who writes, by the model's name and by the extension field.

    Raises:
        HttpError: 404 for an unknown model; 400 for what contradicts itself, is unknown or out of
            range.
        CueProfileError: a cue cannot be matched, a profile is unknown.
    """
    policy = service.policy_of(request.model)
    given = request.relaygen
    if given is None:
        return Options(policy=policy)
    if given.policy is not None:
        if given.policy not in POLICIES:
            raise refused(
                "relaygen.policy",
                f"there is no policy {given.policy!r:.100}; there are {', '.join(POLICIES)}",
            )
        if request.model != service.name and given.policy != policy:
            raise conflicting(
                "relaygen.policy",
                f"the model {request.model} means policy {policy}, and relaygen.policy says "
                f"{given.policy}; ask for {service.name}, or leave one out",
            )
        policy = given.policy
    if given.answer_role is not None and policy in _ALONE:
        raise conflicting(
            "relaygen.answer_role",
            f"under policy {policy} the {policy} model writes everything; leave answer_role out",
        )
    return Options(
        policy=policy,
        cues=_cues(given, service),
        config=_config(given, policy, service),
        handoff_share=_share(given),
        margins=bool(given.margins),
    )


def _cues(given: RelayFields, service: Service) -> tuple[SwitchCue, ...] | None:
    if given.cues is None:
        return None if given.profile is None else service.profile(given.profile).cues
    if given.profile is not None:
        raise conflicting("relaygen.cues", "give relaygen.cues or relaygen.profile, not both")
    if not 0 < len(given.cues) <= _MOST_CUES:
        raise refused(
            "relaygen.cues",
            f"relaygen.cues has {len(given.cues)} entries; it must have 1 to {_MOST_CUES}",
        )
    return tuple(_cue(entry) for entry in given.cues)


def _cue(entry: str | CueSpec) -> SwitchCue:
    if isinstance(entry, str):
        return SwitchCue(text=entry)
    return SwitchCue(
        text=entry.text,
        position=CuePosition(entry.position),
        confirm_tokens=entry.confirm_tokens,
    )


def _config(given: RelayFields, policy: str, service: Service) -> RelayConfig | None:
    """The limits that the request changes; None: it changes none."""
    changes: dict[str, Any] = {
        limit.name: value
        for limit in fields(RelayConfig)
        if (value := getattr(given, limit.name)) is not None
    }
    if not changes:
        return None
    if "answer_role" in changes:
        changes["answer_role"] = ModelRole(changes["answer_role"])
    base = service.relay.config.under(policy)
    try:
        return replace(base, **changes)
    except InvalidRequestError as error:
        at = f"relaygen.{error.param}"
        raise refused(at, f"relaygen.{error}") from None


def _share(given: RelayFields) -> float:
    share = 0.5 if given.handoff_share is None else given.handoff_share
    if not 0.0 <= share <= 1.0:
        raise refused(
            "relaygen.handoff_share",
            f"relaygen.handoff_share is {share}; it must be between 0 and 1",
        )
    return share
