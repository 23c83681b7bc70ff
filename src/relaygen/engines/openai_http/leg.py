"""One leg over HTTP, from its request to its end, whatever the server sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.openai_http.client import Client
from relaygen.engines.openai_http.dialects import Chunk, DialectLeg, Recovers
from relaygen.engines.openai_http.sse import SSEParser
from relaygen.errors import EngineProtocolError
from relaygen.types import LegEnd


async def write_leg(
    client: Client, leg: DialectLeg, request: GenerateRequest, vocab_size: int
) -> AsyncGenerator[EngineOutput]:
    """Writes one leg; closing the generator closes the connection at once.

    Raises:
        InvalidRequestError: the server refuses the request.
        EngineError: it cannot be reached, fails, or breaks its protocol.
    """
    checked = _Checked(request, vocab_size)
    try:
        async with aclosing(_chunks(client, leg)) as chunks:
            async for chunk in chunks:
                whole = chunk
                if chunk.missing:
                    whole = await _completed(leg, chunk, checked.written)
                output = checked.output(whole)
                if output is not None:
                    yield output
                    if output.end is not None:
                        return
    finally:
        told = leg.ended(broken_off=not checked.ended_by_server)
        if told is not None and not client.closed:
            client.later(client.tell(told))


async def _chunks(client: Client, leg: DialectLeg) -> AsyncGenerator[Chunk]:
    response = await client.stream(leg.call)
    parser = SSEParser(max_bytes=client.options.max_event_bytes)
    over = False
    try:
        while True:
            data = await client.read(response, leg.call)
            if not data:
                raise EngineProtocolError(
                    f"{client.where(leg.call)} ended its stream in the middle of a leg",
                    retryable=True,
                )
            for event in parser.feed(data):
                chunk = leg.read(event)
                if chunk is None:
                    continue
                over = chunk.end is not None
                yield chunk
                if over:
                    return
    finally:
        if over:
            client.finish(response)
        else:
            client.abort(response)


async def _completed(leg: DialectLeg, chunk: Chunk, written: list[int]) -> Chunk:
    """The chunk with the tokens in front of it that its server left out."""
    if not isinstance(leg, Recovers):
        raise EngineProtocolError("the server left tokens out of its stream", retryable=True)
    ids, scores = await leg.recover(chunk, written)
    both = None if scores is None else (*scores, *(chunk.scores or ()))
    return Chunk((*ids, *chunk.token_ids), both, chunk.end, chunk.prompt_evaluated)


class _Checked:
    """Trusts nothing that a server sends, and ends a leg at its end-of-sequence id."""

    def __init__(self, request: GenerateRequest, vocab_size: int) -> None:
        self._request = request
        self._vocab_size = vocab_size
        self._first = True
        self.written: list[int] = []
        self.ended_by_server = False

    def output(self, chunk: Chunk) -> EngineOutput | None:
        """The chunk as an engine's output; None where it says nothing to a reader."""
        tokens, scores, end = tuple(chunk.token_ids), chunk.scores, chunk.end
        self.ended_by_server = end is not None
        if end is LegEnd.STOP_HINT and not self._request.stop_hints:
            raise EngineProtocolError(
                "the server stopped at a string, and was not asked to stop at any", retryable=True
            )
        for place, token_id in enumerate(tokens):
            if not 0 <= token_id < self._vocab_size:
                raise EngineProtocolError(
                    f"the server wrote token id {token_id}, which is outside the model's "
                    f"vocabulary of {self._vocab_size}",
                    retryable=True,
                )
            if token_id in self._request.eos_ids:
                tokens, end = tokens[: place + 1], LegEnd.EOS
                scores = None if scores is None else scores[: place + 1]
                break
        self.written += tokens
        if len(self.written) > self._request.max_tokens:
            raise EngineProtocolError(
                f"the server wrote more than the {self._request.max_tokens} tokens asked for",
                retryable=True,
            )
        if not tokens and end is None:
            return None
        if scores is None and self._request.want_scores:
            scores = ()
        evaluated = chunk.prompt_evaluated if self._first else None
        self._first = False
        return EngineOutput(tokens, scores, end, evaluated)
