"""The step loop of one model: schedule, evaluate, deliver, for all running sequences at once.

Source: the three parts of a step are nano-vllm's; taking up the longest common prefix of a cached
sequence is llama-server's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from relaygen.engines.llama_cpp._batch import Piece
from relaygen.engines.llama_cpp.jobs import Job
from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.engines.llama_cpp.sequences import SequenceCache
from relaygen.errors import EngineError, EngineUnavailableError

_HINT_TOKENS = 32  # read of a hint in one step: a leg that arrives meanwhile waits no longer


class ModelLoop:
    """Owns the model. `add`, `add_hint` and `stop` are thread-safe; steps belong to one thread.

    Attributes:
        stopped: set when all jobs have ended and the model was freed.
    """

    def __init__(self, model: LlamaModel, wake: Callable[[], None]) -> None:
        """`wake`: tells the thread that calls `step` that there is something to do."""
        self._model = model
        self._wake = wake
        self._cache = SequenceCache(model)
        self._arrived: deque[Job] = deque()
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._hints: deque[Job] = deque()
        self._in_flight: tuple[Job, ...] = ()
        self._stopping = False
        self.stopped = threading.Event()

    def add(self, job: Job) -> None:
        """Queues a job.

        Raises:
            EngineUnavailableError: the engine was closed.
        """
        if self._stopping:
            raise EngineUnavailableError("the llama.cpp engine was closed; open another")
        self._arrived.append(job)
        self._wake()

    def add_hint(self, job: Job) -> None:
        """Queues a job for when there is nothing else to do; a later one replaces it."""
        if not self._stopping:
            self._hints.append(job)
            self._wake()

    def cancelled(self) -> None:
        """Call after a job's `cancelled` was set: breaks off a step that nobody needs any more."""
        in_flight = self._in_flight
        # One token is over soon; what a broken-off step has read must be read again.
        long = any(len(job.pending) > 1 for job in in_flight)
        if long and all(job.cancelled for job in in_flight):
            self._model.interrupt()
        self._wake()

    def stop(self) -> None:
        """The next `step` fails all jobs and frees the model; a step under way is broken off."""
        self._stopping = True
        if self._in_flight:
            self._model.interrupt()
        self._wake()

    def step(self) -> bool:
        """Takes a step of all running jobs; returns whether there was anything to do."""
        if self._stopping:
            return self._shut_down()
        if self._arrived or self._waiting:
            self._admit()
        running = self._running
        if not running:
            return False
        jobs, pieces = self._schedule(running)
        if pieces:
            self._evaluate(jobs, pieces)
        if any(not job.pending or job.cancelled for job in running):
            self._running = [job for job in running if not self._retire(job)]
        return True

    def step_hint(self) -> bool:
        """Reads a part of the latest hint; returns whether there was one."""
        while self._hints:
            job = self._hints[-1]
            if job.sequence is None and not self._place(job, evict=False):
                self._hints.pop()
                continue
            if job.pending:
                assert job.sequence is not None
                part = job.pending[:_HINT_TOKENS]
                piece = Piece(job.sequence.index, len(job.sequence.tokens), part, 0)
                self._evaluate([job], [piece])
            if not job.pending or job.cancelled:
                self._hints.remove(job)
                self._retire(job)
            return True
        return False

    def _admit(self) -> None:
        """Gives waiting jobs a sequence, first come first served."""
        while self._arrived:
            self._waiting.append(self._arrived.popleft())
        self._drop_hints()
        while self._waiting:
            job = self._waiting[0]
            if job.cancelled:
                self._retire(self._waiting.popleft())
            elif self._place(job, evict=True):
                self._running.append(self._waiting.popleft())
                # Sequences next to each other are evaluated together, others one by one.
                self._running.sort(key=_sequence_index)
            else:
                return

    def _drop_hints(self) -> None:
        """A leg reads its prefix itself, and needs the sequence that a hint for it may hold."""
        for hint in tuple(self._hints):
            self._hints.remove(hint)
            hint.pending = ()
            self._retire(hint)

    def _place(self, job: Job, *, evict: bool) -> bool:
        sequence = self._cache.acquire(job.prompt, job.keep_at_most, job.generation_id, evict=evict)
        if sequence is None:
            return False
        job.start(sequence)
        return True

    def _schedule(self, running: list[Job]) -> tuple[list[Job], list[Piece]]:
        """One token for each writer first; what is left of the step goes to long reads."""
        tokens, outputs = self._model.step_tokens, self._model.step_outputs
        tokens_left = tokens - sum(len(job.pending) == 1 for job in running)
        jobs, pieces = [], []
        for job in running:
            if not job.pending or job.cancelled:
                continue
            sequence = job.sequence
            assert sequence is not None
            if job.rewind_to is not None:
                self._rewind(job, job.rewind_to)
            pending = job.pending
            if len(pending) == 1:
                piece = Piece(sequence.index, len(sequence.tokens), pending, job.outputs)
            else:
                silent = len(pending) - job.outputs
                part = pending[: min(tokens_left, silent + outputs)]
                if not part:
                    continue
                tokens_left -= len(part)
                wanted = max(0, len(part) - silent)
                outputs -= max(0, wanted - 1)
                piece = Piece(sequence.index, len(sequence.tokens), part, wanted)
            jobs.append(job)
            pieces.append(piece)
        return jobs, pieces

    def _rewind(self, job: Job, keep: int) -> None:
        sequence = job.sequence
        assert sequence is not None
        kept = self._model.rewind(sequence.index, len(sequence.tokens), keep)
        if kept < keep:
            job.pending = [*sequence.tokens[:keep], *job.pending]
        del sequence.tokens[kept:]
        job.rewind_to = None

    def _evaluate(self, jobs: list[Job], pieces: list[Piece]) -> None:
        self._in_flight = tuple(jobs)
        try:
            firsts = self._model.evaluate(pieces)
        except InterruptedError:
            self._start_again(jobs)
            return
        except EngineError as error:
            for job in jobs:
                self._break_off(job, error)
            return
        finally:
            self._in_flight = ()
        for job, piece, first in zip(jobs, pieces, firsts, strict=True):
            assert job.sequence is not None
            job.sequence.tokens += piece.tokens
            job.pending = job.pending[len(piece.tokens) :]
            if piece.outputs and not job.cancelled:
                job.outputs -= piece.outputs
                self._deliver(job, first, piece.outputs)

    def _deliver(self, job: Job, first: int, count: int) -> None:
        try:
            job.receive(first, count)
        except EngineError as error:
            self._break_off(job, error)

    def _start_again(self, jobs: list[Job]) -> None:
        """After an interruption the model may hold a part of the step, or none of it."""
        for job in jobs:
            assert job.sequence is not None
            job.pending = [*self._cache.restore(job.sequence), *job.pending]

    def _break_off(self, job: Job, error: EngineError) -> None:
        assert job.sequence is not None
        self._cache.forget(job.sequence)
        job.pending = ()
        job.fail(error)
        job.cancelled = True

    def _retire(self, job: Job) -> bool:
        """Ends a job that has nothing pending or is cancelled; returns whether it did."""
        if job.pending and not job.cancelled:
            return False
        if job.sequence is not None:
            self._cache.release(job.sequence)
            job.sequence = None
        if not job.cancelled:
            job.finish()
        job.close()
        return True

    def crash(self, cause: Exception) -> None:
        """Ends everything after a bug of ours, so that nobody waits for ever."""
        self._stopping = True
        self._shut_down(EngineError(f"the llama.cpp engine broke down: {cause!r}; report it"))

    def _shut_down(self, error: EngineError | None = None) -> bool:
        if self.stopped.is_set():
            return False
        error = error or EngineUnavailableError("the llama.cpp engine was closed while it worked")
        for job in (*self._running, *self._waiting, *self._arrived, *self._hints):
            if not job.cancelled:
                job.fail(error)
            job.close()
        self._running, self._waiting, self._arrived, self._hints = [], deque(), deque(), deque()
        self._model.close()
        self.stopped.set()
        return True


def _sequence_index(job: Job) -> int:
    assert job.sequence is not None
    return job.sequence.index
