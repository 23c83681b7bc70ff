"""What the servers differ in: how a leg is asked for, and how its answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from relaygen.engines.base import Capabilities, GenerateRequest
from relaygen.engines.constraint import Constraint, ConstraintKind
from relaygen.engines.openai_http.client import Call, Client
from relaygen.types import LegEnd, TokenScore


class TextTokenizer(Protocol):
    """What dialects need of a `relaygen.tokens.Tokenizer`."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        ...

    @property
    def entry_ids(self) -> frozenset[int]:
        """Every id that is neither padding nor unused."""
        ...

    @property
    def markup_ids(self) -> frozenset[int]:
        """The ids that stand for structure."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that this token adds to the text."""
        ...

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of a text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What is known of a server, from its own answers or from whoever opened the engine.

    Attributes:
        model: its name there.
        context_tokens: prompt plus generation that one sequence can hold.
        vocab_size: ids are in ``range(vocab_size)``.
        tokenizer: of the model, where the engine has it.
        slots: sequences that llama-server keeps; 0: not known.
        deterministic: seeds are honoured.
    """

    model: str
    context_tokens: int
    vocab_size: int
    tokenizer: TextTokenizer | None = None
    slots: int = 0
    deterministic: bool = True


@dataclass(slots=True)
class Chunk:
    """What one event of a stream says.

    Attributes:
        token_ids: new tokens.
        scores: one each, or None where not asked for.
        end: why the leg ended, in its last event.
        prompt_evaluated: prompt tokens that the model had to read, where the server tells.
        missing: tokens before these that the server left out.
        text: the text of the missing ones and these, where some are missing.
    """

    token_ids: Sequence[int] = ()
    scores: tuple[TokenScore, ...] | None = None
    end: LegEnd | None = None
    prompt_evaluated: int | None = None
    missing: int = 0
    text: str = ""


class DialectLeg(Protocol):
    """One leg in one server's words."""

    call: Call

    def read(self, data: bytes) -> Chunk | None:
        """Understands one event; None where it says nothing.

        Raises:
            EngineProtocolError: it is not what this server may say.
            EngineError: the server says that it failed.
        """
        ...

    def ended(self, *, broken_off: bool) -> Call | None:
        """The leg is over. Returns what to tell the server, beyond closing the connection."""
        ...


@runtime_checkable
class Recovers(Protocol):
    """A `DialectLeg` of a server that leaves tokens out of its stream."""

    async def recover(
        self, chunk: Chunk, written: Sequence[int]
    ) -> tuple[tuple[int, ...], tuple[TokenScore, ...] | None]:
        """The tokens that a chunk says are missing, and their scores where asked for.

        Args:
            chunk: the event after them.
            written: the leg's tokens before them.

        Raises:
            EngineProtocolError: they cannot be found.
        """
        ...


class Dialect(Protocol):
    """One kind of server. New for each engine: it may remember things about the server."""

    name: str
    health_path: str
    constraint_kinds: frozenset[ConstraintKind]

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        ...

    def leg(self, request: GenerateRequest, constraint: Constraint | None = None) -> DialectLeg:
        """A leg of at most ``request.max_tokens`` tokens.

        Args:
            request: the leg.
            constraint: the form of all of it, of a kind in `constraint_kinds`.

        Raises:
            UnsupportedError: the server cannot honour a part of it; names it.
        """
        ...

    async def check_form(self, request: GenerateRequest, constraint: Constraint) -> None:
        """Makes sure that the server would not leave out the form of a leg without a word.

        Raises:
            UnsupportedError: it would.
        """
        ...

    def prefill(self, token_ids: Sequence[int], generation_id: str) -> Call:
        """A request that has this prefix read, and whose answer nobody needs."""
        ...

    async def score(
        self, token_ids: Sequence[int], from_token: int, generation_id: str
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`; the arguments have been checked."""
        ...

    async def encode(self, text: str) -> list[int] | None:
        """The ids of a text with special tokens, by the server's own tokenizer; None: no such way."""
        ...


class DialectFactory(Protocol):
    """Makes a dialect for one engine."""

    def __call__(self, client: Client, served: Served) -> Dialect:
        """See `Dialect`."""
        ...
