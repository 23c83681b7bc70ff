"""How often a leg that broke off is tried again."""

from __future__ import annotations

from relaygen.errors import EngineError
from relaygen.relay.events import LegFailed
from relaygen.runner.recorder import Recorder


class Retries:
    """So many failures in a row; whatever an engine delivers between two makes it a new row.

    A long generation outlives any number of failures, for each leg goes on from what is written;
    one that makes no headway ends soon. All that are repeated go into the trace.
    """

    def __init__(self, most: int, recorder: Recorder) -> None:
        self._most = most
        self._left = most
        self._recorder = recorder
        self.final: EngineError | None = None
        """The last failure that was not repeated: the generation's own, where it ended in one."""

    def progressed(self) -> None:
        """An engine has delivered something."""
        self._left = self._most

    def failed(self, leg_id: int, error: EngineError) -> LegFailed:
        """The event of a failure, to be repeated if it may help and the budget allows it."""
        again = error.retryable and self._left > 0
        if again:
            self._left -= 1
            self._recorder.failovers += 1
        else:
            self.final = error
        return LegFailed(leg_id, str(error), again)
