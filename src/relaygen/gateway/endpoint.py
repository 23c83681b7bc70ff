"""The endpoints that generate, as one path: who, what, whether, and then the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from relaygen.errors import ContextLengthError, RelayGenError
from relaygen.gateway.addresses import without_any, without_servers
from relaygen.gateway.exchange import Exchange
from relaygen.gateway.failures import ClientGoneError, HttpError, failure
from relaygen.gateway.keys import KeyRing
from relaygen.gateway.logs import log_bug
from relaygen.gateway.metrics import Metrics
from relaygen.gateway.plan import Plan
from relaygen.gateway.sending import Sender
from relaygen.gateway.service import Service
from relaygen.gateway.serving import Serving
from relaygen.gateway.traffic import Traffic
from relaygen.gateway.wire.common_request import CommonRequest
from relaygen.gateway.wire.decode import decode
from relaygen.settings import ServerSettings

_Request = TypeVar("_Request", bound=CommonRequest)
_LONG_BODY = 16 * 1024
"""Bytes from which a prompt is rendered on another thread: it would hold up every stream."""
EXCHANGE = "relaygen.exchange"
"""Where in ASGI's scope the `Exchange` is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gateway:
    """Everything that requests share."""

    service: Service
    settings: ServerSettings
    keys: KeyRing
    traffic: Traffic
    metrics: Metrics
    clock: Callable[[], float]


class GeneratingEndpoint(Generic[_Request]):
    """An ASGI application for one path."""

    def __init__(
        self,
        gateway: Gateway,
        kind: type[_Request],
        plan: Callable[[_Request, Service, int, str], Plan],
    ) -> None:
        """Takes the request's type, and what plans it: see `relaygen.gateway.plan`."""
        self._gateway = gateway
        self._kind = kind
        self._plan = plan
        chat = "messages" in kind.__struct_fields__
        self._prompt_field = "messages" if chat else "prompt"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens."""
        exchange: Exchange = scope[EXCHANGE]
        sender = Sender(send)
        try:
            await self._answer_or_tell(scope, receive, sender, exchange)
        except ClientGoneError:
            exchange.error = "client_gone"
            exchange.status = 499

    async def _answer_or_tell(
        self, scope: Scope, receive: Receive, sender: Sender, exchange: Exchange
    ) -> None:
        try:
            await self._answer(scope, receive, sender, exchange)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - a client must get an answer, whatever it is
            told = self._told(error, exchange)
            exchange.error = told.code or told.kind
            if told.code == "internal_error":
                log_bug(exchange, error)
            await sender.send_failure(told)

    async def _answer(
        self, scope: Scope, receive: Receive, sender: Sender, exchange: Exchange
    ) -> None:
        gateway = self._gateway
        headers = Headers(scope=scope)
        allowance = gateway.keys.find(headers.get("authorization"))
        exchange.key, exchange.allowance = allowance.name, allowance
        gateway.traffic.check_open()
        check_json(headers)
        body = await read_body(headers, receive, gateway.settings.max_body_bytes)
        request = decode(body, self._kind)
        gateway.service.policy_of(request.model)
        exchange.model, exchange.stream = request.model, bool(request.stream)
        if gateway.settings.log_prompts:
            exchange.messages = msgspec.to_builtins(
                getattr(request, "messages", None) or getattr(request, "prompt", None)
            )
        allowance.take_request()
        plan = await self._planned(request, len(body), allowance.name)
        exchange.prompt_tokens = plan.prompt_tokens
        allowance.take_tokens(plan.prompt_tokens)
        serving = Serving(
            plan,
            exchange,
            gateway.metrics,
            gateway.clock,
            keepalive_s=gateway.settings.keepalive_s,
        )
        work = serving.send_events if plan.streamed else serving.send_whole
        try:
            with gateway.traffic.visit(allowance, len(plan.streams)) as visit:
                await visit.serve(receive, lambda: work(sender))
        finally:
            allowance.take_tokens(exchange.completion_tokens)
            for generation_id in plan.form.generation_ids:
                gateway.service.forget(generation_id)

    def _told(self, error: Exception, exchange: Exchange) -> HttpError:
        """What a client is told of an error; its full words are for the log."""
        told = failure(error)
        if isinstance(error, HttpError) or not isinstance(error, RelayGenError):
            return told
        message, replicas = str(error), self._gateway.service.replicas()
        hide = without_any if told.status >= 500 else without_servers
        shown = hide(message, replicas)
        if told.status >= 500 or shown != message:
            exchange.detail = message
        is_prompt = isinstance(error, ContextLengthError) and told.param == "prompt"
        return told.saying(shown, param=self._prompt_field if is_prompt else told.param)

    async def _planned(self, request: _Request, size: int, owner: str) -> Plan:
        gateway = self._gateway
        arguments = (request, gateway.service, gateway.settings.max_choices, owner)
        if size < _LONG_BODY:
            return self._plan(*arguments)
        return await asyncio.to_thread(self._plan, *arguments)


def check_json(headers: Headers) -> None:
    """Refuses a body under another name: pages of any site may send text/plain, CORS or not.

    Raises:
        HttpError: 415; the body is not said to be JSON.
    """
    sent = headers.get("content-type", "")
    if sent.partition(";")[0].strip().lower() != "application/json":
        raise HttpError(
            415,
            "the body must be JSON, and be said to be: send the header content-type: "
            f"application/json ({f'it is {sent[:100]!r}' if sent else 'there is none'})",
            code="unsupported_media_type",
        )


async def read_body(headers: Headers, receive: Receive, most: int) -> bytes:
    """The whole body.

    Raises:
        HttpError: 413; it has more than `most` bytes.
        ClientGoneError: it ends too early.
    """
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client left while it sent its request")
        piece = message.get("body", b"")
        size += len(piece)
        if size > most:
            raise _too_large(most)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


def _too_large(most: int) -> HttpError:
    return HttpError(
        413,
        f"the body has more than {most:,} bytes, which is the most that this gateway takes",
        code="body_too_large",
    )
