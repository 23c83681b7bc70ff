"""The endpoints that vLLM and SGLang have alike, but for their words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relaygen.engines.base import GenerateRequest
from relaygen.engines.simulated.models import TokenModel
from relaygen.engines.simulated.server.backend import Backend, Event, parsed, refused
from relaygen.errors import InvalidRequestError


class Body(Protocol):
    """What every request for a generation says."""

    stream: bool


_B = TypeVar("_B", bound=Body)
_Write = Callable[
    [Backend, _B, GenerateRequest, TokenModel | None],
    AsyncGenerator[Event],
]


@dataclass(frozen=True, kw_only=True)
class Generating(Generic[_B]):
    """How one dialect is read and written.

    Attributes:
        kind: of the request.
        leg: what it asks for.
        schema: the form that it asks for; None: none.
        stream: writes the events.
        whole: writes the answer that is no stream.
        looked_at: what of the leg must be possible.
    """

    kind: type[_B]
    leg: Callable[[Backend, _B], GenerateRequest]
    schema: Callable[[_B], Any]
    stream: _Write[_B]
    whole: _Write[_B]
    looked_at: Callable[[_B, GenerateRequest], GenerateRequest] = lambda body, leg: leg

    async def answer(self, backend: Backend, request: Request) -> Response:
        """Answers one request."""
        try:
            body = await parsed(request, self.kind)
            leg = self.leg(backend, body)
            form = backend.form(leg, self.schema(body))
            backend.check(self.looked_at(body, leg))
        except InvalidRequestError as error:
            return refused(error)
        backend.requests.append(body)
        write = self.stream if body.stream else self.whole
        return await backend.answer(request, write(backend, body, leg, form), stream=body.stream)


class _TokenizeRequest(msgspec.Struct):
    prompt: str
    add_special_tokens: bool = True


def tokenize_route(backend: Backend) -> Route:
    """``/tokenize`` of vLLM and SGLang."""

    async def tokenize(request: Request) -> Response:
        ids = backend.vocabulary.encode((await parsed(request, _TokenizeRequest)).prompt)
        return JSONResponse({"tokens": ids, "count": len(ids)})

    return Route("/tokenize", tokenize, methods=["POST"])
