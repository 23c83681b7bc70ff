"""Headers that a task adds to whatever it, and the tasks that it starts, ask of servers."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

request_headers: ContextVar[Mapping[str, str] | None] = ContextVar("request_headers", default=None)
"""``traceparent`` where requests are traced; vLLM and others go on with the trace that it names."""
