"""One thread that works on many jobs, a step of each in turn.

A job is a generator: what it does between two ``yield`` cannot be interrupted, so a job yields
after every token, and after every piece of a long prompt.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator

from relaygen.engines.base import EngineOutput, Sink
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError

Steps = Generator[EngineOutput | None, None, None]
"""The work of a job. ``None`` is a step with nothing to deliver."""


class Job:
    """Work that is under way; see `base.Leg`."""

    def __init__(self, steps: Steps, sink: Sink, *, background: bool) -> None:
        self.background = background
        self._steps = steps
        self._sink = sink
        self._over = False

    def cancel(self) -> None:
        """See `base.Leg.cancel`."""
        self._over = True

    def step(self) -> bool:
        """Works on; returns whether there is more to do."""
        try:
            if not self._over:
                self._deliver(next(self._steps))
        except StopIteration:
            self._over = True
        except (EngineError, InvalidRequestError) as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - a model's own failure becomes the leg's error
            self.fail(EngineError(f"the model failed: {type(error).__name__}: {error}"))
        if self._over:
            self._steps.close()
        return not self._over

    def fail(self, error: EngineError | InvalidRequestError) -> None:
        """Ends the job with an error, if it has not ended yet."""
        if not self._over:
            self._over = True
            self._sink(error)
        self._steps.close()

    def _deliver(self, output: EngineOutput | None) -> None:
        if output is None or self._over:
            return
        go_on = self._sink(output)
        if not go_on or output.end is not None:
            self._over = True


class StepLoop:
    """Runs jobs until it is closed."""

    def __init__(self, name: str, prepare: Callable[[], None]) -> None:
        """`prepare` is called once, on the thread."""
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._prepare = prepare
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, steps: Steps, sink: Sink, *, background: bool = False) -> Job:
        """Queues a job, from any thread.

        Args:
            steps: the work.
            sink: told of each output, and of the error that ends the job, if one does.
            background: to be worked on only while there is nothing else to do.

        Raises:
            EngineUnavailableError: the loop was closed.
        """
        job = Job(steps, sink, background=background)
        # Under the lock, so that no job can queue up behind the mark that ends the thread.
        with self._lock:
            if self._closed:
                raise EngineUnavailableError("the engine was closed; open another")
            self._inbox.put(job)
        return job

    def close(self) -> None:
        """Breaks off every job after its current step, and waits for the thread to end."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._prepare()
        urgent: deque[Job] = deque()
        later: deque[Job] = deque()
        while not self._closed:
            for job in self._arrivals(wait=not urgent and not later):
                (later if job.background else urgent).append(job)
            jobs = urgent or later
            if jobs and jobs[0].step():
                jobs.rotate(-1)
            elif jobs:
                jobs.popleft()
        for job in (*urgent, *later, *self._arrivals(wait=False)):
            job.fail(EngineUnavailableError("the engine was closed"))

    def _arrivals(self, *, wait: bool) -> Iterator[Job]:
        try:
            while (job := self._inbox.get(block=wait)) is not None:
                yield job
                wait = False
        except queue.Empty:
            return
