"""Where a measured cue profile comes from: enough to make it again, and to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """How a profile was measured.

    Attributes:
        tool_version: of RelayGen.
        data: name of the question file.
        data_sha256: of its bytes.
        questions: that were asked.
        trajectories: that were written.
        tokens: in them.
        seed: of the trajectories and of the draws.
        sampling: how the large model drew, by parameter.
        rule: by which the cues were taken, with its thresholds, in words.
        utilisation: expected share of tokens that the large model writes with these cues.
        agreement: expected share of the handed-over tokens of reasoning that stay the same; None
            where the small model was not asked.
    """

    tool_version: str
    data: str
    data_sha256: str
    questions: int
    trajectories: int
    tokens: int
    seed: int
    rule: str
    utilisation: float
    agreement: float | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
