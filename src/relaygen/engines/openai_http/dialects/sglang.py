"""SGLang: its own ``/generate`` with ``input_ids``.

Exact: prompts and outputs are ids; `score` uses ``logprob_start_len``, which scores a suffix with
the prefix cache on; a broken-off leg is aborted by its request id (SGLang itself waits two seconds
after a disconnect).

Not exact: the model's own end-of-sequence ids end a leg besides those asked for (``ignore_eos``
would switch off ``stop_token_ids`` too), as `LegEnd.EOS`. A seed is honoured only by a server
started with ``--enable-deterministic-inference``. Log-probabilities of written tokens are those of
the temperature, unless it was started with ``SGLANG_RETURN_ORIGINAL_LOGPROB=1``
(`HTTPOptions.original_logprobs`), and always those after a bias or a penalty: scores are refused
where they would be wrong.

A stream repeats all ids so far in every event unless the server was started with
``--incremental-streaming-output``; both are read, and ``completion_tokens`` says which it is. The
first costs O(n^2) bytes a leg.

Source: SGLang, python/sglang/srt/managers/{tokenizer_manager,schedule_batch}.py,
python/sglang/srt/sampling/sampling_params.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from relaygen.engines.base import Capabilities, GenerateRequest
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects.base import Chunk, Served
from relaygen.engines.openai_http.dialects.words import (
    SEEDS,
    event_or_done,
    sampling_fields,
    tokenized_prompt,
)
from relaygen.engines.openai_http.penalties import within_one_request
from relaygen.engines.openai_http.refusals import error_event
from relaygen.engines.openai_http.scores import listed_score
from relaygen.engines.penalties import Penalties
from relaygen.errors import EngineProtocolError, UnsupportedError
from relaygen.types import LegEnd, Sampling, TokenScore

_PATH = "/generate"

_Logprob = tuple[float | None, int, str | None]


class _Finish(msgspec.Struct):
    type: str
    matched: int | str | list[int] | None = None
    message: str = ""
    status_code: int | None = None


class _Meta(msgspec.Struct):
    completion_tokens: int
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    finish_reason: _Finish | None = None
    input_token_logprobs: list[_Logprob] | None = None
    input_top_logprobs: list[list[_Logprob] | None] | None = None
    output_token_logprobs: list[_Logprob] | None = None
    output_top_logprobs: list[list[_Logprob] | None] | None = None


class _Event(msgspec.Struct):
    output_ids: list[int] = []
    meta_info: _Meta | None = None
    error: Any = None


class SGLang:
    """See `Dialect`."""

    name = "sglang"
    health_path = "/health"
    constraint_kinds = frozenset(ConstraintKind)

    def __init__(self, client: Client, served: Served) -> None:
        self._client = client
        self._served = served
        stops = client.options.stop_strings
        self._capabilities = Capabilities(
            top_logprobs=20,
            stop_strings=16 if stops is None else stops,
            prompt_scoring=True,
            prefix_cache=True,
            seeds=served.deterministic,
            penalties=Penalties.FREQUENCY,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Dialect.capabilities`."""
        return self._capabilities

    def leg(self, request: GenerateRequest, constraint: Constraint | None = None) -> SGLangLeg:
        """See `Dialect.leg`."""
        if request.want_scores:
            _check_scores(request.sampling, original=self._client.options.original_logprobs)
        rid = uuid.uuid4().hex
        sampling = _sampling(within_one_request(request), request.max_tokens)
        sampling |= {
            "stop": list(request.stop_hints[: self._capabilities.stop_strings]) or None,
            "stop_token_ids": sorted(request.eos_ids) or None,
            "ignore_eos": not request.eos_ids,
        }
        if constraint is not None:
            sampling |= _form(constraint)
        body: dict[str, Any] = {
            "rid": rid,
            "input_ids": list(request.prompt),
            "sampling_params": sampling,
            "stream": True,
        }
        if request.want_scores:
            body |= _logprobs(max(2, request.top_logprobs), -1)
        return SGLangLeg(self._client, Call(_PATH, body), request, rid)

    async def check_form(self, request: GenerateRequest, constraint: Constraint) -> None:
        """See `Dialect.check_form`; it refuses what it cannot enforce."""

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """See `Dialect.prefill`."""
        return Call(_PATH, self._reading(token_ids))

    async def score(
        self, token_ids: Sequence[int], from_token: int, generation_id: str
    ) -> tuple[TokenScore, ...]:
        """See `Dialect.score`."""
        # The entry of the first position has no log-probability, hence one position more.
        body = self._reading(token_ids) | _logprobs(2, from_token - 1)
        call = Call(_PATH, body)
        answer = await self._client.json(call, _Event)
        meta = answer.meta_info
        wanted = list(token_ids[from_token:])
        ones = (meta and meta.input_token_logprobs) or []
        tops = (meta and meta.input_top_logprobs) or []
        ones, tops = ones[-len(wanted) :], tops[-len(wanted) :]
        if [token_id for _, token_id, _ in ones] != wanted or len(tops) != len(wanted):
            raise EngineProtocolError(
                f"{self._client.where(call)} scored other tokens than it was sent", retryable=True
            )
        return tuple(_score(one, top, 0) for one, top in zip(ones, tops, strict=True))

    async def encode(self, text: str) -> list[int] | None:
        """See `Dialect.encode`."""
        return await tokenized_prompt(self._client, self._served.model, text)

    def _reading(self, token_ids: Sequence[int]) -> dict[str, Any]:
        return {
            "input_ids": list(token_ids),
            "sampling_params": _sampling(Sampling(temperature=0.0), 0) | {"ignore_eos": True},
            "stream": False,
        }


class SGLangLeg:
    """See `DialectLeg`."""

    def __init__(self, client: Client, call: Call, request: GenerateRequest, rid: str) -> None:
        self.call = call
        self._client = client
        self._request = request
        self._rid = rid
        self._seen = 0

    def read(self, data: bytes) -> Chunk | None:
        """See `DialectLeg.read`."""
        event = event_or_done(self._client, self.call, data, _Event)
        if event is None or event.meta_info is None:
            return None
        meta = event.meta_info
        new = meta.completion_tokens - self._seen
        if new < 0 or len(event.output_ids) not in (new, meta.completion_tokens):
            raise EngineProtocolError(
                f"{self._client.where(self.call)} sent {len(event.output_ids)} ids where "
                f"{meta.completion_tokens} tokens are written and {self._seen} of them are known",
                retryable=True,
            )
        evaluated = None
        if self._seen == 0 and meta.cached_tokens is not None:
            evaluated = max(0, meta.prompt_tokens - meta.cached_tokens)
        self._seen = meta.completion_tokens
        return Chunk(
            event.output_ids[len(event.output_ids) - new :],
            self._scores(meta, new),
            self._end(meta.finish_reason),
            evaluated,
        )

    def ended(self, *, broken_off: bool) -> Call | None:
        """See `DialectLeg.ended`."""
        return Call("/abort_request", {"rid": self._rid}) if broken_off else None

    def _scores(self, meta: _Meta, new: int) -> tuple[TokenScore, ...] | None:
        if not self._request.want_scores:
            return None
        if new == 0:
            return ()
        ones = (meta.output_token_logprobs or [])[-new:]
        tops = (meta.output_top_logprobs or [])[-new:]
        if not new == len(ones) == len(tops):
            raise EngineProtocolError("the server sent tokens without their scores", retryable=True)
        top = self._request.top_logprobs
        return tuple(_score(one, listed, top) for one, listed in zip(ones, tops, strict=True))

    def _end(self, reason: _Finish | None) -> LegEnd | None:
        if reason is None:
            return None
        if reason.type == "length":
            return LegEnd.LENGTH
        if reason.type == "stop" and not isinstance(reason.matched, str):
            return LegEnd.EOS
        if reason.type == "stop" and reason.matched in self._request.stop_hints:
            return LegEnd.STOP_HINT
        # An abort, or a made-up stop string: SGLang calls an id outside the vocabulary "NaN happened".
        message = reason.message or f"ended a leg with {reason.type} {reason.matched or ''}".strip()
        raise error_event(
            {"message": message, "code": reason.status_code},
            where=self._client.where(self.call),
        )


def _sampling(sampling: Sampling, max_tokens: int) -> dict[str, Any]:
    seed = {} if sampling.seed is None else {"sampling_seed": sampling.seed % SEEDS}
    own = {
        "max_new_tokens": max_tokens,
        "min_new_tokens": 0,
        "n": 1,
        "top_k": sampling.top_k or -1,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "no_stop_trim": True,
    }
    return sampling_fields(sampling) | own | seed


def _form(constraint: Constraint) -> dict[str, Any]:
    if constraint.kind is ConstraintKind.CHOICE:
        return {"ebnf": constraint.grammar}
    return {"json_schema": msgspec.json.encode(constraint.json_schema).decode()}


def _logprobs(top: int, start: int) -> dict[str, Any]:
    return {
        "return_logprob": True,
        "top_logprobs_num": top,
        "logprob_start_len": start,
        "return_text_in_logprobs": False,
    }


def _score(one: _Logprob, top: list[_Logprob] | None, keep: int) -> TokenScore:
    alternatives = [(i, logprob) for logprob, i, _ in top or () if logprob is not None]
    return listed_score(one[0] or 0.0, alternatives, top=keep)


def _check_scores(sampling: Sampling, *, original: bool) -> None:
    """Refuses scores that would not be of the model's own distribution."""
    wrong = None
    if sampling.logit_bias:
        wrong = "logit_bias"
    elif sampling.has_penalties:
        wrong = "presence_penalty" if sampling.presence_penalty else "frequency_penalty"
    elif sampling.temperature not in (0.0, 1.0) and not original:
        wrong = "temperature"
    if wrong is not None:
        raise UnsupportedError(
            f"scores are wanted, and SGLang's are those after {wrong} "
            f"({getattr(sampling, wrong)}); leave {wrong} out"
            + (", or set original_logprobs" if wrong == "temperature" else ""),
            param=wrong,
        )
