"""A request that was understood: the generations to run, and the form of the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relaygen.api import Options, Stream
from relaygen.chat import PromptTokens
from relaygen.engines.affinity import new_generation_id, prompt_affinity
from relaygen.gateway.replies.chat_form import ChatForm
from relaygen.gateway.replies.completion_form import CompletionForm
from relaygen.gateway.replies.form import Form, Head
from relaygen.gateway.requests import limits
from relaygen.gateway.requests.chat import read_chat
from relaygen.gateway.requests.completion import read_completion
from relaygen.gateway.service import Service
from relaygen.gateway.wire.chat_request import ChatRequest
from relaygen.gateway.wire.common_request import CommonRequest
from relaygen.gateway.wire.completion_request import CompletionRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        form: of the reply.
        streams: one a choice; those of one prompt next to each other.
        choices_per_prompt: how many those are.
        prompt_tokens: of all prompts.
        streamed: reply as server-sent events.
    """

    form: Form
    streams: tuple[Stream, ...]
    choices_per_prompt: int
    prompt_tokens: int
    streamed: bool


def plan_chat(request: ChatRequest, service: Service, most: int, owner: str) -> Plan:
    """Plans ``/v1/chat/completions``.

    Args:
        request: decoded.
        service: what is served.
        most: the largest number of choices.
        owner: name of the API key; caches are not shared between keys by ``prompt_cache_key``.

    Raises:
        RelayGenError: something in it cannot be honoured.
    """
    count = limits.choices(request, most)
    asked = read_chat(request, service)
    options = _choices([asked.prompt], asked.options, count, request, owner)
    form = ChatForm(
        head=_head(request, service, "chatcmpl", "chat.completion", logprobs=asked.logprobs),
        tools=asked.tools,
        prompt_ids=asked.prompt.ids,
        generation_ids=tuple(choice.generation_id for _, choice in options),
        tokenizer=service.relay.encoder.tokenizer,
        new_id=service.new_id,
    )
    return _plan(form, options, count, request, service)


def plan_completion(request: CompletionRequest, service: Service, most: int, owner: str) -> Plan:
    """Plans ``/v1/completions``; see `plan_chat`.

    Raises:
        RelayGenError: something in it cannot be honoured.
    """
    asked = read_completion(request, service)
    count = limits.choices(request, most, len(asked.prompts))
    options = _choices(asked.prompts, asked.options, count, request, owner)
    form = CompletionForm(
        head=_head(request, service, "cmpl", "text_completion", logprobs=asked.logprobs),
        prompt_ids=tuple(prompt.ids for prompt, _ in options),
        generation_ids=tuple(choice.generation_id for _, choice in options),
        tokenizer=service.relay.encoder.tokenizer,
    )
    return _plan(form, options, count, request, service)


def _choices(
    prompts: Sequence[PromptTokens],
    options: Options,
    count: int,
    request: CommonRequest,
    owner: str,
) -> list[tuple[PromptTokens, Options]]:
    """The prompt and options of every choice."""
    found = []
    for prompt in prompts:
        affinity = prompt_affinity(prompt.ids)
        if request.prompt_cache_key is not None:
            affinity = f"{owner}/{request.prompt_cache_key}"
        for index in range(count):
            choice = replace(options, choice_index=index, generation_id=new_generation_id(affinity))
            found.append((prompt, choice))
    return found


def _head(
    request: CommonRequest, service: Service, prefix: str, kind: str, *, logprobs: bool
) -> Head:
    streamed = bool(request.stream)
    options = request.stream_options
    return Head(
        id=f"{prefix}-{service.new_id()}",
        kind=f"{kind}.chunk" if streamed and kind == "chat.completion" else kind,
        created=int(service.wall_clock()),
        model=request.model,
        fingerprint=service.fingerprint,
        logprobs=logprobs,
        token_ids=bool(request.return_token_ids),
        trace=bool(request.relaygen and request.relaygen.trace),
        usage=bool(options and options.include_usage),
    )


def _plan(
    form: Form,
    choices: Sequence[tuple[PromptTokens, Options]],
    count: int,
    request: CommonRequest,
    service: Service,
) -> Plan:
    return Plan(
        form=form,
        streams=tuple(Stream(service.relay.run(*choice)) for choice in choices),
        choices_per_prompt=count,
        prompt_tokens=sum(len(prompt.ids) for prompt, _ in choices[::count]),
        streamed=bool(request.stream),
    )
