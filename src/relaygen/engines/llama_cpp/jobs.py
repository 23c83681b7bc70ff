"""What a sequence can be asked to do: write a leg, read a prefix, score tokens.

The loop evaluates a job's `pending` tokens, in one step or several, and calls `receive` where
logits came out. A job that wants to go on puts new tokens into `pending`; one that leaves it empty
is finished. A job may ask for the logits of several tokens at once (`outputs`) and have the
sequence rewound before the next step (`rewind_to`): that is all that speculative decoding needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relaygen.engines.base import EngineOutput, GenerateRequest, Sink
from relaygen.engines.llama_cpp._log import logger
from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.engines.llama_cpp.sampling import LegSampler
from relaygen.engines.llama_cpp.sequences import CachedSequence
from relaygen.engines.sampling import score_tokens
from relaygen.errors import EngineError
from relaygen.types import LegEnd, TokenScore


class Job:
    """One piece of work on one sequence. Only the loop's thread touches it, but for `cancelled`.

    Attributes:
        prompt: the tokens that must be in the sequence's cache at first.
        keep_at_most: so many of them may come from the cache; 0 without a generation.
        generation_id: whose sequence to use.
        pending: tokens to evaluate next.
        outputs: the logits after the last so many of `pending` are wanted.
        rewind_to: tokens to keep before `pending` is evaluated; None: all.
        sequence: where it runs; None while it waits.
        cancelled: set by anyone; nothing more is delivered.
    """

    def __init__(
        self, prompt: tuple[int, ...], *, keep_at_most: int, outputs: int, generation_id: str
    ) -> None:
        self.prompt = prompt
        self.keep_at_most = keep_at_most
        self.generation_id = generation_id
        self.pending: Sequence[int] = ()
        self.outputs = outputs
        self.rewind_to: int | None = None
        self.sequence: CachedSequence | None = None
        self.cancelled = False

    def start(self, sequence: CachedSequence) -> None:
        """Takes a sequence that holds the beginning of the prompt; the rest becomes pending."""
        self.sequence = sequence
        self.pending = self.prompt[len(sequence.tokens) :]

    def receive(self, first: int, count: int) -> None:
        """Takes the logits of `count` tokens, from the model's output `first` on."""

    def finish(self) -> None:
        """Called once when nothing is pending any more, not after `cancelled` or `fail`."""

    def fail(self, error: EngineError) -> None:
        """Called once instead of `finish` when the work broke off."""

    def close(self) -> None:
        """Frees what the job holds, after everything else."""


class WriteJob(Job):
    """Writes one leg, a token a step; the sink decides after each token whether to go on."""

    def __init__(
        self, model: LlamaModel, request: GenerateRequest, sink: Sink, on_cancel: Callable[[], None]
    ) -> None:
        super().__init__(
            tuple(request.prompt),
            keep_at_most=len(request.prompt) - 1 if request.generation_id else 0,
            outputs=1,
            generation_id=request.generation_id,
        )
        self._model = model
        self._request = request
        self._sink = sink
        self._on_cancel = on_cancel
        self._left = min(request.max_tokens, model.context_tokens - len(request.prompt))
        self._evaluated: int | None = None
        self._sampler: LegSampler | None = None

    def cancel(self) -> None:
        """See `Leg.cancel`."""
        self.cancelled = True
        self._on_cancel()

    def start(self, sequence: CachedSequence) -> None:
        """See `Job.start`."""
        super().start(sequence)
        self._evaluated = len(self.pending)
        request = self._request
        generated: Sequence[int] = ()
        if request.sampling.has_penalties and request.generated_from is not None:
            generated = request.prompt[request.generated_from :]
        self._sampler = LegSampler(self._model, request.sampling, generated)

    def receive(self, first: int, count: int) -> None:
        """See `Job.receive`."""
        assert self._sampler is not None
        request = self._request
        token_id = self._sampler.draw(first)
        scores = None
        if request.want_scores:
            logits = self._model.logits(first)[None]
            scores = score_tokens(logits, (token_id,), request.top_logprobs)
        self._left -= 1
        end = None
        if token_id in request.eos_ids:
            end = LegEnd.EOS
        elif self._left == 0:
            end = LegEnd.LENGTH
        output = EngineOutput((token_id,), scores, end, self._evaluated)
        self._evaluated = None
        if self._tell(output) and end is None:
            self.pending = (token_id,)
            self.outputs = 1

    def fail(self, error: EngineError) -> None:
        """See `Job.fail`."""
        self._tell(error)

    def close(self) -> None:
        """See `Job.close`."""
        if self._sampler is not None:
            self._sampler.close()

    def _tell(self, item: EngineOutput | EngineError) -> bool:
        if self.cancelled:
            return False
        try:
            return self._sink(item)
        except Exception:  # noqa: BLE001  a caller's bug must not stop the other sequences
            logger.exception("a sink raised; its leg is cancelled")
            return False


class ReadJob(Job):
    """Brings a prefix into the cache."""

    def __init__(
        self,
        token_ids: Sequence[int],
        generation_id: str,
        done: Callable[[EngineError | None], None],
    ) -> None:
        super().__init__(
            tuple(token_ids),
            keep_at_most=len(token_ids) if generation_id else 0,
            outputs=0,
            generation_id=generation_id,
        )
        self._done = done

    def finish(self) -> None:
        """See `Job.finish`."""
        self._done(None)

    def fail(self, error: EngineError) -> None:
        """See `Job.fail`."""
        self._done(error)


class ScoreJob(Job):
    """Scores the tokens from `from_token` on, all of them in one step if they fit into one."""

    def __init__(
        self,
        model: LlamaModel,
        token_ids: Sequence[int],
        from_token: int,
        generation_id: str,
        done: Callable[[tuple[TokenScore, ...] | EngineError], None],
    ) -> None:
        # The last token is scored, not read; the first is scored by the logits before it.
        super().__init__(
            tuple(token_ids[:-1]),
            keep_at_most=from_token - 1 if generation_id else 0,
            outputs=len(token_ids) - from_token,
            generation_id=generation_id,
        )
        self._model = model
        self._targets = token_ids[from_token:]
        self._scores: list[TokenScore] = []
        self._done = done

    def receive(self, first: int, count: int) -> None:
        """See `Job.receive`."""
        for index in range(first, first + count):
            target = self._targets[len(self._scores)]
            self._scores += score_tokens(self._model.logits(index)[None], (target,))

    def finish(self) -> None:
        """See `Job.finish`."""
        self._done(tuple(self._scores))

    def fail(self, error: EngineError) -> None:
        """See `Job.fail`."""
        self._done(error)
