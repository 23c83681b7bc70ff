"""Anything else that speaks OpenAI's ``/v1/completions``: text in, text out.

Nothing here is exact. The prompt is decoded and the server encodes it again; what it writes is text
that the engine encodes, word by word, with the tokenizer it was given. The text is right, the
ids are those of a usual encoding and not those that the model drew; a leg continued from them
may meet a prefix that the server would have split otherwise, and no cache hit. A server that adds a
beginning-of-sequence token of its own is not noticed. There are no scores, and no stop strings (its
``stop`` does not tell a stop string from the model's end). ``top_k``, ``min_p`` and
``repetition_penalty`` are no part of OpenAI's interface: the first two are sent where they are not
neutral, and a server may ignore them.

Source: OpenAI, API reference, "Create completion (legacy)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from relaygen.engines.base import Capabilities, GenerateRequest
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects.base import Chunk, Served, TextTokenizer
from relaygen.engines.openai_http.dialects.words import SEEDS, bias_field, event_or_done
from relaygen.engines.openai_http.penalties import within_one_request
from relaygen.engines.penalties import Penalties
from relaygen.errors import EngineError, EngineProtocolError, InvalidRequestError, UnsupportedError
from relaygen.types import LegEnd, Sampling, TokenScore

_PATH = "/v1/completions"
# Pre-tokenizers begin a word with its one blank: before that, no more text changes the ids.
_LAST_WORD = re.compile(r"(?<=\S) \S*\Z")


class _Choice(msgspec.Struct):
    text: str | None = None
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None


class Text:
    """See `Dialect`."""

    name = "text"
    health_path = "/v1/models"
    constraint_kinds: frozenset[ConstraintKind] = frozenset()

    def __init__(self, client: Client, served: Served) -> None:
        """Needs a tokenizer.

        Raises:
            InvalidRequestError: there is none.
        """
        if served.tokenizer is None:
            raise InvalidRequestError(
                "the text dialect turns text into ids itself; give it the model's tokenizer",
                param="tokenizer",
            )
        self._client = client
        self._model = served.model
        self._tokenizer = served.tokenizer
        self._capabilities = Capabilities(
            token_prompts=False,
            token_outputs=False,
            penalties=Penalties.FREQUENCY,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Dialect.capabilities`."""
        return self._capabilities

    def leg(self, request: GenerateRequest, constraint: Constraint | None = None) -> TextLeg:
        """See `Dialect.leg`."""
        if request.want_scores:
            raise UnsupportedError(
                "scores are wanted, and a server that speaks text has none for ids; use another "
                "engine for logprobs and margins",
                param="logprobs",
            )
        sampling = within_one_request(request)
        body = self._body(request.prompt, request.max_tokens, sampling) | {"stream": True}
        return TextLeg(self._client, Call(_PATH, body), request, self._tokenizer)

    async def check_form(self, request: GenerateRequest, constraint: Constraint) -> None:
        """See `Dialect.check_form`; it has no forms."""

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """See `Dialect.prefill`."""
        return Call(_PATH, self._body(token_ids, 1, Sampling(temperature=0.0)))

    async def score(
        self, token_ids: Sequence[int], from_token: int, generation_id: str
    ) -> tuple[TokenScore, ...]:
        """See `Dialect.score`."""
        raise EngineError("a server that speaks text scores no ids; use another engine")

    async def encode(self, text: str) -> list[int] | None:
        """See `Dialect.encode`."""
        return None

    def _body(self, prompt: Sequence[int], max_tokens: int, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": self._decoded(prompt),
            "max_tokens": max_tokens,
            "n": 1,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
        }
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.min_p:
            body["min_p"] = sampling.min_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed % SEEDS
        return body | bias_field(sampling)

    def _decoded(self, prompt: Sequence[int]) -> str:
        data = b"".join(map(self._tokenizer.token_bytes, prompt))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnsupportedError(
                f"the prompt is no text: byte {error.start} is inside a code point, or none; this "
                "server takes text alone",
                param="prompt",
            ) from error


class TextLeg:
    """See `DialectLeg`."""

    def __init__(
        self, client: Client, call: Call, request: GenerateRequest, tokenizer: TextTokenizer
    ) -> None:
        self.call = call
        self._client = client
        self._request = request
        self._tokenizer = tokenizer
        self._held = ""
        self._left = request.max_tokens

    def read(self, data: bytes) -> Chunk | None:
        """See `DialectLeg.read`."""
        event = event_or_done(self._client, self.call, data, _Event)
        if event is None or not event.choices:
            return None
        choice = event.choices[0]
        self._held += choice.text or ""
        end = self._end(choice.finish_reason)
        ids = self._ids(self._taken(last=end is not None))
        # An encoding of our own may need more tokens than the model drew.
        cut = len(ids) > self._left
        ids = ids[: self._left]
        self._left -= len(ids)
        if cut:
            return Chunk(ids, None, LegEnd.LENGTH)
        if end is LegEnd.EOS and not self._request.eos_ids.intersection(ids[-1:]):
            ids = [*ids, self._eos_id()]
        return Chunk(ids, None, end)

    def ended(self, *, broken_off: bool) -> Call | None:
        """See `DialectLeg.ended`."""
        return None

    def _taken(self, *, last: bool) -> str:
        """What no further text can change."""
        word = None if last else _LAST_WORD.search(self._held)
        at = len(self._held) if last else word.start() if word else 0
        text, self._held = self._held[:at], self._held[at:]
        return text

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, parse_special=True) if text else []

    def _eos_id(self) -> int:
        """The text does not say which; any of the leg's ids ends the sequence alike."""
        if not self._request.eos_ids:
            raise EngineProtocolError(
                f"{self._client.where(self.call)} ended the text, and the leg names no "
                "end-of-sequence id to end with"
            )
        return min(self._request.eos_ids)

    def _end(self, reason: str | None) -> LegEnd | None:
        match reason:
            case None | "":
                return None
            case "length":
                return LegEnd.LENGTH
            case "stop":
                return LegEnd.EOS
            case other:
                raise EngineProtocolError(
                    f"{self._client.where(self.call)} ended a leg with {other!r}", retryable=True
                )
