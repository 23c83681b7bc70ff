"""A pool whose replicas hold their output to a form."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from relaygen.engines.base import Capabilities, Engine, EngineOutput, GenerateRequest
from relaygen.engines.pool.options import Replica
from relaygen.types import TokenScore

Write = Callable[[GenerateRequest, Mapping[str, Engine]], AsyncGenerator[EngineOutput]]


@runtime_checkable
class HoldsToForm(Protocol):
    """An engine that can; what a constraint is, only it and whoever asks for one know."""

    def constraint_kinds(self) -> frozenset[str]:
        """Names of the kinds that it can enforce."""
        ...

    def constrained(self, constraint: Any) -> Engine:
        """A view of the engine under the constraint."""
        ...


def common_kinds(replicas: Sequence[Replica]) -> frozenset[str]:
    """The kinds of constraint that every replica can enforce."""
    kinds = [
        replica.engine.constraint_kinds()
        if isinstance(replica.engine, HoldsToForm)
        else frozenset[str]()
        for replica in replicas
    ]
    return frozenset.intersection(*kinds)


class ConstrainedPool:
    """The pool itself, but that its legs go to constrained views of its replicas."""

    def __init__(self, pool: Engine, write: Write, views: Mapping[str, Engine]) -> None:
        self._pool = pool
        self._write = write
        self._views = views

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._pool.capabilities()

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return self._write(request, self._views)

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""
        await self._pool.prefill(token_ids, generation_id)

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`; no form constrains it."""
        return await self._pool.score(token_ids, from_token, generation_id=generation_id)

    async def aclose(self) -> None:
        """Closes the pool."""
        await self._pool.aclose()
