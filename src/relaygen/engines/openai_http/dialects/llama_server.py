"""llama-server (llama.cpp): ``/completion`` with an array of ids as its prompt.

Exact: prompts are ids; the sampler chain is named, so that no default of the server's takes part;
scores are those of the raw logits; a seed repeats a leg.

Its stream leaves out the ids of tokens after which the text ends inside a code point; the count
of tokens in the next event shows that some are missing. They are found from their bytes where the
engine has the tokenizer and one way to write them; otherwise the leg is replayed without a stream,
with the same seed, and its ids are read off there (one more decoding of the leg so far).

Not exact: the model's own end-of-generation tokens end a leg besides those asked for (as
`LegEnd.EOS`). Penalties count the prompt as well, so they are refused unless one token is asked
for. It scores no prompts: `score` writes the tokens one by one, which costs as much as decoding.

Source: llama.cpp, tools/server/server-task.cpp and server-context.cpp (``process_token``); and what
the server in xllamacpp 2026.10.11549 answers.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from relaygen.engines.base import Capabilities, GenerateRequest
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects.base import Chunk, Served
from relaygen.engines.openai_http.penalties import within_one_request
from relaygen.engines.openai_http.pieces import Pieces
from relaygen.engines.openai_http.refusals import error_event
from relaygen.engines.openai_http.scores import listed_score
from relaygen.engines.openai_http.slots import ANY, Slots
from relaygen.engines.sampling import mix
from relaygen.errors import EngineProtocolError
from relaygen.types import LegEnd, Sampling, TokenScore

_PATH = "/completion"
_RANDOM_SEED = 2**32 - 1  # asks for one of the server's own
_FORCE = 1e9
_LAST_FIELDS = ["stop", "stop_type", "tokens", "tokens_predicted", "completion_probabilities"]
_NEUTRAL: dict[str, Any] = {
    "samplers": ["top_k", "top_p", "min_p", "temperature"],
    "repeat_last_n": 0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "typical_p": 1.0,
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "min_keep": 0,
    "ignore_eos": False,
    "n_keep": 0,
    "cache_prompt": True,
    "return_tokens": True,
    "post_sampling_probs": False,
    "timings_per_token": False,
    "response_fields": _LAST_FIELDS,
}


class _Logprob(msgspec.Struct):
    id: int
    logprob: float
    top_logprobs: list[_Logprob] = []


class _Progress(msgspec.Struct):
    total: int
    cache: int


class _Event(msgspec.Struct):
    tokens: list[int] = []
    content: str = ""
    stop: bool = False
    stop_type: str = ""
    tokens_predicted: int = 0
    completion_probabilities: list[_Logprob] = []
    prompt_progress: _Progress | None = None
    error: Any = None


class _Tokens(msgspec.Struct):
    tokens: list[int]


class LlamaServer:
    """See `Dialect`."""

    name = "llama_server"
    health_path = "/health"

    def __init__(self, client: Client, served: Served) -> None:
        self.client = client
        self.slots = Slots(served.slots)
        self.pieces = None if served.tokenizer is None else Pieces(served.tokenizer)
        self.tokenizer = served.tokenizer
        self._full_stop: int | None = None
        stops = client.options.stop_strings
        self._capabilities = Capabilities(
            top_logprobs=20,
            stop_strings=16 if stops is None else stops,
            prompt_scoring=True,
            prefix_cache=True,
            penalties=False,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Dialect.capabilities`."""
        return self._capabilities

    def leg(self, request: GenerateRequest) -> LlamaServerLeg:
        """See `Dialect.leg`."""
        sampling = within_one_request(request, server_counts=False)
        slot = self.slots.take(request.generation_id)
        body = _NEUTRAL | {
            "prompt": list(request.prompt),
            "n_predict": request.max_tokens,
            "stream": True,
            "return_progress": True,
            "id_slot": slot,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": _seed(sampling),
            "logit_bias": [[i, bias] for i, bias in sampling.logit_bias.items()],
            "n_probs": max(2, request.top_logprobs) if request.want_scores else 0,
            "stop": list(request.stop_hints[: self._capabilities.stop_strings]),
        }
        return LlamaServerLeg(self, Call(_PATH, body), request, slot)

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """See `Dialect.prefill`."""
        slot = self.slots.take(generation_id)
        self.slots.give_back(slot)
        return Call(_PATH, self._one_token(token_ids, slot))

    async def score(
        self, token_ids: Sequence[int], from_token: int, generation_id: str
    ) -> tuple[TokenScore, ...]:
        """See `Dialect.score`."""
        slot = self.slots.take(generation_id)
        try:
            return await self.score_forced(token_ids, from_token, slot, 0)
        finally:
            self.slots.give_back(slot)

    async def score_forced(
        self, token_ids: Sequence[int], from_token: int, slot: int, top: int
    ) -> tuple[TokenScore, ...]:
        """Each token is written by force, and its raw score comes with it."""
        scores = []
        for place in range(from_token, len(token_ids)):
            scores.append(await self._score_one(token_ids[:place], token_ids[place], slot, top))
        return tuple(scores)

    async def _score_one(
        self, prompt: Sequence[int], token_id: int, slot: int, top: int
    ) -> TokenScore:
        listed = await self._forced(prompt, token_id, max(2, top), slot)
        if listed is not None:
            return _score(listed, top)
        # It ends inside a code point, and is left out. It is among the alternatives of any other.
        if self._full_stop is None:
            self._full_stop = (await self.encode(".") or [0])[0]
        listed = await self._forced(prompt, self._full_stop, self._capabilities.vocab_size, slot)
        for other in () if listed is None else listed.top_logprobs:
            if listed is not None and other.id == token_id:
                return _score(_Logprob(other.id, other.logprob, listed.top_logprobs), top)
        raise EngineProtocolError(
            f"{self.client.url}{_PATH} gives no probability for token {token_id}", retryable=True
        )

    async def _forced(
        self, prompt: Sequence[int], token_id: int, top: int, slot: int
    ) -> _Logprob | None:
        """What the server says of a token that it cannot but write."""
        force = {"n_probs": top, "logit_bias": [[token_id, _FORCE]]}
        event = await self.client.json(Call(_PATH, self._one_token(prompt, slot) | force), _Event)
        if event.tokens != [token_id]:
            raise EngineProtocolError(
                f"{self.client.url}{_PATH} wrote {event.tokens} where only token {token_id} was "
                "possible",
                retryable=True,
            )
        return event.completion_probabilities[0] if event.completion_probabilities else None

    async def encode(self, text: str) -> list[int] | None:
        """See `Dialect.encode`."""
        body = {"content": text, "add_special": False, "parse_special": True}
        return (await self.client.json(Call("/tokenize", body), _Tokens)).tokens

    def _one_token(self, prompt: Sequence[int], slot: int) -> dict[str, Any]:
        one = {"prompt": list(prompt), "n_predict": 1, "temperature": 0.0, "id_slot": slot}
        return _NEUTRAL | one | {"stream": False}


class LlamaServerLeg:
    """See `DialectLeg` and `Recovers`."""

    def __init__(
        self, server: LlamaServer, call: Call, request: GenerateRequest, slot: int
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
        event = client.decoded(data, _Event, self.call)
        if event.error is not None:
            raise error_event(event.error, where=client.where(self.call))
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
        if pieces is None or tokenizer is None or self._request.stop_hints or not chunk.token_ids:
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
        event = await self._server.client.json(Call(_PATH, body), _Event)
        if len(event.tokens) != wanted or event.tokens[:known] != list(written):
            raise EngineProtocolError(
                f"{self._server.client.where(self.call)} left {chunk.missing} ids out of its "
                "stream, and writes other tokens when asked again; give the engine the model's "
                "tokenizer",
                retryable=True,
            )
        return tuple(event.tokens[known:])

    def _scores(self, event: _Event) -> tuple[TokenScore, ...] | None:
        if not self._request.want_scores:
            return None
        listed = event.completion_probabilities if event.tokens else []
        if [entry.id for entry in listed] != event.tokens:
            raise EngineProtocolError("the server sent tokens without their scores", retryable=True)
        return tuple(_score(entry, self._request.top_logprobs) for entry in listed)

    def _end(self, event: _Event) -> LegEnd | None:
        if not event.stop:
            return None
        ends = {"eos": LegEnd.EOS, "limit": LegEnd.LENGTH, "word": LegEnd.STOP_HINT}
        if event.stop_type not in ends:
            raise EngineProtocolError(
                f"{self._server.client.where(self.call)} ended a leg with {event.stop_type!r}",
                retryable=True,
            )
        return ends[event.stop_type]


def _seed(sampling: Sampling) -> int:
    """32 bits; always one, so that a leg can be replayed."""
    if sampling.seed is None:
        return secrets.randbelow(_RANDOM_SEED)
    return sampling.seed if sampling.seed < _RANDOM_SEED else mix(sampling.seed) % _RANDOM_SEED


def _score(entry: _Logprob, top: int) -> TokenScore:
    return listed_score(entry.logprob, [(e.id, e.logprob) for e in entry.top_logprobs], top=top)
