"""What both endpoints' replies have in common, and what serving needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from relaygen.gateway.wire.replies import UsageReply
from relaygen.relay.events import Emitted
from relaygen.runner import Result

DONE = b"data: [DONE]\n\n"
encode = msgspec.json.Encoder().encode
"""To JSON: one encoder for all, for making one costs more than a token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The fields that every reply and every chunk of it begin with, and what was asked of it.

    Attributes:
        id: of the completion.
        kind: OpenAI's ``object``.
        created: seconds since 1970.
        model: as it was asked for.
        fingerprint: of the pair.
        logprobs: list them.
        token_ids: list them, and the prompt's.
        trace: say of every chunk who wrote it, and give the whole trace at the end.
        usage: a chunk with the usage ends the stream.
    """

    id: str
    kind: str
    created: int
    model: str
    fingerprint: str
    logprobs: bool = False
    token_ids: bool = False
    trace: bool = False
    usage: bool = False

    @property
    def plain(self) -> bool:
        """Whether chunks hold text and nothing else."""
        return not (self.logprobs or self.token_ids or self.trace)

    def fields(self) -> dict[str, Any]:
        """What every reply and every event says of itself."""
        return {
            "id": self.id,
            "object": self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def event_start(self) -> bytes:
        """The beginning of every event, up to ``"choices":``."""
        return b"data: " + encode(self.fields())[:-1] + b',"choices":'

    def event_end(self) -> bytes:
        """What follows the choices of every event; OpenAI sends an empty usage where one follows."""
        return b',"usage":null}\n\n' if self.usage else b"}\n\n"

    def usage_event(self, usage: UsageReply) -> bytes:
        """The last event but one, where it was asked for."""
        return self.event_start() + b'[],"usage":' + encode(usage) + b"}\n\n"


class ChoiceEvents(Protocol):
    """One choice as events."""

    def take(self, part: Emitted) -> bytes:
        """The events of a piece; empty if nothing is to be sent yet."""
        ...

    def finish(self, result: Result) -> bytes:
        """The last events.

        Raises:
            EngineError: it did not end well.
        """
        ...


class ChoiceText(Protocol):
    """One choice as a whole."""

    def take(self, part: Emitted) -> None:
        """Collects a piece."""
        ...

    def finish(self, result: Result) -> Any:
        """The choice, to be given to `Form.whole`.

        Raises:
            EngineError: it did not end well.
        """
        ...


class Form(Protocol):
    """How one endpoint answers one request."""

    @property
    def generation_ids(self) -> tuple[str, ...]:
        """One a choice."""
        ...

    @property
    def head(self) -> Head:
        """Of the reply."""
        ...

    def events(self, index: int) -> ChoiceEvents:
        """A writer for a choice."""
        ...

    def text(self, index: int) -> ChoiceText:
        """A collector for a choice."""
        ...

    def whole(self, choices: Sequence[Any], usage: UsageReply) -> bytes:
        """The reply, of the choices in their order."""
        ...


def role_field(part: Emitted) -> bytes:
    """The extension field of a chunk."""
    return b',"relaygen":' + encode(
        {"role": part.role, "stage": part.stage, "segment": part.segment}
    )
