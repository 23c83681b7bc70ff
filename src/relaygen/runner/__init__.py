"""Drives one relay machine over two engines: the only place where they meet."""

from relaygen.runner.run import RelayRun
from relaygen.runner.trace import Result, SegmentTrace, Trace

__all__ = ["RelayRun", "Result", "SegmentTrace", "Trace"]
