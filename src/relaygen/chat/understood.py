"""Tries a chat template on a probe conversation and says what works: for ``relaygen doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relaygen.chat.encoding import ChatEncoder
from relaygen.chat.messages import Message
from relaygen.chat.reasoning import FirstStage
from relaygen.chat.template import ChatTemplate
from relaygen.errors import RelayGenError
from relaygen.tokens import Tokenizer

_WORD = "probeword"
_USER: Message = {"role": "user", "content": f"{_WORD}user"}
_REPLY: Message = {"role": "assistant", "content": f"{_WORD}reply"}
_SYSTEM: Message = {"role": "system", "content": f"{_WORD}system"}
_TOOL = {
    "type": "function",
    "function": {
        "name": f"{_WORD}tool",
        "description": "Does nothing.",
        "parameters": {"type": "object", "properties": {"x": {"type": "string"}}, "required": []},
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateReport:
    """What a chat template can do.

    Attributes:
        problem: why it cannot be used, in a line; None if it works.
        system: it takes a system message.
        turns: it takes a conversation of several turns.
        tools: it shows the model the tools.
        enable_thinking: this variable switches reasoning on and off.
        tags: the reasoning tags, or None for a model without.
        first_stage: what the model writes first by default; None without reasoning tags.
    """

    problem: str | None = None
    system: bool = False
    turns: bool = False
    tools: bool = False
    enable_thinking: bool = False
    tags: tuple[str, str] | None = None
    first_stage: FirstStage | None = None

    @property
    def works(self) -> bool:
        """Whether it can be used at all."""
        return self.problem is None


def understood(template: ChatTemplate, tokenizer: Tokenizer) -> TemplateReport:
    """Renders a probe conversation in several ways; raises nothing of its own."""
    try:
        encoder = ChatEncoder(tokenizer, template)
        prompt = encoder.encode([_USER])
    except RelayGenError as error:
        return TemplateReport(problem=str(error))
    if f"{_WORD}user" not in prompt.text:
        return TemplateReport(problem="the chat template leaves out the user's message")
    on, off = (_text(encoder, [_USER], enable_thinking=value) for value in (True, False))
    return TemplateReport(
        system=f"{_WORD}system" in _text(encoder, [_SYSTEM, _USER]),
        turns=_text(encoder, [_USER, _REPLY, _USER]).count(f"{_WORD}user") == 2,
        tools=f"{_WORD}tool" in _text(encoder, [_USER], tools=[_TOOL]),
        enable_thinking=on != off,
        tags=encoder.reasoning.tags if encoder.reasoning else None,
        first_stage=prompt.first_stage,
    )


def _text(encoder: ChatEncoder, messages: list[Message], **options: Any) -> str:
    try:
        return encoder.encode(messages, **options).text
    except RelayGenError:
        return ""  # the template refuses it: the capability is missing, which is the answer
