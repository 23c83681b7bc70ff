"""A gateway's place holder on loopback: the playground's files, and recorded streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from relaygen.views.playground import HEADERS, files
from tests.serving import serving
from tests.views.generations import generation


class StandIn:
    """Answers as a gateway would, and remembers what it was asked.

    Attributes:
        asked: bodies of the requests for completions.
        paths: of all requests.
        key: the API key that it wants.
        models: their names.
        made: the generation to recite, by policy.
        extension: whether its chunks have the field ``relaygen``.
        figures: what stands in that field of the last chunk, instead of the trace.
        stalls: whether streams stop halfway, until the client goes away or `resume`.
        breaks: whether streams carry an error before their end.
        cuts: whether connections end halfway through a stream, upon `resume`.
        refuses: with what it refuses questions.
        let_go: how many streams the client left.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.key: str | None = None
        self.models = ["tiny", "tiny:large", "tiny:small", "tiny-2"]
        self.made = {policy: generation(policy) for policy in ("relay", "large", "small")}
        self.extension = True
        self.figures: dict[str, Any] | None = None
        self.stalls = False
        self.breaks = False
        self.cuts = False
        self.refuses: str | None = None
        self.let_go = 0
        self.url = ""
        self._resumed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def resume(self) -> None:
        """Lets the streams go on that stopped halfway; from another thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._resumed.set)

    def app(self) -> Starlette:
        async def static(request: Request) -> Response:
            self.paths.append(request.url.path)
            kind, body = files()[request.url.path]
            return Response(body, headers={**HEADERS, "content-type": kind})

        async def models(request: Request) -> Response:
            self.paths.append(request.url.path)
            if refusal := self._refusal(request):
                return refusal
            return JSONResponse({"object": "list", "data": [{"id": n} for n in self.models]})

        async def completions(request: Request) -> Response:
            self.paths.append(request.url.path)
            if refusal := self._refusal(request):
                return refusal
            body = await request.json()
            self.asked.append(body)
            self._loop = asyncio.get_running_loop()
            if self.refuses:
                return JSONResponse({"error": {"message": self.refuses}}, 400)
            made = self.made[body["relaygen"].get("policy", "relay")]
            return StreamingResponse(self._events(made), media_type="text/event-stream")

        return Starlette(
            routes=[
                *(Route(path, static) for path in files()),
                Route("/v1/models", models),
                Route("/v1/chat/completions", completions, methods=["POST"]),
            ]
        )

    def _refusal(self, request: Request) -> Response | None:
        if self.key is None or request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        error = {"message": "there is no API key; send one", "code": "invalid_api_key"}
        return JSONResponse({"error": error}, 401)

    async def _events(self, made: dict[str, Any]) -> AsyncIterator[bytes]:
        try:
            chunks = list(self._chunks(made))
            yield b": a comment\r\n\r\n"
            for number, chunk in enumerate(chunks):
                if self.breaks and number == len(chunks) // 2:
                    yield _event({"error": {"message": "the large model is gone"}})
                    return
                if self.cuts and number == len(chunks) // 2:
                    await self._resumed.wait()  # a browser drops what it has not handed on
                    raise ConnectionAbortedError
                if self.stalls and number == len(chunks) // 2:
                    await self._resumed.wait()
                event = _event(chunk)
                # In two pieces, cut inside a code point where there is one.
                cut = next((at for at, byte in enumerate(event) if byte >= 0x80), 20) + 1
                yield event[:cut]
                await asyncio.sleep(0)
                yield event[cut:]
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.let_go += 1
            raise

    def _chunks(self, made: dict[str, Any]) -> Iterator[dict[str, Any]]:
        tag = "</think>"
        for number, segment in enumerate(made["trace"]["segments"]):
            inner = segment["text"].removesuffix(tag)
            ids = segment["token_ids"]
            starts = range(0, len(inner), 7)
            for nth, at in enumerate(starts):
                key = "content" if segment["stage"] == "answer" else "reasoning"
                delta = {key: inner[at : at + 7]}
                if key == "reasoning":
                    delta["reasoning_content"] = delta[key]
                place = {"role": segment["role"], "stage": segment["stage"], "segment": number}
                shares = [n * len(ids) // len(starts) for n in (nth, nth + 1)]
                more = {"token_ids": ids[slice(*shares)]} if self.extension else {}
                yield self._chunk(delta, place, **more)
        told = {"relaygen": self.figures or made["trace"]} if self.extension else {}
        yield {**self._chunk({}, None, finish_reason="stop"), **told}
        yield {"choices": [], "usage": made["usage"]}

    def _chunk(self, delta: dict[str, Any], place: Any, **more: Any) -> dict[str, Any]:
        chunk = {"choices": [{"index": 0, "delta": delta, **more}]}
        return {**chunk, "relaygen": place} if self.extension and place else chunk


def _event(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


@contextmanager
def running() -> Iterator[StandIn]:
    """Serves a stand-in from a thread of its own."""
    stand_in = StandIn()
    with serving(stand_in.app()) as url:
        stand_in.url = f"{url}/"
        yield stand_in
