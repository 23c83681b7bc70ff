"""A call of a function that the model has to make, in its family's own words.

What is always the same in a call (the tags around it, the names of its fields) is not drawn: its
tokens are put there, as the prompt's are, and the model goes on after them. It chooses the function
where there are several, and then writes the arguments; both are forms that every server with
grammars has words for. Hence no grammar of a whole call, which each server would want in its own
language, is needed; and the function's schema is the root of the arguments' form, so that the
references in it hold.

One call is made, never several.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from relaygen.engines.base import Engine, EngineOutput, GenerateRequest
from relaygen.engines.constraint import ConstrainedView, Constraint, ConstraintKind, constrained
from relaygen.engines.continuation import continued
from relaygen.errors import EngineError, EngineProtocolError, TokenizerError
from relaygen.types import LegEnd, ModelRole, TokenScore


class CallTokenizer(Protocol):
    """What a forced call needs of a `relaygen.tokens.Tokenizer`."""

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that this token adds to the text."""
        ...

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of a text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ForcedCall:
    """A call of one of some functions.

    Attributes:
        schemas: the JSON schema of each function's arguments; at least one.
        before_name: what is written before the name.
        before_arguments: between the name and the arguments.
        closing: after them.
        lead: before all that, where the model has written something already.
        param: the request's field that asked for it, for messages.
    """

    schemas: Mapping[str, Mapping[str, Any]]
    before_name: str
    before_arguments: str
    closing: str
    lead: str = ""
    param: str = "tool_choice"


def forced(engine: Engine, call: ForcedCall, role: ModelRole, tokenizer: CallTokenizer) -> Engine:
    """The engine, each leg of which is the whole call.

    Raises:
        UnsupportedError: the engine cannot hold its output to the forms that a call has.
    """
    arguments = {
        name: constrained(
            engine,
            Constraint(kind=ConstraintKind.JSON_SCHEMA, schema=schema, param=call.param),
            role,
        )
        for name, schema in call.schemas.items()
    }
    naming = None
    if len(arguments) > 1:
        choices = tuple(map(_Names(call).written, arguments))
        asked = Constraint(kind=ConstraintKind.CHOICE, choices=choices, param=call.param)
        naming = constrained(engine, asked, role)

    def write(request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        return _Writing(engine, call, tokenizer, request).write(naming, arguments)

    return ConstrainedView(engine, write)


class _Names:
    """How the model writes a name.

    Bare where that is enough: what follows it may be a token that no grammar has words for. Where
    one name is the beginning of another, with what follows.
    """

    def __init__(self, call: ForcedCall) -> None:
        names = tuple(call.schemas)
        nested = any(a != b and b.startswith(a) for a in names for b in names)
        self.after = call.before_arguments if nested else ""
        self.given_after = "" if nested else call.before_arguments

    def written(self, name: str) -> str:
        """What is chosen from."""
        return name + self.after


class _Writing:
    """One call on its way."""

    def __init__(
        self, engine: Engine, call: ForcedCall, tokenizer: CallTokenizer, request: GenerateRequest
    ) -> None:
        self._engine = engine
        self._call = call
        self._names = _Names(call)
        self._tokenizer = tokenizer
        self._request = request
        self._closing = tokenizer.encode(call.closing, parse_special=True)
        self._written: list[int] = []
        self._told = False
        self._end: EngineOutput | None = None  # of the last part

    async def write(
        self, naming: Engine | None, arguments: Mapping[str, Engine]
    ) -> AsyncGenerator[EngineOutput]:
        """The call, from its first token to its end-of-sequence.

        Raises:
            EngineError: a part of it broke off.
        """
        name = next(iter(arguments))
        opening = self._lead() + self._call.before_name
        if naming is None:
            opening += name + self._call.before_arguments
        output = await self._literal(opening)
        yield output
        if output.end is not None:
            return
        if naming is not None:
            start = len(self._written)
            async with aclosing(self._part(naming)) as outputs:
                async for output in outputs:
                    yield output
                    if output.end is not None:
                        return
            name = self._name(self._written[start:], arguments)
            if self._names.given_after:
                output = await self._literal(self._names.given_after)
                yield output
                if output.end is not None:
                    return
        async with aclosing(self._part(arguments[name])) as outputs:
            async for output in outputs:
                yield output
                if output.end is not None:
                    return
        end = self._end
        given = await self._given(self._closing)
        last = EngineOutput((), None) if end is None else end
        scores = None if given.scores is None else (*given.scores, *(last.scores or ()))
        yield EngineOutput((*given.token_ids, *last.token_ids), scores, LegEnd.EOS)

    def _lead(self) -> str:
        origin = self._request.generated_from
        begun = origin is not None and len(self._request.prompt) > origin
        return self._call.lead if begun else ""

    def _room(self) -> int:
        """Tokens that may still be written before the call is closed."""
        request = self._request
        context = self._engine.capabilities().context_tokens
        most = min(request.max_tokens, context - len(request.prompt))
        return max(0, most - len(self._written) - len(self._closing))

    async def _literal(self, text: str) -> EngineOutput:
        """A text that is not drawn; the end, by length, where nothing may follow it."""
        ids, room = self._tokenizer.encode(text, parse_special=True), self._room()
        if room <= len(ids):
            return await self._given(ids[:room], LegEnd.LENGTH)
        return await self._given(ids)

    async def _given(self, token_ids: Sequence[int], end: LegEnd | None = None) -> EngineOutput:
        """Tokens that are not drawn; what the model thinks of them is asked where it matters."""
        request = self._request
        start = len(request.prompt) + len(self._written)
        self._written += token_ids
        scores: tuple[TokenScore, ...] | None = None
        if request.want_scores:
            scores = ()
            if token_ids:
                whole = (*request.prompt, *self._written)
                scores = await self._engine.score(whole, start, generation_id=request.generation_id)
        return EngineOutput(tuple(token_ids), scores, end)

    async def _part(self, engine: Engine) -> AsyncGenerator[EngineOutput]:
        """What the model writes of a form, less its end-of-sequence; an end only for length."""
        room = self._room()
        if room < 1:
            yield EngineOutput((), () if self._request.want_scores else None, LegEnd.LENGTH)
            return
        request = continued(self._request, self._written, room)
        async with aclosing(engine.generate(request)) as outputs:
            async for written in outputs:
                output = self._once(written)
                count = len(output.token_ids)
                if count and output.token_ids[-1] in request.eos_ids:
                    count -= 1
                self._written += output.token_ids[:count]
                self._end = _split(output, count, last=True)
                if output.end is LegEnd.LENGTH:
                    yield output
                    return
                if count:
                    yield _split(output, count, last=False)
                if output.end is not None:
                    return
        raise EngineError("the engine stopped without saying why", retryable=True)

    def _once(self, output: EngineOutput) -> EngineOutput:
        """Without what the first output of a leg says, where that was said in an earlier part."""
        told, self._told = self._told, True
        return replace(output, prompt_evaluated=None, replica=None) if told else output

    def _name(self, token_ids: Sequence[int], arguments: Mapping[str, Engine]) -> str:
        try:
            raw = b"".join(map(self._tokenizer.token_bytes, token_ids))
        except TokenizerError as error:  # an unused id
            raise EngineProtocolError(str(error), retryable=True) from error
        text = raw.decode(errors="replace")
        for name in arguments:
            if text == self._names.written(name):
                return name
        raise EngineProtocolError(
            f"the server wrote {text!r:.200} where it was held to one of {', '.join(arguments)}",
            retryable=True,
        )


def _split(output: EngineOutput, at: int, *, last: bool) -> EngineOutput:
    """The tokens of an output from `at` on, or those before; it ends nothing."""
    part = slice(at, None) if last else slice(at)
    scores = None if output.scores is None else output.scores[part]
    return replace(output, token_ids=output.token_ids[part], scores=scores, end=None)
