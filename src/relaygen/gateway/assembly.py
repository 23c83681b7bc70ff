"""From settings to a relay that can be served: pools of servers, or models in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relaygen import profiles
from relaygen.api import Model, Relay, open_model
from relaygen.api.model import default_sampling, load_tokenizer
from relaygen.engines.base import Engine
from relaygen.engines.deadlines import LegDeadlines
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.engines.pool import PoolEngine, PoolOptions, Replica
from relaygen.errors import InvalidRequestError, SettingsError
from relaygen.gateway.defaults import with_defaults
from relaygen.gateway.service import Service
from relaygen.relay.profile import CueProfile
from relaygen.settings import PoolSettings, Settings, server_key
from relaygen.tokens import Fingerprint, Tokenizer
from relaygen.types import ModelRole, Sampling

_POOL_LIMITS = ("concurrency", "queue", "health_interval_s")
_SMALL_GONE_S = 2.0  # then the large model writes on: a reader waits for nothing he needs
_DEADLINES = ("first_token_s", "between_tokens_s", "leg_s")


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Opens both models, checks that they fit, and closes them at the end.

    Every replica must answer at the start, and a server that has another tokenizer than the one
    in the settings is refused.

    Raises:
        SettingsError: the settings ask for what cannot be.
        TokenizerMismatchError: the tokenizers differ; names the first difference.
        EngineUnavailableError: a server cannot be reached.
        RelayGenError: whatever else keeps a model from being opened.
    """
    profile = None if settings.relay.profile is None else profiles.load(settings.relay.profile)
    async with AsyncExitStack() as stack:
        models: dict[ModelRole, Model] = {}
        read: _Served | None = None
        for role, pool in ((ModelRole.LARGE, settings.large), (ModelRole.SMALL, settings.small)):
            if pool.gguf is not None:
                model = await asyncio.to_thread(
                    open_model, pool.gguf, context_tokens=pool.context_tokens
                )
            else:
                if read is None:
                    read = await asyncio.to_thread(_read, role, settings.relay.tokenizer)
                model = await _open_served(role, pool, read)
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
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Served:
    """What is known of served models before a server is asked; both pools share it."""

    tokenizer: Tokenizer
    fingerprint: Fingerprint
    sampling: Sampling


def _read(role: ModelRole, path: Path | None) -> _Served:
    if path is None:
        raise SettingsError(
            f"relay.tokenizer is missing: {role}.replicas are servers, and the gateway needs the "
            "tokenizer and chat template of the model; give its folder, or its GGUF file"
        )
    tokenizer = load_tokenizer(path)
    return _Served(
        tokenizer=tokenizer,
        fingerprint=Fingerprint.of(tokenizer),
        sampling=default_sampling(path),
    )


async def _open_served(role: ModelRole, pool: PoolSettings, read: _Served) -> Model:
    return Model(
        name=pool.model or str(role),
        engine=await _open_pool(role, pool, read),
        tokenizer=read.tokenizer,
        sampling=read.sampling,
    )


async def _open_pool(role: ModelRole, pool: PoolSettings, read: _Served) -> PoolEngine:
    options = HTTPOptions(
        api_key=server_key(role, pool),
        model=pool.model,
        deadlines=None,
        stop_strings=pool.stop_strings,
    )
    opening = [
        asyncio.ensure_future(_connect(role, url, pool, read, options)) for url in pool.replicas
    ]
    try:
        engines = await asyncio.gather(*opening)
    except BaseException:
        await _give_up(opening)
        raise
    replicas = [Replica(name=e.url, engine=e, probe=e.check_health) for e in engines]
    limits = {name: getattr(pool, name) for name in _POOL_LIMITS}
    deadlines = LegDeadlines(**{name: getattr(pool, name) for name in _DEADLINES})
    if role is ModelRole.SMALL:
        limits["gone_s"] = _SMALL_GONE_S
    return PoolEngine(replicas, PoolOptions(deadlines=deadlines, **limits))


async def _connect(
    role: ModelRole, url: str, pool: PoolSettings, read: _Served, options: HTTPOptions
) -> OpenAIHTTPEngine:
    try:
        engine = await OpenAIHTTPEngine.connect(
            url,
            dialect=pool.dialect,
            tokenizer=read.tokenizer,
            context_tokens=pool.context_tokens,
            options=options,
        )
    except InvalidRequestError as error:
        raise SettingsError(f"{role}.{error.param or 'replicas'}: {error}") from error
    try:
        await engine.check_tokenizer(read.tokenizer, read.fingerprint)
    except BaseException:
        await engine.aclose()
        raise
    return engine


async def _give_up(opening: Sequence[asyncio.Future[OpenAIHTTPEngine]]) -> None:
    for task in opening:
        task.cancel()
    for result in await asyncio.gather(*opening, return_exceptions=True):
        if isinstance(result, OpenAIHTTPEngine):
            await result.aclose()


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
