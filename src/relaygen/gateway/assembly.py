"""From settings to a relay that can be served: pools of servers, or models in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from relaygen import profiles
from relaygen.api import Model, Relay, open_model
from relaygen.engines.base import Engine
from relaygen.engines.pool import PoolEngine
from relaygen.errors import SettingsError
from relaygen.gateway.defaults import with_defaults
from relaygen.gateway.served_pools import Known, open_served
from relaygen.gateway.service import Service
from relaygen.relay.profile import CueProfile
from relaygen.settings import Settings
from relaygen.types import ModelRole


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Opens both models, checks that they fit, and closes them at the end.

    One replica of each model must answer at the start; those that do not may come later. A server
    that answers and has another tokenizer than the one in the settings is refused.

    Raises:
        SettingsError: the settings ask for what cannot be.
        TokenizerMismatchError: the tokenizers differ; names the first difference.
        EngineUnavailableError: no server of a model can be reached.
        RelayGenError: whatever else keeps a model from being opened.
    """
    profile = None if settings.relay.profile is None else profiles.load(settings.relay.profile)
    async with AsyncExitStack() as stack:
        models: dict[ModelRole, Model] = {}
        known: Known | None = None
        for role, pool in ((ModelRole.LARGE, settings.large), (ModelRole.SMALL, settings.small)):
            if pool.gguf is not None:
                model = await asyncio.to_thread(
                    open_model, pool.gguf, context_tokens=pool.context_tokens
                )
            else:
                if known is None:
                    known = await asyncio.to_thread(Known.read, role, settings.relay.tokenizer)
                model = await open_served(role, pool, known)
            stack.push_async_callback(model.engine.aclose)
            models[role] = model
        models = with_defaults(models, settings.relay)
        large, small = models[ModelRole.LARGE], models[ModelRole.SMALL]
        pools = {r: m.engine for r, m in models.items() if isinstance(m.engine, PoolEngine)}
        relay = await asyncio.to_thread(
            Relay,
            large,
            small,
            profile=profile,
            config=settings.relay.config(),
            small_busy=_small_busy(small.engine, settings.relay.max_queue_for_handoff),
        )
        for pool_engine in pools.values():
            pool_engine.start_checks()
        yield Service(
            relay,
            name=settings.relay.name,
            policy=settings.relay.policy,
            allowed_profiles=_named(settings.relay.profile, profile),
            ready=lambda: _not_ready(large.engine),
            queue=lambda: float(sum(engine.load().queued for engine in pools.values())),
            replicas=lambda: {role: pool.counts().replicas for role, pool in pools.items()},
            forget=lambda generation_id: _forget(pools.values(), generation_id),
        )


def _forget(pools: Iterable[PoolEngine], generation_id: str) -> None:
    for pool in pools:
        pool.forget(generation_id)


def _small_busy(engine: Engine, limit: int | None) -> Callable[[], bool] | None:
    """When nothing is handed to the small model: too many wait for it, or none of it is left."""
    if isinstance(engine, PoolEngine):
        return engine.is_out if limit is None else partial(engine.is_busy, limit)
    if limit is not None:
        raise SettingsError(
            "relay.max_queue_for_handoff needs a small model behind servers (small.replicas)"
        )
    return None


def _named(name: str | None, profile: CueProfile | None) -> dict[str, CueProfile]:
    """A profile from a file may be asked for by the file's stem."""
    if name is None or profile is None:
        return {}
    return {Path(name).stem: profile}


def _not_ready(large: Engine) -> str | None:
    if isinstance(large, PoolEngine) and large.is_out():
        return "no replica of the large model answers"
    return None
