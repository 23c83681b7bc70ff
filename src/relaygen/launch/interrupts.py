"""Ctrl-C, once and twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What the user asked for.

    Attributes:
        stop: end in order.
        hurry: end at once.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def interrupt(self) -> None:
        """The first call asks to stop, the second to hurry."""
        (self.hurry if self.stop.is_set() else self.stop).set()

    @contextmanager
    def from_signals(self) -> Iterator[None]:
        """Interrupts at Ctrl-C, at SIGTERM, and when the terminal is closed."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.interrupt)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
