"""The gateway's log: one JSON object a line, without what people wrote unless that is asked for."""

from __future__ import annotations

import logging
import time
from typing import Any, TextIO

import msgspec

from relaygen.gateway.exchange import Exchange
from relaygen.views.printable import one_line

LOGGER = logging.getLogger("relaygen.gateway")
_POOL = logging.getLogger("relaygen.pool")
_FIELDS = "relaygen"
_SPANS = logging.getLogger("opentelemetry")  # says what of it a collector did not take


class JsonLines(logging.Formatter):
    """Turns a record into one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """Turns a record into one line for people: the time, the event, then ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = getattr(record, _FIELDS, {})
        values = [f"{name}={one_line(str(value))}" for name, value in fields.items()]
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = " ".join((clock, record.levelname.lower(), record.getMessage(), *values))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to(stream: TextIO, level: int = logging.INFO, *, text: bool = False) -> None:
    """Sends the gateway's log to `stream`, and nowhere else; as text for people, or as JSON."""
    sink = logging.StreamHandler(stream)
    sink.setFormatter(TextLines() if text else JsonLines())
    spans = max(level, logging.WARNING)
    for logger, least in ((LOGGER, level), (_POOL, level), (_SPANS, spans)):
        logger.handlers[:] = [sink]
        logger.setLevel(least)
        logger.propagate = False


def log_exchange(exchange: Exchange, duration_s: float) -> None:
    """One line for a request that was answered, or whose client left."""
    fields: dict[str, Any] = {
        "request_id": exchange.id,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "duration_ms": round(duration_s * 1000, 1),
    }
    if exchange.model:
        fields |= {
            "model": exchange.model,
            "stream": exchange.stream,
            "prompt_tokens": exchange.prompt_tokens,
            "completion_tokens": exchange.completion_tokens,
            "first_text_ms": _milliseconds(exchange.first_text_s),
            "finish_reasons": [str(result.finish_reason) for result in exchange.results],
            "handoffs": sum(result.trace.handoffs for result in exchange.results),
        }
    optional = {
        "key": exchange.key,
        "error": exchange.error,
        "detail": exchange.detail,
        "messages": exchange.messages,
    }
    fields |= {name: value for name, value in optional.items() if value}
    LOGGER.info("request", extra={_FIELDS: fields})


def log_bug(exchange: Exchange, error: BaseException) -> None:
    """A failure that should not be possible, with where it happened."""
    LOGGER.error(
        "internal error",
        extra={_FIELDS: {"request_id": exchange.id, "path": exchange.path}},
        exc_info=error,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
