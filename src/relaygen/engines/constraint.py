"""The form that an answer must have, and the engines that can enforce it.

No engine has to: one that can has a method `constrained`, and a request for a form is refused by
name on any other. Nothing else knows of grammars: whoever wants a form asks the engine for a view
of itself under which every leg has that form from its first token.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from relaygen.engines.base import Capabilities, Engine, EngineOutput, GenerateRequest
from relaygen.errors import UnsupportedError
from relaygen.types import ModelRole, TokenScore


class ConstraintKind(StrEnum):
    """What kind of form."""

    JSON_OBJECT = "json_object"
    """Any JSON object."""
    JSON_SCHEMA = "json_schema"
    """JSON that a schema allows."""
    CHOICE = "choice"
    """One of some texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """A form.

    Attributes:
        kind: what kind.
        schema: a JSON schema, for `ConstraintKind.JSON_SCHEMA`.
        choices: the texts, for `ConstraintKind.CHOICE`.
        param: the request's field that asked for it, for messages.
    """

    kind: ConstraintKind
    schema: Mapping[str, Any] | None = None
    choices: tuple[str, ...] = ()
    param: str = "response_format"

    @property
    def json_schema(self) -> dict[str, Any]:
        """The schema, or that of any object."""
        return {"type": "object"} if self.schema is None else dict(self.schema)

    @property
    def grammar(self) -> str:
        """The choices as a grammar in GBNF, which llama.cpp made and XGrammar reads too."""
        texts = (json.dumps(text, ensure_ascii=False) for text in self.choices)
        return f"root ::= {' | '.join(texts)}"


@runtime_checkable
class ConstrainedEngine(Engine, Protocol):
    """An engine that can hold its output to a form."""

    def constraint_kinds(self) -> frozenset[ConstraintKind]:
        """The kinds that it can enforce; constant while it lives."""
        ...

    def constrained(self, constraint: Constraint) -> Engine:
        """This engine, with every leg held to `constraint` from the leg's first token.

        Raises:
            UnsupportedError: the engine cannot enforce it.
        """
        ...


class ConstrainedView:
    """An engine whose legs are written in another way; all else is the engine's own."""

    def __init__(
        self, engine: Engine, write: Callable[[GenerateRequest], AsyncGenerator[EngineOutput]]
    ) -> None:
        """`write` is its `generate`."""
        self._engine = engine
        self._write = write
        self._capabilities = replace(engine.capabilities(), inline=False)

    def capabilities(self) -> Capabilities:
        """Those of the engine, but that the view is asked for legs in the async way alone."""
        return self._capabilities

    def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`."""
        return self._write(request)

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""
        await self._engine.prefill(token_ids, generation_id)

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`; no form constrains it."""
        return await self._engine.score(token_ids, from_token, generation_id=generation_id)

    async def aclose(self) -> None:
        """Closes the engine."""
        await self._engine.aclose()


def constrained(engine: Engine, constraint: Constraint, role: ModelRole) -> Engine:
    """The engine under a constraint.

    Raises:
        UnsupportedError: it cannot enforce it.
    """
    kinds = engine.constraint_kinds() if isinstance(engine, ConstrainedEngine) else frozenset()
    if not isinstance(engine, ConstrainedEngine) or constraint.kind not in kinds:
        raise UnsupportedError(
            f"{constraint.param} asks for output that is held to a form ({constraint.kind}), and "
            f"the engine of the {role} model cannot enforce one; leave {constraint.param} out and "
            "ask for the form in the prompt, or serve the model with an engine that can",
            param=constraint.param,
        )
    return engine.constrained(constraint)
