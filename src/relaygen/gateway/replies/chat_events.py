"""One choice of a chat as server-sent events.

All that is the same in every chunk is encoded once; a token costs the encoding of its text and two
concatenations.

Source: the order of the chunks is OpenAI's (role, deltas, finish reason).
"""

from __future__ import annotations

from collections.abc import Callable

from relaygen.chat.tool_calls import ToolCall, ToolCallParser
from relaygen.gateway.replies.form import Head, encode, role_field
from relaygen.gateway.replies.logprobs import content_logprobs
from relaygen.gateway.replies.totals import finish_reason, relay_reply
from relaygen.gateway.wire.replies import ChatLogprobs, ContentLogprob
from relaygen.relay.events import Emitted
from relaygen.runner import Result
from relaygen.tokens import Tokenizer
from relaygen.types import Stage

_REASONING = Stage.REASONING


class ChatEvents:
    """Implements `ChoiceEvents`."""

    def __init__(
        self,
        head: Head,
        index: int,
        *,
        generation_id: str,
        prompt_ids: tuple[int, ...],
        tokenizer: Tokenizer,
        parser: ToolCallParser | None,
        new_id: Callable[[], str],
    ) -> None:
        self._head = head
        self._id = generation_id
        self._prompt_ids = prompt_ids
        self._tokenizer = tokenizer
        self._parser = parser
        self._new_id = new_id
        self._plain = head.plain and parser is None
        self._begun = False
        self._calls = 0
        self._logprobs: list[ContentLogprob] = []
        self._start = head.event_start() + b'[{"index":%d,"delta":{' % index
        self._end = b'},"logprobs":null,"finish_reason":null}]' + head.event_end()
        self._content_start = self._start + b'"content":'
        self._reasoning_start = self._start + b'"reasoning":'

    def take(self, part: Emitted) -> bytes:
        """See `ChoiceEvents.take`."""
        lead = b"" if self._begun else self._begin()
        if not self._plain:
            return lead + self._take_extended(part)
        if not part.text or part.is_tag:
            return lead
        text = encode(part.text)
        if part.stage is _REASONING:
            return lead + self._reasoning_start + text + b',"reasoning_content":' + text + self._end
        return lead + self._content_start + text + self._end

    def finish(self, result: Result) -> bytes:
        """See `ChoiceEvents.finish`."""
        out = b"" if self._begun else self._begin()
        if self._parser is not None:
            out += b"".join(map(self._event, self._deltas(self._parser.finish())))
        if self._logprobs:
            out += self._event(b"")
        reason = finish_reason(result, self._calls)
        reply = encode(relay_reply(result, self._id, trace=self._head.trace))
        return out + self._event(b"", finish=encode(reason), more=b',"relaygen":' + reply)

    def _begin(self) -> bytes:
        self._begun = True
        delta = b'"role":"assistant","content":"","refusal":null'
        event = self._event(delta)
        if self._head.token_ids:
            event = event.removesuffix(b"}\n\n")
            event += b',"prompt_token_ids":' + encode(self._prompt_ids) + b"}\n\n"
        return event

    def _take_extended(self, part: Emitted) -> bytes:
        """A piece of a choice with log-probabilities, token ids, roles or tools."""
        deltas: list[bytes] = []
        if part.is_tag or not part.text:
            pass
        elif part.stage is _REASONING:
            text = encode(part.text)
            deltas.append(b'"reasoning":' + text + b',"reasoning_content":' + text)
        else:
            if self._head.logprobs:
                self._logprobs += content_logprobs(part, self._tokenizer)
            deltas = self._deltas(
                [part.text] if self._parser is None else self._parser.feed(part.text)
            )
        more = b""
        if self._head.token_ids:
            more = b',"token_ids":' + encode(part.token_ids)
            deltas = deltas or [b""]
        if self._head.trace:
            more += role_field(part)
        if not deltas:
            return b""
        first = self._event(deltas[0], more=more)
        return first + b"".join(map(self._event, deltas[1:]))

    def _deltas(self, found: list[str | ToolCall]) -> list[bytes]:
        deltas: list[bytes] = []
        for piece in found:
            if isinstance(piece, str):
                deltas.append(b'"content":' + encode(piece))
            else:
                deltas += self._call(piece)
        return deltas

    def _call(self, call: ToolCall) -> tuple[bytes, bytes]:
        """OpenAI names a call first, and sends its arguments after."""
        named = {
            "index": self._calls,
            "id": f"call_{self._new_id()}",
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        filled = {"index": self._calls, "function": {"arguments": call.arguments}}
        self._calls += 1
        return b'"tool_calls":' + encode([named]), b'"tool_calls":' + encode([filled])

    def _event(self, delta: bytes, *, finish: bytes = b"null", more: bytes = b"") -> bytes:
        logprobs = b"null"
        if self._logprobs:
            logprobs = encode(ChatLogprobs(content=self._logprobs))
            self._logprobs = []
        return b"".join(
            (
                self._start,
                delta,
                b'},"logprobs":',
                logprobs,
                b',"finish_reason":',
                finish,
                more,
                b"}]",
                self._head.event_end(),
            )
        )
