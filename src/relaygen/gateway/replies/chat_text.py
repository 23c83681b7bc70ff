"""One choice of a chat, collected to be sent as a whole."""

from __future__ import annotations

from collections.abc import Callable

from relaygen.chat.tool_calls import ToolCall, ToolCallParser
from relaygen.gateway.replies.form import Head
from relaygen.gateway.replies.logprobs import content_logprobs
from relaygen.gateway.replies.totals import finish_reason, relay_reply
from relaygen.gateway.wire.replies import (
    ChatChoice,
    ChatLogprobs,
    ContentLogprob,
    FunctionReply,
    MessageReply,
    ToolCallReply,
)
from relaygen.relay.events import Emitted
from relaygen.runner import Result
from relaygen.tokens import Tokenizer
from relaygen.types import Stage


class ChatText:
    """Implements `ChoiceText`."""

    def __init__(
        self,
        head: Head,
        index: int,
        *,
        generation_id: str,
        tokenizer: Tokenizer,
        parser: ToolCallParser | None,
        new_id: Callable[[], str],
    ) -> None:
        self._head = head
        self._index = index
        self._id = generation_id
        self._tokenizer = tokenizer
        self._parser = parser
        self._new_id = new_id
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCallReply] = []
        self._logprobs: list[ContentLogprob] = []
        self._ids: list[int] = []

    def take(self, part: Emitted) -> None:
        """See `ChoiceText.take`."""
        if self._head.token_ids:
            self._ids += part.token_ids
        if part.is_tag:
            return
        if part.stage is Stage.REASONING:
            self._reasoning.append(part.text)
            return
        if self._head.logprobs:
            self._logprobs += content_logprobs(part, self._tokenizer)
        if self._parser is None:
            self._content.append(part.text)
        else:
            self._sort(self._parser.feed(part.text))

    def finish(self, result: Result) -> ChatChoice:
        """See `ChoiceText.finish`."""
        if self._parser is not None:
            self._sort(self._parser.finish())
        reason = finish_reason(result, len(self._calls))
        content = "".join(self._content)
        reasoning = "".join(self._reasoning) or None
        return ChatChoice(
            index=self._index,
            message=MessageReply(
                role="assistant",
                content=content if content or not self._calls else None,
                refusal=None,
                reasoning=reasoning,
                reasoning_content=reasoning,
                tool_calls=self._calls or None,
            ),
            logprobs=ChatLogprobs(content=self._logprobs) if self._head.logprobs else None,
            finish_reason=reason,
            relaygen=relay_reply(result, self._id, trace=self._head.trace),
            token_ids=self._ids if self._head.token_ids else None,
        )

    def _sort(self, found: list[str | ToolCall]) -> None:
        for piece in found:
            if isinstance(piece, str):
                self._content.append(piece)
            else:
                function = FunctionReply(name=piece.name, arguments=piece.arguments)
                self._calls.append(ToolCallReply(id=f"call_{self._new_id()}", function=function))
