"""The measurements of the demo: the same problems, by each model alone and by the relay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from relaygen.api import Options, SyncRelay
from relaygen.demo_models import DemoProblem
from relaygen.demo_models.grading import boxed, is_right
from relaygen.runner import Result
from relaygen.views.printable import one_line

POLICIES: Final = ("large", "small", "relay")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One problem, one way.

    Attributes:
        policy: who wrote.
        result: what was written.
        said: the answer in it; empty if there is none.
        right: it is the expected one.
    """

    policy: str
    result: Result
    said: str
    right: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """The trials of one policy, added up."""

    seconds: float
    tokens: int
    large_tokens: int
    handoffs: int
    right: int

    @classmethod
    def of(cls, trials: Sequence[Trial], policy: str) -> Self:
        """Adds up."""
        own = [t for t in trials if t.policy == policy]
        traces = [t.result.trace for t in own]
        return cls(
            seconds=sum(t.wall_s for t in traces),
            tokens=sum(t.result.usage.completion_tokens for t in own),
            large_tokens=sum(t.large_tokens for t in traces),
            handoffs=sum(t.handoffs for t in traces),
            right=sum(t.right for t in own),
        )

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def utilisation(self) -> float:
        """The large model's share of the tokens."""
        return self.large_tokens / self.tokens if self.tokens else 0.0


def warm_up(relay: SyncRelay, problem: DemoProblem) -> None:
    """Lets each model write a little, so that nobody pays for the first touch of its pages."""
    for policy in POLICIES:
        relay.generate(problem.question, Options(policy=policy, max_tokens=24, seed=0))


def measure(relay: SyncRelay, problem: DemoProblem, *, seed: int, turn: int) -> list[Trial]:
    """Each way once, with equal seeds; who begins changes from turn to turn."""
    first = turn % len(POLICIES)
    trials: dict[str, Trial] = {}
    for policy in (*POLICIES[first:], *POLICIES[:first]):
        # Not streamed: tokens that are handed to this thread one by one would slow the models down.
        result = relay.generate(problem.question, Options(policy=policy, seed=seed))
        trials[policy] = Trial(
            policy=policy,
            result=result,
            said=one_line(boxed(result.answer) or ""),
            right=is_right(problem.answer, result.answer),
        )
    return [trials[policy] for policy in POLICIES]
