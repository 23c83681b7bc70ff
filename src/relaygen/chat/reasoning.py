"""How a model marks its reasoning, and in which stage a prompt leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from relaygen.errors import ChatTemplateError
from relaygen.tokens import Tokenizer

KNOWN_TAGS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<thought>", "</thought>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("◁think▷", "◁/think▷"),
)
"""Opening and closing tags: Qwen3, DeepSeek-R1, QwQ, GLM, Phi-4, Nemotron, MiniMax; Magistral;
Seed-OSS; EXAONE Deep; Command A Reasoning; OpenThinker; Apertus; Kimi."""

_CHANNELS = ("<|channel|>", "<|message|>")


class FirstStage(StrEnum):
    """What the model writes first after a prompt."""

    REASONING = "reasoning"
    """The prompt ends inside an opened reasoning block."""
    ANSWER = "answer"
    """The prompt ends after a closed reasoning block."""
    UNDECIDED = "undecided"
    """The prompt has no tag at its end; the model may open a block itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasoningFormat:
    """The tags of one model.

    Attributes:
        open: for example ``<think>``.
        close: for example ``</think>``.
        open_ids: the tokens of `open`; one for most models.
        close_ids: the tokens of `close`; what `force_answer` inserts.
    """

    open: str
    close: str
    open_ids: tuple[int, ...]
    close_ids: tuple[int, ...]

    @property
    def one_token(self) -> bool:
        """Whether each tag is one token, so that ids decide; else its text must be matched."""
        return len(self.open_ids) == 1 and len(self.close_ids) == 1

    @property
    def tags(self) -> tuple[str, str]:
        """Both tags."""
        return self.open, self.close

    @classmethod
    def with_tags(cls, opening: str, closing: str, tokenizer: Tokenizer) -> ReasoningFormat:
        """The format with these tags, for a model that `detect` does not know."""
        return cls(
            open=opening,
            close=closing,
            open_ids=tuple(tokenizer.encode(opening, parse_special=True)),
            close_ids=tuple(tokenizer.encode(closing, parse_special=True)),
        )

    @classmethod
    def detect(cls, tokenizer: Tokenizer, template: str | None) -> ReasoningFormat | None:
        """Finds the tags that the template speaks of; None for a model without reasoning tags.

        Tags that are only in the vocabulary do not count where there is a template: a family's
        models share one vocabulary, whether they reason or not.

        Args:
            tokenizer: the model's.
            template: source of its chat template, or None if it has none.

        Raises:
            ChatTemplateError: the model marks its reasoning in a way that is not supported.
        """
        if template is not None and all(text in template for text in _CHANNELS):
            raise ChatTemplateError(
                f"{tokenizer.origin} writes its reasoning in channels ({_CHANNELS[0]}, as gpt-oss "
                "does), which is not supported; use a model with reasoning tags such as <think>"
            )
        for opening, closing in KNOWN_TAGS:
            in_vocabulary = opening in tokenizer.markup and closing in tokenizer.markup
            if in_vocabulary if template is None else (closing in template or opening in template):
                return cls.with_tags(opening, closing, tokenizer)
        return None

    def first_stage(self, rendered: str, *, continued: bool = False) -> FirstStage:
        """Reads the stage off the end of a rendered prompt.

        Args:
            rendered: the text of the turn under way (text from messages is disguised in it).
            continued: it ends inside the assistant's own message; then a tag in that message
                counts wherever it stands, for the model has, as it were, written it.
        """
        opened, closed = rendered.rfind(self.open), rendered.rfind(self.close)
        if opened == closed == -1:
            return FirstStage.UNDECIDED
        is_open = opened > closed
        end = opened + len(self.open) if is_open else closed + len(self.close)
        if rendered[end:].strip() and not continued:
            return FirstStage.UNDECIDED
        return FirstStage.REASONING if is_open else FirstStage.ANSWER

    def first_stage_of_ids(self, token_ids: Sequence[int], tokenizer: Tokenizer) -> FirstStage:
        """Reads the stage off the end of a prompt that came as token ids."""
        for end in range(len(token_ids), 0, -1):
            for ids, stage in (
                (self.open_ids, FirstStage.REASONING),
                (self.close_ids, FirstStage.ANSWER),
            ):
                if tuple(token_ids[max(0, end - len(ids)) : end]) == ids:
                    return stage
            if tokenizer.token_bytes(token_ids[end - 1]).strip():
                break
        return FirstStage.UNDECIDED
