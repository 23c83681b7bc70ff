"""A chat template: messages in, the text of a prompt out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from jinja2 import Template

from relaygen.chat.messages import (
    Message,
    chat_data,
    cut_at,
    mark_end,
    plain_data,
    unused_chars,
    without_nulls,
)
from relaygen.chat.sandbox import MAX_CHARS, Budget, TemplateEnvironment
from relaygen.errors import ChatTemplateError
from relaygen.tokens import Tokenizer

_MAX_SOURCE = 1_000_000


class ChatTemplate:
    """A compiled chat template. Rendering is thread-safe and changes nothing."""

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str] | None = None,
        *,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Compiles `source`.

        Args:
            source: Jinja, in the dialect of transformers.
            special_tokens: variables such as ``bos_token``.
            now: the clock of ``strftime_now``.

        Raises:
            ChatTemplateError: the template does not compile.
        """
        if len(source) > _MAX_SOURCE:
            raise ChatTemplateError(
                f"the chat template has {len(source):,} characters, and at most {_MAX_SOURCE:,} "
                "are read; give another one"
            )
        self.source = source
        self._special_tokens = dict(special_tokens or {})
        environment = TemplateEnvironment(now)
        try:
            code = environment.compile(environment.limited(source))
        except Exception as error:  # hostile source fails in many ways: syntax, recursion, memory
            raise ChatTemplateError(
                f"the chat template does not compile: {_one_line(error)}; give another one"
            ) from error
        self._template = Template.from_code(environment, code, environment.make_globals(None))

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ChatTemplate:
        """The template that a model carries.

        Raises:
            ChatTemplateError: it has none, or one that does not compile.
        """
        if tokenizer.chat_template is None:
            raise ChatTemplateError(
                f"{tokenizer.origin} has no chat template; give one, or send a prompt as text"
            )
        return cls(tokenizer.chat_template, tokenizer.special_tokens)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        **variables: Any,
    ) -> str:
        """The prompt as text, as transformers' ``apply_chat_template`` gives it.

        Args:
            messages: OpenAI's; reasoning may be in ``reasoning`` or ``reasoning_content``.
            tools: OpenAI's function definitions.
            add_generation_prompt: end with the opening of the assistant's next turn.
            continue_final_message: end inside the last message, for the model to go on with.
            variables: further variables of the template, such as ``enable_thinking``.

        Raises:
            InvalidRequestError: the messages are not what the API allows.
            ChatTemplateError: the template refuses the messages or fails.
        """
        if not continue_final_message:
            return self.render_data(
                chat_data(messages), plain_data(tools), add_generation_prompt, variables
            )
        data = chat_data(messages)
        end = unused_chars([data, tools, variables, self.source], 1)[0]
        text = mark_end(data, end)
        return cut_at(self.render_data(data, plain_data(tools), False, variables), end, text)

    def render_data(
        self,
        messages: list[dict[str, Any]],
        tools: Any,
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        """Renders what `chat_data` and `plain_data` made; for `relaygen.chat.encoding`.

        A message with calls has no content, as in transformers; to a template that fails on this
        (DeepSeek's tell a call by it) the content is shown as ``None``.
        """
        context = self._special_tokens | {
            **plain_data(dict(variables)),
            "messages": without_nulls(messages),
            "tools": tools,
            "add_generation_prompt": add_generation_prompt,
        }
        context.setdefault("documents", None)
        try:
            return self._rendered(context)
        except ChatTemplateError:
            if context["messages"] != messages:
                with suppress(ChatTemplateError):
                    return self._rendered(context | {"messages": messages})
            raise

    def _rendered(self, context: dict[str, Any]) -> str:
        try:
            with Budget():
                return _collect(self._template.generate(context))
        except Exception as error:  # a template fails with whatever its operations raise
            raise ChatTemplateError(
                f"the chat template cannot render these messages: {_one_line(error)}; change the "
                "messages, or give another template"
            ) from error


def _collect(pieces: Iterable[str]) -> str:
    collected: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_CHARS:
            raise ChatTemplateError(f"its output has more than {MAX_CHARS:,} characters")
        collected.append(piece)
    return "".join(collected)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
