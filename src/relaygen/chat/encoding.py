"""Messages to token ids, such that text in messages never becomes a special token."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relaygen.chat.disguise import Disguise, DisguisedMarkup
from relaygen.chat.messages import Message, chat_data, cut_at, mark_end, plain_data
from relaygen.chat.reasoning import FirstStage, ReasoningFormat
from relaygen.chat.template import ChatTemplate
from relaygen.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTokens:
    """A prompt, ready for an engine.

    Attributes:
        ids: the whole prompt; a beginning-of-sequence token is there at most once.
        text: what the template rendered.
        first_stage: what the model writes first; None for a model without reasoning tags.
    """

    ids: tuple[int, ...] = field(repr=False)
    text: str
    first_stage: FirstStage | None


class ChatEncoder:
    """The template, tokenizer and reasoning tags of one model."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate | None = None,
        reasoning: ReasoningFormat | None = None,
    ) -> None:
        """Takes what is not given from the model.

        Raises:
            ChatTemplateError: the model has no usable template, or unsupported reasoning marks.
        """
        self.tokenizer = tokenizer
        self.template = template or ChatTemplate.of(tokenizer)
        self.reasoning = reasoning or ReasoningFormat.detect(tokenizer, self.template.source)
        tags = self.reasoning.tags if self.reasoning else ()
        self._markup = DisguisedMarkup({*tags, *tokenizer.markup}, self.template.source)
        self._find = _finder(tokenizer.markup)

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        **variables: Any,
    ) -> PromptTokens:
        """Renders and encodes; the arguments are those of `ChatTemplate.render`.

        Raises:
            InvalidRequestError: the messages are not what the API allows.
            ChatTemplateError: the template refuses the messages or fails.
        """
        chat, offered, options = chat_data(messages), plain_data(tools), plain_data(variables)
        disguise = self._markup.disguise([chat, offered, options])
        hidden = [self._hide(message, disguise) for message in chat]
        text = mark_end(hidden, disguise.end) if continue_final_message else ""
        rendered = self.template.render_data(
            hidden,
            disguise.hide(offered),
            add_generation_prompt and not continue_final_message,
            disguise.hide(options),
        )
        if continue_final_message:
            rendered = cut_at(rendered, disguise.end, text)
        return PromptTokens(
            ids=self._with_bos(self._encode(rendered, disguise)),
            text=disguise.reveal(rendered),
            first_stage=self._first_stage(rendered, continue_final_message),
        )

    def _first_stage(self, rendered: str, continued: bool) -> FirstStage | None:
        if self.reasoning is None:
            return None
        # Only the turn that is under way counts: what follows the last markup that is no tag.
        others = (m for m in self._find.finditer(rendered) if m[0] not in self.reasoning.tags)
        start = max((match.end() for match in others), default=0)
        return self.reasoning.first_stage(rendered[start:], continued=continued)

    def _hide(self, message: dict[str, Any], disguise: Disguise) -> dict[str, Any]:
        # The assistant's own tags stay: templates cut old reasoning out of `content` by them.
        own = self.reasoning if message["role"] == "assistant" else None
        return {
            key: value
            if key == "role"
            else disguise.hide(value, own.tags if own and key == "content" else ())
            for key, value in message.items()
        }

    def _encode(self, rendered: str, disguise: Disguise) -> list[int]:
        found = list(self._find.finditer(rendered))
        whole = self.tokenizer.encode(disguise.reveal(rendered), parse_special=True)
        ids_of = self.tokenizer.markup
        if [i for i in whole if i in self.tokenizer.markup_ids] == [
            ids_of[match[0]] for match in found
        ]:
            return whole  # nothing in the messages looks like markup
        ids: list[int] = []
        for run, token_id in self._runs(rendered, found):
            ids += self.tokenizer.encode(disguise.reveal(run), parse_special=False)
            if token_id is not None:
                ids.append(token_id)
        return ids

    def _runs(self, rendered: str, found: list[re.Match[str]]) -> Iterator[tuple[str, int | None]]:
        """Text between the template's own markup, each with the markup that follows it."""
        start, strip_left = 0, False
        for match in found:
            token_id = self.tokenizer.markup[match[0]]
            entry = self.tokenizer.added_entry(token_id)
            run = rendered[start : match.start()]
            run = run.lstrip() if strip_left else run
            yield run.rstrip() if entry and entry.lstrip else run, token_id
            start, strip_left = match.end(), bool(entry and entry.rstrip)
        yield rendered[start:].lstrip() if strip_left else rendered[start:], None

    def _with_bos(self, ids: list[int]) -> tuple[int, ...]:
        bos = self.tokenizer.bos_id
        if bos is None:
            return tuple(ids)
        start = next((index for index, i in enumerate(ids) if i != bos), len(ids))
        lead = [bos] if start or self.tokenizer.add_bos else []
        return (*lead, *ids[start:])


def encode_chat(
    template: ChatTemplate,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> PromptTokens:
    """`ChatEncoder.encode` for a single use.

    Raises:
        InvalidRequestError: the messages are not what the API allows.
        ChatTemplateError: the template refuses the messages or fails.
    """
    return ChatEncoder(tokenizer, template).encode(messages, tools, **options)


def _finder(markup: Mapping[str, int]) -> re.Pattern[str]:
    longest_first = sorted(markup, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
