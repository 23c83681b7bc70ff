"""OpenTelemetry: each request is a span, each leg one below it.

`spans` alone imports OpenTelemetry, and is imported where tracing is on, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaygen.errors import MissingExtraError

if TYPE_CHECKING:
    from relaygen.gateway.tracing.spans import Tracing

__all__ = ["open_tracing"]


def open_tracing(endpoint: str) -> Tracing:
    """Sends spans to a collector; close it at the end.

    Args:
        endpoint: address of a collector that takes OTLP over HTTP, without ``/v1/traces``.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    try:
        from relaygen.gateway.tracing.spans import Tracing
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingExtraError(
            f"server.otel_endpoint is set, and needs {error.name}: pip install 'relaygen[otel]', or "
            "leave the setting out"
        ) from error
    return Tracing.to(endpoint)
