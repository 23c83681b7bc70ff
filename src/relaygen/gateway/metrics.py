"""What the gateway counts, for Prometheus; each gateway has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from relaygen.gateway.exchange import Exchange
from relaygen.gateway.intervals import Intervals
from relaygen.gateway.replicas import ReplicaFigures, Replicas
from relaygen.runner import Result

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)
_SHARES = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """All of them. Labels hold names of the gateway's own only, never a client's text."""

    def __init__(
        self,
        generations: Callable[[], float],
        queue: Callable[[], float] | None = None,
        replicas: Callable[[], Replicas] = dict,
    ) -> None:
        """Makes them.

        Args:
            generations: how many run now.
            queue: how many legs wait for an engine; None where nothing tells.
            replicas: the servers behind each model.
        """
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "relaygen_requests",
            "Requests answered, by model and HTTP status (499: the client left).",
            ["route", "model", "status"],
            registry=registry,
        )
        self._tokens = Counter(
            "relaygen_tokens",
            "Tokens: read once as prompt, kept by role, dropped beyond a decision.",
            ["kind"],
            registry=registry,
        )
        self._handoffs = Counter(
            "relaygen_handoffs", "Handoffs to the small model.", registry=registry
        )
        self._generations = Counter(
            "relaygen_generations", "Choices that ended.", ["reason"], registry=registry
        )
        self._failovers = Counter(
            "relaygen_failovers", "Legs that were repeated after a failure.", registry=registry
        )
        self._degraded = Counter(
            "relaygen_degraded",
            "Generations that lost the small model, and the large one wrote on.",
            registry=registry,
        )
        self._first_text = Histogram(
            "relaygen_time_to_first_text_seconds",
            "From the request to the first text.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._duration = Histogram(
            "relaygen_request_duration_seconds",
            "From the request to the end of its response.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._utilisation = Histogram(
            "relaygen_utilisation",
            "Share of a generation's tokens that the large model wrote.",
            buckets=_SHARES,
            registry=registry,
        )
        self.between_texts = Intervals(
            "relaygen_inter_token_seconds",
            "Between two texts of one choice, of a token each as a rule.",
            _TOKEN_SECONDS,
        )
        registry.register(self.between_texts)
        registry.register(ReplicaFigures(replicas))
        for name, text, read in (
            ("relaygen_in_flight", "Generations that run now.", generations),
            ("relaygen_queue", "Legs that wait for an engine.", queue or (lambda: 0.0)),
        ):
            Gauge(name, text, registry=registry).set_function(read)

    def generation_ended(self, result: Result) -> None:
        """One choice came to its end."""
        trace = result.trace
        large = trace.large_tokens
        self._tokens.labels("large").inc(large)
        self._tokens.labels("small").inc(result.usage.completion_tokens - large)
        self._tokens.labels("reasoning").inc(result.usage.reasoning_tokens)
        self._tokens.labels("overrun").inc(trace.overrun_tokens)
        self._handoffs.inc(trace.handoffs)
        self._failovers.inc(trace.failovers)
        self._degraded.inc(trace.small_lost)
        self._generations.labels(str(result.finish_reason)).inc()
        if result.usage.completion_tokens:
            self._utilisation.observe(trace.utilisation)

    def request_ended(self, exchange: Exchange, duration_s: float) -> None:
        """A request was answered, or its client left."""
        self._requests.labels(exchange.route, exchange.model, str(exchange.status)).inc()
        self._tokens.labels("prompt").inc(exchange.prompt_tokens)
        if exchange.first_text_s is not None:
            self._first_text.observe(exchange.first_text_s)
        if exchange.model:
            self._duration.observe(duration_s)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
