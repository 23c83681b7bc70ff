"""The gateway's log, for a test that wants to read it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from relaygen.gateway import log_to


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    loggers = [logging.getLogger(f"relaygen.{name}") for name in ("gateway", "pool")]
    before = [(x.handlers[:], x.level, x.propagate) for x in loggers]
    stream = io.StringIO()
    log_to(stream)
    yield stream
    for logger, was in zip(loggers, before, strict=True):
        logger.handlers[:], logger.level, logger.propagate = was
