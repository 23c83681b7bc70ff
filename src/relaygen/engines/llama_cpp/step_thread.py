"""The thread on which the models of this process take their steps, in turn.

All models share one by default, and that is what makes a handoff cheap: a sink that submits a leg
to the other model only appends to a list, and the next step is that model's. With a thread a model
a handoff costs two thread switches; worse, llama.cpp's OpenMP workers belong to the thread that
started them, and those of the model that has just read spin on the core that the other one's need
(20 % of the time of a whole relay on two cores). Models that should really run at once, on
different GPUs say, get a thread of their own.
"""

from __future__ import annotations

import atexit
import threading
import weakref

from relaygen.engines.llama_cpp._log import logger
from relaygen.engines.llama_cpp.loop import ModelLoop


class StepThread:
    """Steps the loops given to it, one after the other; sleeps while none has work."""

    def __init__(self, name: str = "llama-cpp") -> None:
        self._name = name
        self._loops: tuple[ModelLoop, ...] = ()
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        _threads.add(self)

    def wake(self) -> None:
        """Says that a loop has something to do."""
        self._work.set()

    def attach(self, loop: ModelLoop) -> None:
        """Steps this loop too, until it has stopped."""
        with self._lock:
            self._loops = (*self._loops, loop)
            if self._thread is None:
                # A daemon, so that a forgotten engine keeps no interpreter alive; `_close_all`
                # stops it before the interpreter is gone.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self.wake()

    def is_current(self) -> bool:
        """Whether the caller runs on this thread: in a sink."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Stops all loops and waits for the thread to end."""
        thread = self._thread
        for loop in self._loops:
            loop.stop()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            worked = False
            for loop in self._loops:
                worked |= self._step(loop)
            if not worked:
                worked = any(loop.step_hint() for loop in self._loops)
            if self._ended():
                return
            if not worked:
                self._work.wait()
                self._work.clear()

    def _step(self, loop: ModelLoop) -> bool:
        try:
            return loop.step()
        except Exception as error:  # noqa: BLE001  without this the reader would wait for ever
            logger.exception("the step loop broke down")
            loop.crash(error)
            return True

    def _ended(self) -> bool:
        if not any(loop.stopped.is_set() for loop in self._loops):
            return False
        with self._lock:
            self._loops = tuple(loop for loop in self._loops if not loop.stopped.is_set())
            if self._loops:
                return False
            self._thread = None
            return True


_threads: weakref.WeakSet[StepThread] = weakref.WeakSet()
SHARED = StepThread()


def _close_all() -> None:
    for thread in tuple(_threads):
        thread.close()


def close_at_exit() -> None:
    """Arranges for all engines to be closed at exit, before llama.cpp's log is given back."""
    atexit.unregister(_close_all)
    atexit.register(_close_all)
