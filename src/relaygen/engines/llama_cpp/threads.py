"""How many threads a step gets.

A decode step of a tiny model is over before a second thread has woken up; reading a segment gains
almost twofold from two. But llama.cpp's threads meet at a barrier after every operation, and spin
there: where another program holds a core, a barrier lasts a time slice of the scheduler, and
reading with two threads becomes ten to a hundred times *slower* than with one. So a tiny model
reads with several threads only while the machine has cores to spare, and where that cannot be seen
it learns from how long its reading takes.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TINY_PARAMETERS = 30_000_000
_TINY_THREADS = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 32, 1024
_REFRESH = 64
_TOO_SLOW = 1.5
_LEAST_TOKENS = 4
_SPIN_SECONDS = 0.02


def physical_cores() -> int:
    """Cores this process may use, without counting hyper-threads."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        cores = set()
        for cpu in allowed:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            try:
                cores.add(siblings.read_text().strip())
            except OSError:
                return len(allowed)
        return len(cores)
    return os.cpu_count() or 1


def is_tiny(parameters: int) -> bool:
    """Whether one thread decodes a model of this size as fast as several."""
    return parameters < _TINY_PARAMETERS


def default_threads(parameters: int) -> tuple[int, int]:
    """Threads for decoding one token and for reading several.

    Args:
        parameters: of the model.
    """
    cores = physical_cores()
    if is_tiny(parameters):
        return 1, min(cores, _TINY_THREADS)
    return cores, cores


def runnable_threads() -> int | None:
    """Threads that run or want to, of all programs; None where the system does not say."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[3].split(b"/")[0])
    except (OSError, IndexError, ValueError):
        return None


@dataclass(slots=True)
class _Experience:
    """What steps of about one size have cost with one thread, in seconds a token."""

    alone: float | None = None
    since_refresh: int = 0


class ReadingThreads:
    """Chooses between one thread and `most` for each step of several tokens."""

    def __init__(
        self,
        most: int,
        *,
        watch: bool,
        runnable: Callable[[], int | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describes the choice.

        Args:
            most: threads to use where nothing speaks against it.
            watch: use fewer where they are slower; for tiny models only.
            runnable: how many threads of all programs run or want to; None where unknown.
            clock: in seconds.
        """
        self._most = most
        self._watch = watch and most > 1
        self._runnable = runnable or (runnable_threads if self._watch else lambda: None)
        self._clock = clock
        self._cores = os.cpu_count() or 1
        self._workers_spin_until = 0.0
        self._known: defaultdict[tuple[int, bool], _Experience] = defaultdict(_Experience)
        self._pause = _FIRST_PAUSE
        self._paused = 0  # steps left before several threads are tried again

    def choose(self, tokens: int, sequences: int) -> int:
        """Threads for the next step.

        Args:
            tokens: that will be evaluated.
            sequences: that they belong to.
        """
        if not self._watch:
            return self._most
        if tokens < _LEAST_TOKENS:
            return 1
        # Now and then one thread, so that there is something current to compare with: what a
        # token costs grows with the length of the context.
        known = self._known[_kind(tokens, sequences)]
        known.since_refresh += 1
        if self._paused > 0 or known.alone is None or known.since_refresh >= _REFRESH:
            return 1
        return max(1, min(self._most, self._free_cores()))

    def record(self, tokens: int, sequences: int, threads: int, seconds: float) -> None:
        """Learns what a step took."""
        if not self._watch or tokens < _LEAST_TOKENS:
            return
        known, cost = self._known[_kind(tokens, sequences)], seconds / tokens
        if threads == 1:
            known.alone = cost if known.alone is None else (known.alone + cost) / 2
            known.since_refresh = 0
            self._paused = max(0, self._paused - 1)
            return
        self._workers_spin_until = self._clock() + _SPIN_SECONDS
        if known.alone is not None and cost > _TOO_SLOW * known.alone:
            self._paused = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        else:
            self._pause = _FIRST_PAUSE

    def _free_cores(self) -> int:
        """Cores that no other program is using, this thread's own included."""
        runnable = self._runnable()
        if runnable is None:
            return self._most
        # Our own workers go on spinning for a while after a step, and count as running.
        own = self._most if self._clock() < self._workers_spin_until else 1
        return self._cores - max(0, runnable - own)


def _kind(tokens: int, sequences: int) -> tuple[int, bool]:
    """Steps that may be compared: of a size within a factor of two, of one sequence or of many."""
    return tokens.bit_length(), sequences > 1
