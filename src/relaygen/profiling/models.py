"""Opens a pair for profiling, on whatever engine each model has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from relaygen.api import Model, open_model
from relaygen.api.model import default_sampling, load_tokenizer
from relaygen.api.pairing import Match, match
from relaygen.engines.deadlines import LegDeadlines
from relaygen.engines.openai_http import HTTPOptions, OpenAIHTTPEngine
from relaygen.errors import EngineAccessError, InvalidRequestError
from relaygen.tokens import Tokenizer

_DEADLINES: Final = LegDeadlines(first_token_s=600.0, between_tokens_s=600.0, leg_s=86_400.0)
"""Nobody reads along, and a server that scores a prompt may write nothing meanwhile: over the first
one, vLLM on a CPU stops everything for half a minute, probably to compile."""
_REQUEST_S: Final = 600.0
"""For the scores of a whole trajectory, behind those of others."""

_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d+(/.*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a model is.

    Attributes:
        place: a GGUF file, a folder in transformers' format, or the address of a server.
        name: for the profile; None: what the file or the address is called.
        tokenizer: folder or file with the tokenizer of a served model.
        context_tokens: see `open_model`, as the rest; None for a server: what it says.
        threads: of a model in this process.
        gpu_layers: likewise.
        api_key: of a server; None: it has none.
    """

    place: str
    name: str | None = None
    tokenizer: Path | None = None
    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    api_key: str | None = field(default=None, repr=False)

    @property
    def served(self) -> bool:
        """Whether it is the address of a server."""
        return self.place.startswith(("http://", "https://"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittingPair:
    """Two places whose models fit; neither model is loaded yet.

    Attributes:
        sources: large, small.
        tokenizers: likewise.
        match: what they have in common.
    """

    sources: tuple[Source, Source]
    tokenizers: tuple[Tokenizer, Tokenizer]
    match: Match


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPair:
    """Two models that fit.

    Attributes:
        large: writes.
        small: scores.
        match: what they have in common.
    """

    large: Model
    small: Model
    match: Match


async def fitting_pair(large: Source, small: Source) -> FittingPair:
    """Reads both tokenizers, which takes seconds where loading the models takes minutes.

    Raises:
        TokenizerMismatchError: the tokenizers differ; names the first difference.
        RelayGenError: whatever else is wrong with a place.
    """
    first = await asyncio.to_thread(_tokenizer, large)
    second = await asyncio.to_thread(_tokenizer, small)
    found = await asyncio.to_thread(match, first, second, None)
    return FittingPair(sources=(large, small), tokenizers=(first, second), match=found)


@asynccontextmanager
async def open_pair(pair: FittingPair) -> AsyncIterator[OpenPair]:
    """Opens both models, and closes them at the end.

    Raises:
        RelayGenError: something keeps a model from being opened.
    """
    async with AsyncExitStack() as stack:
        models = []
        for source, tokenizer in zip(pair.sources, pair.tokenizers, strict=True):
            model = await _open(source, tokenizer)
            stack.push_async_callback(model.engine.aclose)
            models.append(model)
        yield OpenPair(large=models[0], small=models[1], match=pair.match)


def _tokenizer(source: Source) -> Tokenizer:
    if not source.served:
        if _HOST_AND_PORT.fullmatch(source.place) and not Path(source.place).exists():
            raise InvalidRequestError(
                f"there is no model at {source.place}; if a server is meant, write "
                f"http://{source.place}"
            )
        return load_tokenizer(source.place)
    if source.tokenizer is None:
        raise InvalidRequestError(
            f"{source.place} is a server, and the tokenizer and chat template of its model are "
            "needed: give its folder or GGUF file as --tokenizer",
            param="tokenizer",
        )
    return load_tokenizer(source.tokenizer)


async def _open(source: Source, tokenizer: Tokenizer) -> Model:
    if not source.served:
        model = await asyncio.to_thread(
            open_model,
            source.place,
            context_tokens=source.context_tokens,
            threads=source.threads,
            gpu_layers=source.gpu_layers,
            tokenizer=tokenizer,
        )
        return replace(model, name=source.name or model.name)
    url = source.place.rstrip("/").removesuffix("/v1")  # as OpenAI's clients want it
    options = HTTPOptions(api_key=source.api_key, deadlines=_DEADLINES, request_s=_REQUEST_S)
    try:
        engine = await OpenAIHTTPEngine.connect(
            url,
            tokenizer=tokenizer,
            context_tokens=source.context_tokens,
            options=options,
        )
    except EngineAccessError as error:
        raise EngineAccessError(
            f"{error}, in the variable that --api-key-env names, or --small-api-key-env where the "
            "small model's server has another"
        ) from error
    try:
        await engine.check_tokenizer(tokenizer)
        assert source.tokenizer is not None
        sampling = default_sampling(source.tokenizer)
    except BaseException:
        await engine.aclose()
        raise
    return Model(
        name=source.name or url.split("://", 1)[1],
        engine=engine,
        tokenizer=tokenizer,
        sampling=sampling,
    )
