"""One leg on a llama-server; see `llama_server`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relaygen.engines.base import GenerateRequest
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects.base import Chunk, TextTokenizer
from relaygen.engines.openai_http.dialects.llama_server_wire import PATH, Event, score_of
from relaygen.engines.openai_http.dialects.words import event_of
from relaygen.engines.openai_http.pieces import Pieces
from relaygen.engines.openai_http.slots import ANY, Slots
from relaygen.errors import EngineProtocolError
from relaygen.types import LegEnd, TokenScore


class ServerOfLeg(Protocol):
    """What a leg needs of its `LlamaServer`."""

    client: Client
    slots: Slots
    pieces: Pieces | None
    tokenizer: TextTokenizer | None

    async def score_forced(
        self, token_ids: Sequence[int], from_token: int, slot: int, top: int
    ) -> tuple[TokenScore, ...]:
        """Scores written tokens."""
        ...


class LlamaServerLeg:
    """See `DialectLeg` and `Recovers`."""

    def __init__(
        self, server: ServerOfLeg, call: Call, request: GenerateRequest, slot: int
    ) -> None:
        self.call = call
        self._server = server
        self._request = request
        self._slot = slot
        self._seen = 0
        self._evaluated: int | None = None

    def read(self, data: bytes) -> Chunk | None:
        """See `DialectLeg.read`."""
        client = self._server.client
        event = event_of(client, self.call, data, Event)
        if event.prompt_progress is not None:
            # It carries a made-up token 0.
            self._evaluated = event.prompt_progress.total - event.prompt_progress.cache
            return None
        missing = event.tokens_predicted - self._seen - len(event.tokens)
        if missing < 0:
            raise EngineProtocolError(
                f"{client.where(self.call)} sent more tokens than the {event.tokens_predicted} it "
                "counts",
                retryable=True,
            )
        evaluated, self._evaluated = self._evaluated, None
        if evaluated is not None:
            evaluated = max(1, evaluated)
        self._seen = event.tokens_predicted
        return Chunk(
            event.tokens,
            self._scores(event),
            self._end(event),
            evaluated,
            missing,
            event.content,
        )

    async def recover(
        self, chunk: Chunk, written: Sequence[int]
    ) -> tuple[tuple[int, ...], tuple[TokenScore, ...] | None]:
        """See `Recovers.recover`."""
        ids = self._from_text(chunk) or await self._from_replay(chunk, written)
        if not self._request.want_scores:
            return ids, None
        tokens = [*self._request.prompt, *written, *ids]
        start = len(tokens) - len(ids)
        top = self._request.top_logprobs
        return ids, await self._server.score_forced(tokens, start, ANY, top)

    def ended(self, *, broken_off: bool) -> Call | None:
        """See `DialectLeg.ended`; llama-server watches the connection."""
        self._server.slots.give_back(self._slot)
        return None

    def _from_text(self, chunk: Chunk) -> tuple[int, ...] | None:
        """Where stop strings hold text back, an event's text is not that of its own tokens."""
        pieces, tokenizer = self._server.pieces, self._server.tokenizer
        stops = (self.call.body or {}).get("stop")
        if pieces is None or tokenizer is None or stops or not chunk.token_ids:
            return None
        markup = tokenizer.markup_ids
        own = [b"" if i in markup else tokenizer.token_bytes(i) for i in chunk.token_ids]
        text = chunk.text.encode()
        if not text.endswith(b"".join(own)):
            return None
        return pieces.only_split(text[: len(text) - len(b"".join(own))], chunk.missing)

    async def _from_replay(self, chunk: Chunk, written: Sequence[int]) -> tuple[int, ...]:
        known = len(written)
        wanted = known + chunk.missing
        body = (self.call.body or {}) | {
            "n_predict": wanted,
            "stream": False,
            "return_progress": False,
            "n_probs": 0,
            "id_slot": ANY,
            "stop": [],
        }
        event = await self._server.client.json(Call(PATH, body), Event)
        if len(event.tokens) != wanted or event.tokens[:known] != list(written):
            raise EngineProtocolError(
                f"{self._server.client.where(self.call)} left {chunk.missing} ids out of its "
                "stream, and writes other tokens when asked again; give the engine the model's "
                "tokenizer",
                retryable=True,
            )
        return tuple(event.tokens[known:])

    def _scores(self, event: Event) -> tuple[TokenScore, ...] | None:
        if not self._request.want_scores:
            return None
        listed = event.completion_probabilities if event.tokens else []
        if [entry.id for entry in listed] != event.tokens:
            raise EngineProtocolError("the server sent tokens without their scores", retryable=True)
        return tuple(score_of(entry, self._request.top_logprobs) for entry in listed)

    def _end(self, event: Event) -> LegEnd | None:
        if not event.stop:
            return None
        ends = {"eos": LegEnd.EOS, "limit": LegEnd.LENGTH, "word": LegEnd.STOP_HINT}
        if event.stop_type not in ends:
            raise EngineProtocolError(
                f"{self._server.client.where(self.call)} ended a leg with {event.stop_type!r}",
                retryable=True,
            )
        return ends[event.stop_type]
