"""Opens the servers of a model as one pool; those that are not there yet may join it later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Self

from relaygen.api import Model
from relaygen.api.model import default_sampling, load_tokenizer
from relaygen.engines.deadlines import LegDeadlines
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.engines.pool import PoolEngine, PoolOptions, Replica
from relaygen.errors import (
    EngineError,
    EngineSetupError,
    InvalidRequestError,
    SettingsError,
    TokenizerMismatchError,
)
from relaygen.settings import PoolSettings, server_key
from relaygen.tokens import Fingerprint, Tokenizer
from relaygen.types import ModelRole, Sampling

_POOL_LIMITS = ("concurrency", "queue", "health_interval_s")
_GONE = {
    # The large model writes on without the small one: a reader waits for nothing he needs.
    ModelRole.SMALL: {"gone_s": 2.0},
    # Whoever begins may ask another gateway; what is half written waits for a server to come back.
    ModelRole.LARGE: {"begin_gone_s": 5.0},
}
_OTHERS_S = 5.0
_DEADLINES = ("first_token_s", "between_tokens_s", "leg_s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of served models before a server is asked; both pools share it."""

    tokenizer: Tokenizer
    fingerprint: Fingerprint
    sampling: Sampling

    @classmethod
    def read(cls, role: ModelRole, path: Path | None) -> Self:
        """From a model's folder or its GGUF file.

        Raises:
            SettingsError: there is no path; `role` is the model that needs one.
            RelayGenError: as `load_tokenizer`.
        """
        if path is None:
            raise SettingsError(
                f"relay.tokenizer is missing: {role}.replicas are servers, and the gateway needs "
                "the tokenizer and chat template of the model; give its folder, or its GGUF file"
            )
        tokenizer = load_tokenizer(path)
        return cls(
            tokenizer=tokenizer,
            fingerprint=Fingerprint.of(tokenizer),
            sampling=default_sampling(path),
        )


async def open_served(role: ModelRole, pool: PoolSettings, known: Known) -> Model:
    """A model behind servers, of which one at least must answer, and each that does must fit.

    Raises:
        SettingsError: the settings ask for what cannot be.
        TokenizerMismatchError: a server has another tokenizer.
        EngineError: none can be reached, or one will not do.
    """
    return Model(
        name=pool.model or str(role),
        engine=await _open_pool(role, pool, known),
        tokenizer=known.tokenizer,
        sampling=known.sampling,
    )


async def _open_pool(role: ModelRole, pool: PoolSettings, known: Known) -> PoolEngine:
    options = HTTPOptions(
        api_key=server_key(role, pool),
        model=pool.model,
        deadlines=None,
        stop_strings=pool.stop_strings,
    )
    connect = partial(_connect, role, pool, known, options)
    replicas = await _replicas(pool.replicas, connect)
    limits = {name: getattr(pool, name) for name in _POOL_LIMITS} | _GONE[role]
    deadlines = LegDeadlines(**{name: getattr(pool, name) for name in _DEADLINES})
    return PoolEngine(replicas, PoolOptions(deadlines=deadlines, **limits), name=str(role))


async def _replicas(
    urls: Sequence[str], connect: Callable[[str], Awaitable[OpenAIHTTPEngine]]
) -> list[Replica]:
    found = await _opened(urls, connect)
    there = [engine for engine in found if isinstance(engine, OpenAIHTTPEngine)]
    if not there:
        raise next(error for error in found if isinstance(error, EngineError))
    replicas = []
    for url, engine in zip(urls, found, strict=True):
        if isinstance(engine, OpenAIHTTPEngine):
            replicas.append(Replica(name=engine.url, engine=engine, probe=engine.check_health))
            continue
        late = there[0].sibling(url)
        probe = _LateProbe(late, partial(connect, url))
        replicas.append(Replica(name=late.url, engine=late, probe=probe, unproven=str(engine)))
    return replicas


async def _opened(
    urls: Sequence[str], connect: Callable[[str], Awaitable[OpenAIHTTPEngine]]
) -> list[OpenAIHTTPEngine | EngineError]:
    """Each server, or why it is not there; once one is, the others have `_OTHERS_S`."""
    opening = [asyncio.ensure_future(_unless_gone(connect(url))) for url in urls]
    try:
        for answer in asyncio.as_completed(opening):
            if isinstance(await answer, OpenAIHTTPEngine):
                break
        await asyncio.wait(opening, timeout=_OTHERS_S)
        found = [
            task.result() if task.done() else EngineError(f"{url} answers nothing")
            for url, task in zip(urls, opening, strict=True)
        ]
    except BaseException:
        await _give_up(opening)
        raise
    await _give_up([task for task in opening if not task.done()])
    return found


async def _unless_gone(
    connecting: Awaitable[OpenAIHTTPEngine],
) -> OpenAIHTTPEngine | EngineError:
    try:
        return await connecting
    except EngineError as error:
        if not error.retryable:
            raise
        return error


async def _connect(
    role: ModelRole, pool: PoolSettings, known: Known, options: HTTPOptions, url: str
) -> OpenAIHTTPEngine:
    try:
        engine = await OpenAIHTTPEngine.connect(
            url,
            dialect=pool.dialect,
            tokenizer=known.tokenizer,
            context_tokens=pool.context_tokens,
            options=options,
        )
    except InvalidRequestError as error:
        raise SettingsError(f"{role}.{error.param or 'replicas'}: {error}") from error
    try:
        await engine.check_tokenizer(known.tokenizer, known.fingerprint)
    except BaseException:
        await engine.aclose()
        raise
    return engine


class _LateProbe:
    """Asks a replica that was not there at the start, when it is, what the others were asked."""

    def __init__(
        self, engine: OpenAIHTTPEngine, connect: Callable[[], Awaitable[OpenAIHTTPEngine]]
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._fits = False

    async def __call__(self) -> None:
        if not self._fits:
            await self._check_fit()
            self._fits = True
        await self._engine.check_health()

    async def _check_fit(self) -> None:
        try:
            found = await self._connect()
        except (TokenizerMismatchError, SettingsError) as error:
            raise EngineSetupError(str(error)) from error
        await found.aclose()
        self._check_equal(found)

    def _check_equal(self, found: OpenAIHTTPEngine) -> None:
        """One that is sound, and not like the others, would be met with another's words."""
        pairs = [("dialect", found.dialect, self._engine.dialect)]
        pairs += [
            (
                entry.name,
                getattr(found.served, entry.name),
                getattr(self._engine.served, entry.name),
            )
            for entry in fields(found.served)
        ]
        for name, theirs, ours in pairs:
            if theirs != ours:
                raise EngineSetupError(
                    f"{found.url} has {name} {theirs}, and the others of its pool {ours}; start it "
                    "as they were, or start the gateway again to take it as it is"
                )


async def _give_up(
    opening: Sequence[asyncio.Future[OpenAIHTTPEngine | EngineError]],
) -> None:
    for task in opening:
        task.cancel()
    for result in await asyncio.gather(*opening, return_exceptions=True):
        if isinstance(result, OpenAIHTTPEngine):
            await result.aclose()
