"""vLLM: ``/v1/completions`` with a list of token ids as its prompt.

Exact: prompts and outputs are ids; end-of-sequence ids are the leg's own and no others, because
``ignore_eos`` switches off the model's and ``stop_token_ids`` names ours; scores are those of the
raw logits, before temperature, penalties and bias; a seed repeats a leg.

Not exact: a temperature between 0 and 0.01 counts as 0.01; a bias beyond +-100 is cut to that; a
``stop_token_ids`` in the server's own generation config also ends a leg (as `LegEnd.EOS`). Prompt
log-probabilities bypass its prefix cache, so `score` reads the whole prefix again. vLLM allows 4
stop strings unless ``VLLM_MAX_STOP_STRINGS`` is raised (`HTTPOptions.stop_strings`).

Source: vLLM, vllm/entrypoints/openai/completion/{protocol,serving}.py, vllm/sampling_params.py,
vllm/v1/core/sched/utils.py.
"""

from __future__ import annotations

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
from relaygen.engines.openai_http.scores import listed_score
from relaygen.engines.penalties import Penalties
from relaygen.errors import EngineProtocolError, EngineSetupError, UnsupportedError
from relaygen.types import LegEnd, Sampling, TokenScore

_PATH = "/v1/completions"
_TOP = 20  # what a server lists unless it was started with another --max-logprobs


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]


class _PromptLogprob(msgspec.Struct):
    logprob: float


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    prompt_logprobs: list[dict[int, _PromptLogprob] | None] | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None


class VLLM:
    """See `Dialect`."""

    name = "vllm"
    health_path = "/health"
    constraint_kinds = frozenset(ConstraintKind)

    def __init__(self, client: Client, served: Served) -> None:
        self._client = client
        self._served = served
        stops = client.options.stop_strings
        self._capabilities = Capabilities(
            top_logprobs=_TOP,
            stop_strings=4 if stops is None else stops,
            prompt_scoring=True,
            prefix_cache=True,
            penalties=Penalties.FREQUENCY,
            context_tokens=served.context_tokens,
            vocab_size=served.vocab_size,
        )

    def capabilities(self) -> Capabilities:
        """See `Dialect.capabilities`."""
        return self._capabilities

    def leg(self, request: GenerateRequest, constraint: Constraint | None = None) -> VLLMLeg:
        """See `Dialect.leg`."""
        sampling = within_one_request(request)
        if sampling.temperature > 2.0:
            raise UnsupportedError(
                f"temperature is {sampling.temperature:g}; vLLM takes at most 2",
                param="temperature",
            )
        body = self._body(request.prompt, request.max_tokens) | _sampling(sampling)
        body |= {
            "stream": True,
            "stop": list(request.stop_hints[: self._capabilities.stop_strings]),
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted(request.eos_ids),
        }
        if request.want_scores:
            body["logprobs"] = max(2, request.top_logprobs)
        if constraint is not None:
            body["structured_outputs"] = _form(constraint)
        return VLLMLeg(self._client, Call(_PATH, body), request)

    async def check_form(self, request: GenerateRequest, constraint: Constraint) -> None:
        """See `Dialect.check_form`; it refuses what it cannot enforce."""

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """See `Dialect.prefill`."""
        return Call(_PATH, self._body(token_ids, 1) | _sampling(Sampling(temperature=0.0)))

    async def score(
        self, token_ids: Sequence[int], from_token: int, generation_id: str
    ) -> tuple[TokenScore, ...]:
        """See `Dialect.score`.

        The last token is not part of the prompt, which may fill the context: it is the one token
        that may be generated, and its raw log-probability comes with it.
        """
        *prompt, last = token_ids
        body = self._body(prompt, 1) | _sampling(Sampling(temperature=0.0))
        body |= {"prompt_logprobs": 2, "logprobs": 2, "allowed_token_ids": [last]}
        call = Call(_PATH, body)
        answer = await self._client.json(call, _Event)
        if not answer.choices:
            raise EngineProtocolError(f"{self._client.where(call)} sent no choice", retryable=True)
        choice = answer.choices[0]
        listed = (choice.prompt_logprobs or [])[from_token:]
        if len(listed) != len(prompt) - from_token or choice.token_ids != [last]:
            raise EngineProtocolError(
                f"{self._client.where(call)} scored other tokens than it was sent", retryable=True
            )
        scores = [
            _prompt_score(token, entry)
            for token, entry in zip(prompt[from_token:], listed, strict=True)
        ]
        return (*scores, *_scores(choice, 1, 0))

    async def encode(self, text: str) -> list[int] | None:
        """See `Dialect.encode`."""
        return await tokenized_prompt(self._client, self._served.model, text)

    def _body(self, prompt: Sequence[int], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._served.model,
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "n": 1,
            "echo": False,
            "add_special_tokens": False,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "ignore_eos": True,
            "min_tokens": 0,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }


class VLLMLeg:
    """See `DialectLeg`."""

    def __init__(self, client: Client, call: Call, request: GenerateRequest) -> None:
        self.call = call
        self._client = client
        self._request = request
        self._begun = False

    def read(self, data: bytes) -> Chunk | None:
        """See `DialectLeg.read`."""
        event = event_or_done(self._client, self.call, data, _Event)
        if event is None or not event.choices:
            return None
        choice = event.choices[0]
        if choice.token_ids is None:
            where = f"{self._client.where(self.call)} sends no token ids"
            if self._begun:
                raise EngineProtocolError(f"{where} any more", retryable=True)
            raise EngineSetupError(
                f"{where}: it is no vLLM, or one before 0.10.2; use the text dialect, or a newer "
                "server"
            )
        self._begun = True
        scores = None
        if self._request.want_scores:
            scores = _scores(choice, len(choice.token_ids), self._request.top_logprobs)
        return Chunk(choice.token_ids, scores, self._end(choice))

    def ended(self, *, broken_off: bool) -> Call | None:
        """See `DialectLeg.ended`; vLLM watches the connection."""
        return None

    def _end(self, choice: _Choice) -> LegEnd | None:
        match choice.finish_reason:
            case None:
                return None
            case "length":
                return LegEnd.LENGTH
            case "stop":
                hinted = isinstance(choice.stop_reason, str)
                return LegEnd.STOP_HINT if hinted else LegEnd.EOS
            case other:
                raise EngineProtocolError(
                    f"{self._client.where(self.call)} ended a leg with {other!r}", retryable=True
                )


def _form(constraint: Constraint) -> dict[str, Any]:
    match constraint.kind:
        case ConstraintKind.CHOICE:
            return {"choice": list(constraint.choices)}
        case ConstraintKind.JSON_OBJECT:
            return {"json_object": True}
        case ConstraintKind.JSON_SCHEMA:
            return {"json": constraint.json_schema}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    seed = {} if sampling.seed is None else {"seed": sampling.seed % SEEDS}
    return sampling_fields(sampling) | seed


def _scores(choice: _Choice, count: int, top: int) -> tuple[TokenScore, ...]:
    listed = choice.logprobs
    if count == 0:
        return ()
    if listed is None or not count == len(listed.token_logprobs) == len(listed.top_logprobs):
        raise EngineProtocolError("the server sent tokens without their scores", retryable=True)
    return tuple(
        listed_score(logprob or 0.0, _by_id(entry or {}), top=top)
        for logprob, entry in zip(listed.token_logprobs, listed.top_logprobs, strict=True)
    )


def _by_id(entry: dict[str, float]) -> list[tuple[int, float]]:
    """With ``return_tokens_as_token_ids`` a token is named like ``token_id:17``."""
    try:
        return [(int(name.removeprefix("token_id:")), value) for name, value in entry.items()]
    except ValueError as error:
        raise EngineProtocolError(
            f"the server named an alternative {error.args[0]!r} where an id was asked for",
            retryable=True,
        ) from error


def _prompt_score(token: int, entry: dict[int, _PromptLogprob] | None) -> TokenScore:
    if entry is None or token not in entry:
        raise EngineProtocolError(f"the server did not score token {token}", retryable=True)
    alternatives = [(token_id, value.logprob) for token_id, value in entry.items()]
    return listed_score(entry[token].logprob, alternatives, top=0)
