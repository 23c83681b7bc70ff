"""The request of ``/v1/chat/completions``, field by field.

Source: OpenAI's API reference; ``chat_template_kwargs``, ``continue_final_message``,
``add_generation_prompt`` and ``return_token_ids`` are vLLM's.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from relaygen.gateway.wire.common_request import CommonRequest

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that the assistant made earlier; its arguments are JSON in a string.

    OpenAI's clients send back what they parsed them to; it says nothing new.
    """

    name: str
    arguments: str = "{}"
    parsed_arguments: Any = None


class ToolCallEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One entry of an assistant message's ``tool_calls``."""

    function: FunctionCall
    id: str | None = None
    type: Literal["function"] = "function"
    index: int | None = None


class ChatMessage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One message.

    The last fields are what clients send back with our own message: what OpenAI's says of other
    models is only ever ``null``; ``parsed`` (OpenAI's clients) and ``provider_specific_fields``
    (LiteLLM) repeat the other fields.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallEntry] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    parsed: Any = None
    provider_specific_fields: dict[str, Any] | None = None


class FunctionSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One entry of ``tools``."""

    function: FunctionSpec
    type: Literal["function"] = "function"


class FunctionName(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Inside `NamedToolChoice`."""

    name: str


class NamedToolChoice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A ``tool_choice`` that names a function."""

    function: FunctionName
    type: Literal["function"] = "function"


class JsonSchemaSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Inside ``response_format``."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """OpenAI's ``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaSpec | None = None


class ChatRequest(CommonRequest, forbid_unknown_fields=True, kw_only=True):
    """The whole request."""

    messages: list[ChatMessage]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    reasoning_effort: ReasoningEffort | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
