"""The shapes of what the gateway tells of itself."""

from __future__ import annotations

import msgspec


class ModelMeaning(msgspec.Struct, kw_only=True):
    """The extension field ``relaygen`` of `ModelReply`: who writes under this name."""

    policy: str
    means: str


class ModelReply(msgspec.Struct, kw_only=True):
    """A name that a request may ask for."""

    id: str
    object: str
    created: int
    owned_by: str
    relaygen: ModelMeaning


class ModelList(msgspec.Struct, kw_only=True):
    """All of them."""

    object: str
    data: list[ModelReply]


class HealthReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``live``, ``ready``, or ``not ready`` with the reason; and the replicas that are left out."""

    status: str
    reason: str | None = None
    left_out: dict[str, str] = {}


class VersionReply(msgspec.Struct, kw_only=True):
    """The version of RelayGen."""

    version: str
