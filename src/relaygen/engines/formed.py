"""Free reasoning, and an answer that is held to a form, as one leg of one engine.

A form cannot be gone on with in the middle: a server's grammar begins with the leg it is sent with,
so that a second half would be another whole. Hence a formed leg that breaks off begins again from
its own start. Nothing of it is shown before it has ended; or it is shown at once (`streamed`), and
then a failure after its first token is final.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from relaygen.engines.base import (
    Capabilities,
    Engine,
    EngineOutput,
    GenerateRequest,
    check_request,
)
from relaygen.engines.continuation import continued
from relaygen.engines.form_start import FormStart, Place, Reading
from relaygen.errors import EngineError, FormLostError
from relaygen.types import LegEnd, TokenScore

ATTEMPTS = 4


class FormedAnswer:
    """Implements `base.Engine` for one generation; what its caller sees of each leg is one leg."""

    def __init__(
        self,
        free: Engine,
        formed: Engine,
        start: FormStart,
        *,
        streamed: bool = False,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Both engines stay their owner's.

        Args:
            free: writes the reasoning.
            formed: the same engine under the constraint.
            start: where the form begins.
            streamed: pass the formed part on while it is written.
            attempts: how often a formed part is begun before its failure is the leg's.
        """
        self._free = free
        self._formed = formed
        self._start = start
        self._streamed = streamed
        self._attempts = attempts
        self._capabilities = replace(free.capabilities(), inline=False)

    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        """See `Engine.generate`.

        Raises:
            FormLostError: the formed part broke off when some of it had been passed on.
        """
        check_request(request, self._capabilities)
        origin = request.generated_from
        place = self._start.reading(() if origin is None else request.prompt[origin:])
        written: list[int] = []
        if place.place in (Place.OPENING, Place.REASONING):
            async with aclosing(self._reasoning(request, place)) as outputs:
                async for output in outputs:
                    written += output.token_ids
                    yield output
                    if output.end is not None:
                        return
        rest = self._rest(request, written)
        if rest is None:
            yield EngineOutput((), () if request.want_scores else None, LegEnd.LENGTH)
            return
        async with aclosing(self._answer(rest)) as outputs:
            async for output in outputs:
                yield replace(output, prompt_evaluated=None) if written else output

    async def prefill(self, token_ids: Sequence[int], generation_id: str = "") -> None:
        """See `Engine.prefill`."""
        await self._free.prefill(token_ids, generation_id)

    async def score(
        self, token_ids: Sequence[int], from_token: int, *, generation_id: str = ""
    ) -> tuple[TokenScore, ...]:
        """See `Engine.score`."""
        return await self._free.score(token_ids, from_token, generation_id=generation_id)

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._free.aclose()

    async def _reasoning(
        self, request: GenerateRequest, reading: Reading
    ) -> AsyncGenerator[EngineOutput]:
        """What is written up to the form. Has an end only where that ends the leg."""
        held: list[EngineOutput] = []  # while it may turn out to belong to the answer
        async with aclosing(self._free.generate(request)) as outputs:
            async for output in outputs:
                count = _read(reading, output.token_ids)
                undecided = reading.place is Place.OPENING
                if reading.place is Place.UNOPENED or (undecided and output.end is LegEnd.EOS):
                    return
                closed = reading.place is Place.CLOSED
                held.append(_first(output, count) if closed else output)
                if undecided and output.end is None:
                    continue
                for known in held:
                    yield known
                held.clear()
                if closed or output.end is not None:
                    return
        raise EngineError("the engine stopped without saying why", retryable=True)

    def _rest(self, request: GenerateRequest, written: Sequence[int]) -> GenerateRequest | None:
        """The leg of the form; None where there is no room for it."""
        left = request.max_tokens - len(written)
        context = self._capabilities.context_tokens
        if left < 1 or len(request.prompt) + len(written) >= context:
            return None
        return continued(request, written, left)

    async def _answer(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        for attempt in range(1, self._attempts + 1):
            held: list[EngineOutput] = []
            shown = False
            try:
                async with aclosing(_to_the_end(self._formed, request)) as outputs:
                    async for output in outputs:
                        if not self._streamed:
                            held.append(output)
                        elif output.token_ids or output.end is not None:
                            shown = True
                            yield output
            except EngineError as error:
                if shown:
                    raise FormLostError(
                        f"an answer that is held to a form broke off while it was streamed ({error}"
                        "); ask again, or without stream: then it is begun anew and not shown "
                        "before it is whole"
                    ) from error
                if not error.retryable or attempt == self._attempts:
                    raise
                continue
            if held:
                yield _joined(held)
            return


async def _to_the_end(engine: Engine, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            yield output
            if output.end is not None:
                return
    raise EngineError("the engine stopped without saying why", retryable=True)


def _read(reading: Reading, token_ids: Sequence[int]) -> int:
    """How many of the tokens were read: those up to the place where the form begins."""
    for count, token_id in enumerate(token_ids, 1):
        if reading.take(token_id) in (Place.CLOSED, Place.UNOPENED):
            return count
    return len(token_ids)


def _first(output: EngineOutput, count: int) -> EngineOutput:
    """The first tokens of an output, after which the leg goes on."""
    scores = None if output.scores is None else output.scores[:count]
    return replace(output, token_ids=output.token_ids[:count], scores=scores, end=None)


def _joined(outputs: Sequence[EngineOutput]) -> EngineOutput:
    first = outputs[0]
    scores = None
    if first.scores is not None:
        scores = tuple(score for output in outputs for score in output.scores or ())
    tokens = tuple(token_id for output in outputs for token_id in output.token_ids)
    # A call that is forced begins with tokens that are not drawn: no server has been asked yet.
    read = (o.prompt_evaluated for o in outputs if o.prompt_evaluated is not None)
    replicas = (o.replica for o in outputs if o.replica is not None)
    return EngineOutput(tokens, scores, outputs[-1].end, next(read, None), next(replicas, None))
