"""One model alone: the baselines, on the same machine as the relay."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.errors import ProtocolError
from relaygen.relay.cues import SwitchCue
from relaygen.relay.policy import Decision, Step, Write
from relaygen.types import LegEnd, ModelRole, TokenScore


class AlonePolicy:
    """`role` writes everything."""

    cues: Sequence[SwitchCue] = ()
    want_scores = False

    def __init__(self, role: ModelRole) -> None:
        self._role = role

    @property
    def name(self) -> str:
        """The role's name."""
        return str(self._role)

    def begin(self) -> Write:
        """`role` begins."""
        return Write(self._role, "")

    def token(self, step: Step) -> Decision:
        """Never switches."""
        return None

    def judged(self, scores: Sequence[TokenScore]) -> Write:
        """Never asked."""
        raise ProtocolError(f"policy {self.name} asked for no scores")

    def leg_ended(self, role: ModelRole, reason: LegEnd, segment_tokens: int) -> Write | None:
        """An end is an end."""
        return None

    def may_end_reasoning(self, role: ModelRole) -> bool:
        """Always: there is nobody else to do it."""
        return True

    def answer_role(self, reasoning_tokens: int) -> ModelRole:
        """The same role."""
        return self._role
