"""The form that an answer must have, and the engines that can enforce it.

No engine has to: one that can has a method `constrained`, and a request for a form is refused by
name on any other. The relay itself knows nothing of grammars: it asks the engine for a view of
itself under which whatever is written after the reasoning has that form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from relaygen.engines.base import Engine
from relaygen.errors import InvalidRequestError
from relaygen.types import ModelRole


class ConstraintKind(StrEnum):
    """What kind of form."""

    JSON_OBJECT = "json_object"
    """Any JSON object."""
    JSON_SCHEMA = "json_schema"
    """JSON that a schema allows."""
    TOOL_CALL = "tool_call"
    """`Constraint.prefix`, JSON that the schema allows, `Constraint.suffix`; once or more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """A form.

    Attributes:
        kind: what kind.
        schema: a JSON schema; None for `ConstraintKind.JSON_OBJECT`.
        prefix: literal text before the JSON, such as ``<tool_call>``.
        suffix: literal text after it.
        starts_after: the tag that ends the reasoning; what precedes it is free. None: the form
            holds from the first token.
        param: the request's field that asked for it, for messages.
    """

    kind: ConstraintKind
    schema: Mapping[str, Any] | None = None
    prefix: str = ""
    suffix: str = ""
    starts_after: str | None = None
    param: str = "response_format"


@runtime_checkable
class ConstrainedEngine(Engine, Protocol):
    """An engine that can hold its output to a form."""

    def constraint_kinds(self) -> frozenset[str]:
        """The values of `ConstraintKind` that it can enforce; constant while it lives."""
        ...

    def constrained(self, constraint: Constraint) -> Engine:
        """This engine, with every leg held to `constraint`.

        A leg's prompt and `GenerateRequest.generated_from` say how far the form has been written,
        so that a leg may begin in the middle of it.

        Raises:
            InvalidRequestError: the schema uses something that the engine cannot enforce.
        """
        ...


def constrained(engine: Engine, constraint: Constraint, role: ModelRole) -> Engine:
    """The engine under a constraint.

    Raises:
        InvalidRequestError: it cannot enforce it.
    """
    kinds = engine.constraint_kinds() if isinstance(engine, ConstrainedEngine) else frozenset()
    if not isinstance(engine, ConstrainedEngine) or constraint.kind not in kinds:
        raise InvalidRequestError(
            f"{constraint.param} asks for output that is held to a form ({constraint.kind}), and "
            f"the engine of the {role} model cannot enforce one; leave {constraint.param} out and "
            "ask for the form in the prompt, or serve the model with an engine that can",
            param=constraint.param,
        )
    return engine.constrained(constraint)
