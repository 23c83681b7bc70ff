"""The shapes of replies: OpenAI's, with our extensions named as such."""

from __future__ import annotations

from typing import Any

import msgspec


class CompletionDetails(msgspec.Struct, kw_only=True):
    """Inside `UsageReply`."""

    reasoning_tokens: int


class PromptDetails(msgspec.Struct, kw_only=True):
    """Inside `UsageReply`."""

    cached_tokens: int


class UsageReply(msgspec.Struct, kw_only=True):
    """OpenAI's ``usage``. Each prompt counts once, however many choices and legs read it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionDetails
    prompt_tokens_details: PromptDetails | None = None


class TopLogprob(msgspec.Struct, kw_only=True):
    """One alternative to a token."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(msgspec.Struct, kw_only=True):
    """One token of the content."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(msgspec.Struct, kw_only=True):
    """A chat choice's ``logprobs``."""

    content: list[ContentLogprob]
    refusal: None = None


class CompletionLogprobs(msgspec.Struct, kw_only=True):
    """A completion choice's ``logprobs``: four lists of one length."""

    tokens: list[str] = msgspec.field(default_factory=list)
    token_logprobs: list[float] = msgspec.field(default_factory=list)
    top_logprobs: list[dict[str, float]] = msgspec.field(default_factory=list)
    text_offset: list[int] = msgspec.field(default_factory=list)


class FunctionReply(msgspec.Struct, kw_only=True):
    """A function's name and its arguments, JSON in a string."""

    name: str
    arguments: str


class ToolCallReply(msgspec.Struct, kw_only=True):
    """A call that the model makes."""

    id: str
    function: FunctionReply
    type: str = "function"


class MessageReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The assistant's message; ``reasoning`` and ``reasoning_content`` are the same text."""

    role: str
    content: str | None
    refusal: str | None
    reasoning: str | None
    reasoning_content: str | None
    tool_calls: list[ToolCallReply] | None = None


class RoleTokens(msgspec.Struct, kw_only=True):
    """Tokens by who wrote them; ``overrun`` were dropped."""

    large: int
    small: int
    overrun: int


class RelayReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The extension field ``relaygen`` of a finished choice.

    A segment is one call of an engine, unless it failed over. ``trace``, where the request asked
    for it, is that of `relaygen.views.result_json`.
    """

    id: str
    policy: str
    segments: int
    handoffs: int
    utilisation: float
    tokens: RoleTokens
    degraded: bool
    failovers: int
    repeatable: bool
    trace: dict[str, Any] | None = None


class ChatChoice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One choice of a chat completion; ``token_ids`` only where asked for."""

    index: int
    message: MessageReply
    logprobs: ChatLogprobs | None
    finish_reason: str
    relaygen: RelayReply
    token_ids: list[int] | None = None


class ChatReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A chat completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageReply
    system_fingerprint: str
    prompt_token_ids: list[int] | None = None


class CompletionChoice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One choice of a completion; the last two fields only where token ids were asked for."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: str
    relaygen: RelayReply
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None


class CompletionReply(msgspec.Struct, kw_only=True):
    """A completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageReply
    system_fingerprint: str
