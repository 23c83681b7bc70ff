"""The engine of models that are served elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Self

from relaygen.engines.base import (
    Capabilities,
    Engine,
    EngineOutput,
    GenerateRequest,
    check_request,
)
from relaygen.engines.constraint import ConstrainedView, Constraint, ConstraintKind
from relaygen.engines.deadlines import timed
from relaygen.engines.inline import check_score
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects import DIALECTS, Served, TextTokenizer
from relaygen.engines.openai_http.leg import write_leg
from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.probe import AUTO, probe
from relaygen.engines.openai_http.tokenizer_check import check_tokenizer
from relaygen.errors import (
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
    UnsupportedError,
)
from relaygen.tokens import Fingerprint, Tokenizer
from relaygen.types import TokenScore

_DEFAULTS = HTTPOptions()


class OpenAIHTTPEngine:
    """A model behind vLLM, SGLang, llama-server, or whatever speaks OpenAI's completions.

    Implements `base.Engine`. Each leg is one request that carries its whole prefix, so that any
    replica of the server can take it; connections are kept and reused.
    """

    def __init__(
        self,
        url: str,
        *,
        dialect: str,
        context_tokens: int,
        vocab_size: int,
        model: str = "",
        tokenizer: TextTokenizer | None = None,
        slots: int = 0,
        deterministic: bool = True,
        options: HTTPOptions = _DEFAULTS,
    ) -> None:
        """Takes the server as described, and asks it nothing; `connect` asks.

        Args:
            url: of the server, without ``/v1``.
            dialect: a name in `DIALECTS`.
            context_tokens: prompt plus generation that one sequence can hold.
            vocab_size: ids are in ``range(vocab_size)``.
            model: its name on the server; `options.model` wins.
            tokenizer: of the model; text needs it, llama-server is quicker with it.
            slots: sequences that a llama-server keeps; 0: it picks one for each leg itself.
            deterministic: the server honours seeds.
            options: how to talk to it.

        Raises:
            InvalidRequestError: an argument is out of range.
        """
        if dialect not in DIALECTS:
            raise InvalidRequestError(
                f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}",
                param="dialect",
            )
        # Each connection holds one of llama-server's few threads, whether it is used or not.
        self._client = Client(url, options, spares=dialect != "llama_server")
        served = Served(
            model=options.model or model,
            context_tokens=context_tokens,
            vocab_size=vocab_size,
            tokenizer=tokenizer,
            slots=slots,
            deterministic=deterministic,
        )
        self._served = served
        self._dialect = DIALECTS[dialect](self._client, served)
        self._capabilities = self._dialect.capabilities()

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        dialect: str = AUTO,
        tokenizer: TextTokenizer | None = None,
        context_tokens: int | None = None,
        vocab_size: int | None = None,
        options: HTTPOptions = _DEFAULTS,
    ) -> Self:
        """Asks the server what it is. Arguments are as in the constructor; None: what it says.

        Raises:
            InvalidRequestError: something is not given, and the server does not say it either.
            EngineUnavailableError: the server cannot be reached.
            EngineError: it speaks none of the dialects.
        """
        client = Client(url, options)
        try:
            found = await probe(client, dialect)
        finally:
            await client.aclose()
        if vocab_size is None and tokenizer is not None:
            vocab_size = tokenizer.vocab_size
        return cls(
            url,
            dialect=found.dialect,
            context_tokens=_known("context_tokens", context_tokens, found.context_tokens, url),
            # What the server says counts padding too.
            vocab_size=_known("vocab_size", vocab_size, found.vocab_size, url),
            model=found.model,
            tokenizer=tokenizer,
            slots=found.slots,
            deterministic=found.deterministic,
            options=options,
        )

    def sibling(self, url: str) -> Self:
        """An engine of an equal server elsewhere, which is asked nothing.

        Raises:
            InvalidRequestError: `url` is no address of a web server.
        """
        served = self._served
        return type(self)(
            url,
            dialect=self.dialect,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
            model=served.model,
            tokenizer=served.tokenizer,
            slots=served.slots,
            deterministic=served.deterministic,
            options=self._client.options,
        )

    @property
    def served(self) -> Served:
        """What is known of the server."""
        return self._served

    @property
    def dialect(self) -> str:
        """The name of what the server speaks."""
        return self._dialect.name

    @property
    def url(self) -> str:
        """Of the server."""
        return self._client.url

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        """The kinds of form that a server of this dialect can hold its output to."""
        return self._dialect.constraint_kinds

    def constrained(self, constraint: Constraint) -> Engine:
        """This engine, with every leg held to a form; what the server refuses, a leg raises.

        Raises:
            UnsupportedError: the dialect has no words for a form of this kind.
        """
        if constraint.kind not in self._dialect.constraint_kinds:
            raise UnsupportedError(
                f"a server that speaks {self.dialect} cannot be asked for {constraint.kind}",
                param=constraint.param,
            )
        return ConstrainedView(self, partial(self._write_form, constraint))

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return self._write(request)

    async def _write(
        self, request: GenerateRequest, constraint: Constraint | None = None
    ) -> AsyncGenerator[EngineOutput]:
        check_request(request, self._capabilities)
        self._check_open()
        room = self._capabilities.context_tokens - len(request.prompt)
        if request.max_tokens > room:
            request = replace(request, max_tokens=room)
        leg = self._dialect.leg(request, constraint)
        outputs = write_leg(self._client, leg, request, self._capabilities.vocab_size)
        deadlines = self._client.options.deadlines
        if deadlines is not None:
            outputs = timed(outputs, self.url, deadlines)
        async with aclosing(outputs):
            async for output in outputs:
                yield output

    async def _write_form(
        self, constraint: Constraint, request: GenerateRequest
    ) -> AsyncGenerator[EngineOutput]:
        """Servers do not say which of a client's fields it is that they refuse."""
        try:
            self._check_open()
            await self._dialect.check_form(request, constraint)
            async with aclosing(self._write(request, constraint)) as outputs:
                async for output in outputs:
                    yield output
        except InvalidRequestError as error:
            error.param = error.param or constraint.param
            raise

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""
        self._check_open()
        try:
            check_request(GenerateRequest(prompt=token_ids, max_tokens=1), self._capabilities)
            await self._client.whole(self._dialect.prefill(token_ids, generation_id))
        except (InvalidRequestError, EngineError):
            self._check_open()  # only a hint, unless the engine was closed

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`."""
        check_score(token_ids, from_token, self._capabilities)
        self._check_open()
        return await self._dialect.score(token_ids, from_token, generation_id)

    async def check_tokenizer(
        self, tokenizer: Tokenizer, fingerprint: Fingerprint | None = None
    ) -> bool:
        """Compares a tokenizer with the server's own, by the ids of the fingerprint's probe text.

        Args:
            tokenizer: what the server should have.
            fingerprint: its own, where it has been taken already.

        Returns:
            True if the ids are equal; False if the server has no way to ask.

        Raises:
            TokenizerMismatchError: they differ; names the first difference.
            EngineError: the server cannot be reached, or fails.
        """
        fingerprint = fingerprint or Fingerprint.of(tokenizer)
        return await check_tokenizer(self._dialect, tokenizer, fingerprint, self.url)

    async def check_health(self) -> None:
        """Returns if the server says that it is well.

        Raises:
            EngineError: it does not, or cannot be reached.
        """
        await self._client.whole(Call(self._dialect.health_path))

    async def settled(self) -> None:
        """Returns when no connection of an ended leg is on its way back any more."""
        await self._client.settled()

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._client.aclose()

    def _check_open(self) -> None:
        if self._client.closed:
            raise EngineUnavailableError(f"the engine of {self.url} was closed; open another")


def _known(name: str, given: int | None, found: int | None, url: str) -> int:
    value = found if given is None else given
    if value is None:
        raise InvalidRequestError(f"{url} does not say its {name}; give it", param=name)
    return value
