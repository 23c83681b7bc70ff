"""The limits and switches of a relay, with the design's defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from relaygen.errors import InvalidRequestError
from relaygen.types import ModelRole


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayConfig:
    """How a relay behaves beside its cues.

    Attributes:
        max_small_tokens: a small segment of reasoning is handed back after so many kept tokens.
        min_small_tokens: after a small segment that kept fewer, the large model first writes one
            whole sentence.
        max_small_run: after so many small segments with no whole large sentence between, likewise.
        min_reasoning_tokens: the small model writes the answer only after at least so many tokens
            of reasoning.
        small_may_end_reasoning: whether a ``</think>`` by the small model counts.
        force_answer: an end-of-sequence before ``</think>`` is replaced by ``</think>`` and an
            answer, instead of ending the generation.
        answer_role: who writes the answer; None leaves it to the policy.
        mute_tokens: cues do not count in the first tokens of a large segment (the paper's rule
            against loops; 0 in ours, which has `min_small_tokens` and `max_small_run` instead).
        read_ahead: while one model writes, hint the other to read what is new every so many
            tokens; 0 is off.
        stop_hints: tell servers the strings at which a leg is likely to be over.
    """

    max_small_tokens: int = 128
    min_small_tokens: int = 4
    max_small_run: int = 4
    min_reasoning_tokens: int = 64
    small_may_end_reasoning: bool = False
    force_answer: bool = False
    answer_role: ModelRole | None = None
    mute_tokens: int = 0
    read_ahead: int = 0
    stop_hints: bool = True

    CHANGE_NO_TEXT: ClassVar = ("read_ahead", "stop_hints")

    def __post_init__(self) -> None:
        lowest: dict[str, int] = {"max_small_tokens": 1, "max_small_run": 1}
        for entry in fields(self):
            value: Any = getattr(self, entry.name)
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            if value < lowest.get(entry.name, 0):
                raise InvalidRequestError(
                    f"{entry.name} is {value}; it must be at least {lowest.get(entry.name, 0)}",
                    param=entry.name,
                )

    def under(self, policy: str) -> RelayConfig:
        """These limits, except that the policy ``paper`` brings the published code's.

        Those that are no limits, and change neither greedy text nor what is likely, stay.
        """
        if policy != "paper":
            return self
        kept = {name: getattr(self, name) for name in self.CHANGE_NO_TEXT}
        return replace(self.paper_faithful(), **kept)

    @classmethod
    def paper_faithful(cls) -> RelayConfig:
        """The limits of the published code; use it with `policies.PaperPolicy`.

        Source: arXiv 2602.06454 and its code (jiwonsong-dev/RelayGen, ``utils/utils.py``):
        ``min_tokens=5`` on every large call, no limit on a small one, ``</think>`` appended where
        it is missing, the small model always answers.
        """
        return cls(
            max_small_tokens=1_000_000,
            min_small_tokens=0,
            max_small_run=1_000_000,
            min_reasoning_tokens=0,
            small_may_end_reasoning=True,
            force_answer=True,
            answer_role=ModelRole.SMALL,
            mute_tokens=5,
        )
