"""What all dialects of the simulated server share: the engine behind them, and its counters."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from relaygen.engines.base import EngineOutput, GenerateRequest, check_request
from relaygen.engines.sampling import score_tokens
from relaygen.engines.simulated.engine import SimulatedEngine
from relaygen.engines.simulated.models import ScriptedModel, TokenModel
from relaygen.engines.simulated.prompted import StartsLegs
from relaygen.engines.simulated.server.connections import Connections
from relaygen.engines.simulated.server.faults import JUNK, ServerFault
from relaygen.engines.simulated.server.forms import form_text
from relaygen.errors import ContextLengthError, EngineError, InvalidRequestError
from relaygen.types import LegEnd, TokenScore

T = TypeVar("T")

_CACHE_KEY_TOKENS = 32


class ServedVocabulary(Protocol):
    """What a server needs to speak text."""

    def __len__(self) -> int:
        """Ids are below it."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that this token adds to the text."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text, special tokens read as such."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A piece of a stream, and how many tokens it brings."""

    data: bytes
    tokens: int = 0


class Backend:
    """One served model."""

    def __init__(
        self,
        model: TokenModel,
        vocabulary: ServedVocabulary,
        *,
        dialect: str,
        engine: SimulatedEngine,
        eos_ids: frozenset[int] = frozenset(),
        name: str = "simulated",
        faults: ServerFault | Mapping[int, ServerFault] | None = None,
        slots: int = 4,
        incremental: bool = False,
    ) -> None:
        """Describes the server.

        Args:
            model: what chooses the tokens; the engine runs it.
            vocabulary: text of tokens and back.
            dialect: what it speaks.
            engine: with its latencies.
            eos_ids: the model's own end-of-sequence ids.
            name: of the model.
            faults: for every generation, or by its number, counted from 0; may be changed.
            slots: as of llama-server.
            incremental: as SGLang's ``--incremental-streaming-output``.
        """
        self.model = model
        self.vocabulary = vocabulary
        self.dialect = dialect
        self.engine = engine
        self.eos_ids = eos_ids
        self.name = name
        self.faults = faults
        self.slots = slots
        self.incremental = incremental
        self.connections = Connections()
        self.requests: list[Any] = []
        """Every request for a generation or a score, as it was read."""
        self.aborted: list[str] = []
        self.running = 0
        self.cache_queries = 0

    @property
    def cache_hits(self) -> int:
        """Prompt tokens that did not have to be read."""
        return self.cache_queries - self.engine.counters.prompt_tokens

    def cache_key(self, prompt: Sequence[int]) -> str:
        """A stand-in for a real prefix cache, which finds a prefix by its content."""
        start = msgspec.json.encode(list(prompt[:_CACHE_KEY_TOKENS]))
        return hashlib.blake2b(start, digest_size=8).hexdigest()

    def text(self, token_ids: Sequence[int]) -> str:
        """The text of a whole answer."""
        data = b"".join(map(self.vocabulary.token_bytes, token_ids))
        return data.decode("utf-8", errors="replace")

    def stop_found(self, token_ids: Sequence[int], stops: Sequence[str]) -> str:
        """Which stop string a leg ended with."""
        text = self.text(token_ids)
        return next((stop for stop in stops if stop in text), stops[0])

    def scores(self, token_ids: Sequence[int], start: int, top: int) -> list[TokenScore]:
        """Of the tokens from `start` on, which is at least 1."""
        found: list[TokenScore] = []
        model = self._started(token_ids[:-1])
        for place in range(start, len(token_ids)):
            logits = model.logits(token_ids[:place], start)[None]
            found += score_tokens(logits, token_ids[place : place + 1], top)
        return found

    def _started(self, prefix: Sequence[int]) -> TokenModel:
        return self.model.start(prefix) if isinstance(self.model, StartsLegs) else self.model

    def form(self, request: GenerateRequest, schema: Any) -> TokenModel | None:
        """What writes a leg that is held to a JSON schema; None: none holds it.

        The form begins with the leg, wherever that is in an answer, as on a real server.

        Raises:
            InvalidRequestError: the schema is not understood.
        """
        if schema is None:
            return None
        return ScriptedModel(
            self.vocabulary.encode(form_text(schema, request.prompt)),
            vocab_size=self.model.vocab_size,
            end_token=min(self.eos_ids | request.eos_ids),
        )

    async def outputs(
        self, request: GenerateRequest, form: TokenModel | None = None
    ) -> AsyncGenerator[EngineOutput]:
        """Runs a leg, written by `form` where it has one; closing the iterator cancels it."""
        self.cache_queries += len(request.prompt)
        self.running += 1
        try:
            engine = self.engine
            leg = engine.generate(request) if form is None else engine.generate_as(form, request)
            async with aclosing(leg) as outputs:
                async for output in outputs:
                    yield output
        finally:
            self.running -= 1

    async def whole(self, request: GenerateRequest, form: TokenModel | None = None) -> EngineOutput:
        """Runs a leg to its end."""
        tokens: list[int] = []
        scores: list[TokenScore] = []
        end, evaluated = LegEnd.LENGTH, None
        async for output in self.outputs(request, form):
            tokens += output.token_ids
            scores += output.scores or ()
            end = output.end or end
            evaluated = output.prompt_evaluated if evaluated is None else evaluated
        return EngineOutput(tuple(tokens), tuple(scores), end, evaluated)

    def check(self, request: GenerateRequest) -> None:
        """Raises `InvalidRequestError` for what the engine or the model would refuse."""
        check_request(request, self.engine.capabilities())
        self._started(request.prompt)

    def take_fault(self) -> ServerFault | None:
        """The fault of the next generation."""
        number = len(self.requests) - 1
        return self.faults.get(number) if isinstance(self.faults, Mapping) else self.faults

    async def answer(
        self, request: Request, events: AsyncGenerator[Event], *, stream: bool
    ) -> Response:
        """Sends the events, as a stream or their last as the whole answer; or fails as told."""
        fault = self.take_fault()
        if fault is not None and fault.kind == "status":
            headers = {}
            if fault.retry_after_s is not None:
                headers["Retry-After"] = str(fault.retry_after_s)
            return error_response(fault.status, "as it was told to", headers=headers)
        if fault is not None and fault.kind == "hang_up":
            self.connections.abort(request)
            return Response()
        if not stream:
            body = b""
            async for event in events:
                body = event.data
            return Response(body, media_type="application/json")
        return StreamingResponse(
            self._faulty(request, events, fault), media_type="text/event-stream"
        )

    async def _faulty(
        self, request: Request, events: AsyncGenerator[Event], fault: ServerFault | None
    ) -> AsyncGenerator[bytes]:
        sent = 0
        async with aclosing(events):
            async for event in events:
                if fault is not None and sent + event.tokens > fault.after:
                    async for junk in self._break_off(request, fault):
                        yield junk
                    return
                sent += event.tokens
                yield event.data

    async def _break_off(self, request: Request, fault: ServerFault) -> AsyncGenerator[bytes]:
        match fault.kind:
            case "cut":
                self.connections.abort(request)
            case "stall":
                await asyncio.Event().wait()
            case "half_close":
                self.connections.half_close(request)
                await asyncio.Event().wait()
            case "huge":
                yield b"data: " + b"x" * fault.size
                await asyncio.Event().wait()
            case "garbage" | "not_utf8":
                yield JUNK[fault.kind]
                await asyncio.Event().wait()
            case _:
                return


class TextDelta:
    """The text of tokens as they come: half a code point waits for the rest."""

    def __init__(self, vocabulary: ServedVocabulary) -> None:
        self._vocabulary = vocabulary
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def add(self, token_ids: Sequence[int], *, last: bool = False) -> str:
        """The text that is complete with these."""
        data = b"".join(map(self._vocabulary.token_bytes, token_ids))
        return self._decode(data, last)


def sse(value: Any) -> bytes:
    """An event with this value as JSON."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def error_body(status: int, message: str, kind: str = "BadRequestError") -> dict[str, Any]:
    """An error as OpenAI and all its imitators write it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that is no 200."""
    body = msgspec.json.encode(error_body(status, message))
    return Response(body, status, headers, media_type="application/json")


def refused(error: Exception) -> Response:
    """The answer to a request that cannot be honoured."""
    if isinstance(error, ContextLengthError):
        return error_response(400, f"This model's maximum context length is too short: {error}")
    return error_response(400, str(error))


def failed(error: EngineError) -> bytes:
    """What a stream says when the engine broke off."""
    return sse(error_body(500, str(error), "InternalServerError"))


async def parsed(request: Request, kind: type[T]) -> T:
    """The body of a request.

    Raises:
        InvalidRequestError: it is not of that kind.
    """
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the request is not understood: {error}") from error
