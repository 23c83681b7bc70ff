"""From an HTTP status and its body to an error of the project's tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from relaygen.errors import (
    ContextLengthError,
    EngineAccessError,
    EngineError,
    EngineProtocolError,
    EngineSetupError,
    InvalidRequestError,
    ServerBusyError,
)

_SHOWN = 300
# vLLM and SGLang: "maximum context length", SGLang also "longer than the model's context length",
# llama-server: the type exceed_context_size_error.
_TOO_LONG = re.compile(r"context[ _](length|size|window)|max_model_len|exceed_context", re.I)


def refusal(
    status: int, body: bytes, headers: Mapping[str, str], *, where: str
) -> EngineError | InvalidRequestError:
    """What an answer that is no 200 means; `where` names the server and the path."""
    message, param = _said(body)
    told = f"{where} answered {status}" + (f": {message}" if message else "")
    if status in (400, 413, 422):
        if _TOO_LONG.search(message):
            return ContextLengthError(told, param="prompt")
        return InvalidRequestError(told, param=param)
    if status == 401:
        return EngineAccessError(f"{told}; check api_key", retryable=False)
    if status == 403:  # perhaps of a filter, which minds this request and no other
        return EngineError(f"{told}; check api_key", retryable=False)
    if status in (404, 405):  # path and model are ours, and the same in every request
        return EngineSetupError(
            f"{told}; check the address, the dialect and model", retryable=False
        )
    if status in (429, 503):
        return ServerBusyError(told, retry_after_s=_seconds(headers.get("Retry-After")))
    if status == 408 or status >= 500:
        return EngineError(told, retryable=True)
    return EngineProtocolError(told, retryable=True)


def error_event(error: Any, *, where: str) -> EngineError | InvalidRequestError:
    """What an ``error`` object inside a stream means; servers put the status into ``code``."""
    body = msgspec.json.encode({"error": error})
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return refusal(status, body, {}, where=where)


def _said(body: bytes) -> tuple[str, str | None]:
    """The message in the body, and the parameter that it names."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _short(body.decode("utf-8", errors="replace")), None
    if isinstance(value, dict):
        value = value.get("error", value)
    if not isinstance(value, dict):
        return _short(str(value)), None
    message = value.get("message") or value.get("detail") or ""
    param = value.get("param")
    words = f"{message} ({value['type']})" if value.get("type") else str(message)
    return _short(words), param if isinstance(param, str) else None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds()) if when.tzinfo else None
