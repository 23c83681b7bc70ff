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

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from relaygen.engines.base import Capabilities, GenerateRequest
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects.base import Served
from relaygen.engines.openai_http.dialects.llama_server_leg import LlamaServerLeg
from relaygen.engines.openai_http.dialects.llama_server_wire import (
    NEUTRAL,
    PATH,
    Event,
    Logprob,
    score_of,
    seed_of,
)
from relaygen.engines.openai_http.dialects.words import tokenized
from relaygen.engines.openai_http.penalties import within_one_request
from relaygen.engines.openai_http.pieces import Pieces
from relaygen.engines.openai_http.slots import Slots
from relaygen.engines.penalties import Penalties
from relaygen.errors import EngineProtocolError, UnsupportedError
from relaygen.types import TokenScore

_FORCE = 1e9  # a bias that leaves no other token
_MOST_SCHEMAS = 256  # that are remembered as good


class LlamaServer:
    """See `Dialect`."""

    name = "llama_server"
    health_path = "/health"
    constraint_kinds = frozenset(ConstraintKind)

    def __init__(self, client: Client, served: Served) -> None:
        self.client = client
        self.slots = Slots(served.slots)
        self.pieces = None if served.tokenizer is None else Pieces(served.tokenizer)
        self.tokenizer = served.tokenizer
        self._full_stop: int | None = None
        self._enforced: set[bytes] = set()  # by hash: a client chooses how long a schema is
        self._capabilities = Capabilities(
            top_logprobs=20,
            # It holds back what may begin a stop string, and never sends the ids that complete it.
            stop_strings=client.options.stop_strings or 0,
            prompt_scoring=True,
            prefix_cache=True,
            penalties=Penalties.NONE,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Dialect.capabilities`."""
        return self._capabilities

    def leg(self, request: GenerateRequest, constraint: Constraint | None = None) -> LlamaServerLeg:
        """See `Dialect.leg`."""
        sampling = within_one_request(request, server_counts=False)
        slot = self.slots.take(request.generation_id)
        body = NEUTRAL | {
            "prompt": list(request.prompt),
            "n_predict": request.max_tokens,
            "stream": True,
            "return_progress": True,
            "id_slot": slot,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": seed_of(sampling),
            "logit_bias": [[i, bias] for i, bias in sampling.logit_bias.items()],
            "n_probs": max(2, request.top_logprobs) if request.want_scores else 0,
            "stop": list(request.stop_hints[: self._capabilities.stop_strings]),
        }
        if constraint is not None:
            if constraint.kind is ConstraintKind.CHOICE:
                body["grammar"] = constraint.grammar
            else:
                body["json_schema"] = constraint.json_schema
        return LlamaServerLeg(self, Call(PATH, body), request, slot)

    async def check_form(self, request: GenerateRequest, constraint: Constraint) -> None:
        """See `Dialect.check_form`.

        A build with llguidance, such as xllamacpp's, logs that it cannot compile a schema and then
        writes without one. It is made to write what no JSON begins with: a full stop.
        """
        schema = sha256(json.dumps(constraint.json_schema).encode()).digest()
        if constraint.kind is ConstraintKind.CHOICE or schema in self._enforced:
            return
        full_stop = await self._full_stop_id()
        slot = self.slots.take(request.generation_id)
        try:
            body = self._one_token(request.prompt, slot) | {
                "logit_bias": [[full_stop, _FORCE]],
                "json_schema": constraint.json_schema,
            }
            event = await self.client.json(Call(PATH, body), Event)
        finally:
            self.slots.give_back(slot)
        if event.tokens == [full_stop]:
            raise UnsupportedError(
                "the model's server cannot enforce this JSON schema, and says why only in its log; "
                "use plainer keywords",
                param=constraint.param,
            )
        if len(self._enforced) >= _MOST_SCHEMAS:
            self._enforced.clear()
        self._enforced.add(schema)

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """See `Dialect.prefill`."""
        slot = self.slots.take(generation_id)
        self.slots.give_back(slot)
        return Call(PATH, self._one_token(token_ids, slot))

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
            return score_of(listed, top)
        # It ends inside a code point, and is left out. It is among the alternatives of any other.
        full_stop = await self._full_stop_id()
        listed = await self._forced(prompt, full_stop, self._capabilities.vocab_size, slot)
        for other in () if listed is None else listed.top_logprobs:
            if listed is not None and other.id == token_id:
                return score_of(Logprob(other.id, other.logprob, listed.top_logprobs), top)
        raise EngineProtocolError(
            f"{self.client.url}{PATH} gives no probability for token {token_id}", retryable=True
        )

    async def _forced(
        self, prompt: Sequence[int], token_id: int, top: int, slot: int
    ) -> Logprob | None:
        """What the server says of a token that it cannot but write."""
        force = {"n_probs": top, "logit_bias": [[token_id, _FORCE]]}
        event = await self.client.json(Call(PATH, self._one_token(prompt, slot) | force), Event)
        if event.tokens != [token_id]:
            raise EngineProtocolError(
                f"{self.client.url}{PATH} wrote {event.tokens} where only token {token_id} was "
                "possible",
                retryable=True,
            )
        return event.completion_probabilities[0] if event.completion_probabilities else None

    async def _full_stop_id(self) -> int:
        if self._full_stop is None:
            self._full_stop = (await self.encode(".") or [0])[-1]  # after a space, in some
        return self._full_stop

    async def encode(self, text: str) -> list[int] | None:
        """See `Dialect.encode`."""
        body = {"content": text, "add_special": False, "parse_special": True}
        return await tokenized(self.client, body)

    def _one_token(self, prompt: Sequence[int], slot: int) -> dict[str, Any]:
        one = {"prompt": list(prompt), "n_predict": 1, "temperature": 0.0, "id_slot": slot}
        return NEUTRAL | one | {"stream": False}
