"""How a chat is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relaygen.gateway.replies.chat_events import ChatEvents
from relaygen.gateway.replies.chat_text import ChatText
from relaygen.gateway.replies.form import Head, encode
from relaygen.gateway.requests.tools import Tools
from relaygen.gateway.wire.replies import ChatChoice, ChatReply, UsageReply
from relaygen.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatForm:
    """Implements `Form`.

    Attributes:
        head: of the reply.
        tools: what may be called.
        prompt_ids: of the rendered prompt.
        generation_ids: one a choice.
        tokenizer: for log-probabilities.
        new_id: for tool calls.
    """

    head: Head
    tools: Tools
    prompt_ids: tuple[int, ...]
    generation_ids: tuple[str, ...]
    tokenizer: Tokenizer
    new_id: Callable[[], str]

    def events(self, index: int) -> ChatEvents:
        """See `Form.events`."""
        return ChatEvents(
            self.head,
            index,
            generation_id=self.generation_ids[index],
            prompt_ids=self.prompt_ids,
            tokenizer=self.tokenizer,
            parser=self.tools.parser(),
            new_id=self.new_id,
        )

    def text(self, index: int) -> ChatText:
        """See `Form.text`."""
        return ChatText(
            self.head,
            index,
            generation_id=self.generation_ids[index],
            tokenizer=self.tokenizer,
            parser=self.tools.parser(),
            new_id=self.new_id,
        )

    def whole(self, choices: Sequence[ChatChoice], usage: UsageReply) -> bytes:
        """See `Form.whole`."""
        head = self.head
        return encode(
            ChatReply(
                **head.fields(),
                choices=list(choices),
                usage=usage,
                prompt_token_ids=list(self.prompt_ids) if head.token_ids else None,
            )
        )
