"""How a raw prompt is answered: with all of the text, reasoning tags included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relaygen.gateway.replies.form import Head, encode, role_field
from relaygen.gateway.replies.logprobs import add_completion_logprobs
from relaygen.gateway.replies.totals import finish_reason, relay_reply
from relaygen.gateway.wire.replies import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionReply,
    UsageReply,
)
from relaygen.relay.events import Emitted
from relaygen.runner import Result
from relaygen.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionForm:
    """Implements `Form`.

    Attributes:
        head: of the reply.
        prompt_ids: one prompt a choice.
        generation_ids: one a choice.
        tokenizer: for log-probabilities.
    """

    head: Head
    prompt_ids: tuple[tuple[int, ...], ...]
    generation_ids: tuple[str, ...]
    tokenizer: Tokenizer

    def events(self, index: int) -> CompletionEvents:
        """See `Form.events`."""
        return CompletionEvents(self, index)

    def text(self, index: int) -> CompletionText:
        """See `Form.text`."""
        return CompletionText(self, index)

    def whole(self, choices: Sequence[CompletionChoice], usage: UsageReply) -> bytes:
        """See `Form.whole`."""
        return encode(CompletionReply(**self.head.fields(), choices=list(choices), usage=usage))


class CompletionText:
    """Implements `ChoiceText`."""

    def __init__(self, form: CompletionForm, index: int) -> None:
        self._form = form
        self._index = index
        self._texts: list[str] = []
        self._length = 0
        self._logprobs = CompletionLogprobs() if form.head.logprobs else None
        self._ids: list[int] = []

    def take(self, part: Emitted) -> None:
        """See `ChoiceText.take`."""
        if self._logprobs is not None:
            add_completion_logprobs(self._logprobs, part, self._form.tokenizer, self._length)
        if self._form.head.token_ids:
            self._ids += part.token_ids
        self._texts.append(part.text)
        self._length += len(part.text)

    def finish(self, result: Result) -> CompletionChoice:
        """See `ChoiceText.finish`."""
        form, index = self._form, self._index
        ids = form.head.token_ids
        return CompletionChoice(
            index=index,
            text="".join(self._texts),
            logprobs=self._logprobs,
            finish_reason=finish_reason(result),
            relaygen=relay_reply(result, form.generation_ids[index], trace=form.head.trace),
            token_ids=self._ids if ids else None,
            prompt_token_ids=list(form.prompt_ids[index]) if ids else None,
        )


class CompletionEvents:
    """Implements `ChoiceEvents`."""

    def __init__(self, form: CompletionForm, index: int) -> None:
        self._form = form
        self._index = index
        self._length = 0
        self._prompt_sent = not form.head.token_ids
        self._start = form.head.event_start() + b'[{"index":%d,"text":' % index
        self._end = b',"logprobs":null,"finish_reason":null}]' + form.head.event_end()

    def take(self, part: Emitted) -> bytes:
        """See `ChoiceEvents.take`."""
        head = self._form.head
        if head.plain:
            return self._start + encode(part.text) + self._end if part.text else b""
        logprobs = CompletionLogprobs()
        if head.logprobs:
            add_completion_logprobs(logprobs, part, self._form.tokenizer, self._length)
        self._length += len(part.text)
        more = b""
        if head.token_ids:
            more += b',"token_ids":' + encode(part.token_ids)
        if not self._prompt_sent:
            self._prompt_sent = True
            more += b',"prompt_token_ids":' + encode(self._form.prompt_ids[self._index])
        if head.trace:
            more += role_field(part)
        if not part.text and not head.token_ids:
            return b""
        return self._event(part.text, logprobs=logprobs if head.logprobs else None, more=more)

    def finish(self, result: Result) -> bytes:
        """See `ChoiceEvents.finish`."""
        generation_id = self._form.generation_ids[self._index]
        reply = relay_reply(result, generation_id, trace=self._form.head.trace)
        reason = encode(finish_reason(result))
        return self._event("", finish=reason, more=b',"relaygen":' + encode(reply))

    def _event(
        self,
        text: str,
        *,
        logprobs: CompletionLogprobs | None = None,
        finish: bytes = b"null",
        more: bytes = b"",
    ) -> bytes:
        return b"".join(
            (
                self._start,
                encode(text),
                b',"logprobs":',
                encode(logprobs),
                b',"finish_reason":',
                finish,
                more,
                b"}]",
                self._form.head.event_end(),
            )
        )
