"""A completion request: raw prompts, each text or token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relaygen.api import Options
from relaygen.chat import PromptTokens
from relaygen.gateway.failures import refused, unsupported
from relaygen.gateway.requests import limits
from relaygen.gateway.requests.relay_fields import relay_options
from relaygen.gateway.service import Service
from relaygen.gateway.wire.completion_request import CompletionRequest

MAX_LOGPROBS = 5
DEFAULT_MAX_TOKENS = 16
"""OpenAI's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCompletion:
    """A completion request in the library's terms.

    Attributes:
        prompts: at least one.
        options: of every choice, but for what tells choices apart.
        logprobs: whether to list them.
    """

    prompts: tuple[PromptTokens, ...]
    options: Options
    logprobs: bool


def read_completion(request: CompletionRequest, service: Service) -> AskedCompletion:
    """Checks everything and encodes the prompts.

    Raises:
        HttpError: something in it cannot be honoured.
        RelayGenError: likewise, where the library found it.
    """
    limits.check_common(request)
    if request.echo:
        raise unsupported("echo", "the prompt is not sent back; put it before the text yourself")
    if request.suffix:
        raise unsupported("suffix", "these models do not fill in the middle")
    if request.best_of is not None and request.best_of != (request.n or 1):
        raise unsupported("best_of", "choices are not ranked; use n")
    if request.logprobs is not None and not 0 <= request.logprobs <= MAX_LOGPROBS:
        raise refused(
            "logprobs",
            f"logprobs is {request.logprobs}; it must be between 0 and {MAX_LOGPROBS}",
        )
    options = relay_options(request, service)
    options = replace(
        options,
        max_tokens=DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens,
        sampling=limits.sampling(request, service.relay),
        seed=limits.seed(request),
        stop=limits.stops(request),
        margins=options.margins or request.logprobs is not None,
        top_logprobs=request.logprobs or 0,
    )
    return AskedCompletion(
        prompts=tuple(_encoded(prompt, service) for prompt in _prompts(request.prompt)),
        options=options,
        logprobs=request.logprobs is not None,
    )


def _prompts(prompt: str | Sequence[str | int | Sequence[int]]) -> list[str | tuple[int, ...]]:
    """One prompt or several, each text or ids."""
    if isinstance(prompt, str):
        return [prompt]
    ids = [part for part in prompt if isinstance(part, int)]
    if ids and len(ids) == len(prompt):
        return [tuple(ids)]
    if ids:
        raise refused("prompt", "prompt mixes token ids with other things; send one or the other")
    if not prompt:
        raise refused("prompt", "prompt is empty; send some text")
    return [
        part if isinstance(part, str) else tuple(part)
        for part in prompt
        if not isinstance(part, int)
    ]


def _encoded(prompt: str | tuple[int, ...], service: Service) -> PromptTokens:
    """Markup in a raw prompt is markup: whoever sends one writes the template by hand."""
    encoder = service.relay.encoder
    tokenizer = encoder.tokenizer
    if isinstance(prompt, str):
        ids = tuple(tokenizer.encode(prompt, parse_special=True))
        bos = tokenizer.bos_id
        if bos is not None and tokenizer.add_bos and ids[:1] != (bos,):
            ids = (bos, *ids)
        text = prompt
    else:
        for token_id in prompt:
            if token_id not in tokenizer.entry_ids:
                raise refused(
                    "prompt",
                    f"prompt has the token id {token_id}, which is not in the vocabulary",
                )
        ids, text = prompt, ""
    if not ids:
        raise refused("prompt", "a prompt is empty; send some text")
    stage = None
    if encoder.reasoning is not None:
        stage = encoder.reasoning.first_stage_of_ids(ids, tokenizer)
    return PromptTokens(ids=ids, text=text, first_stage=stage)
