"""What the gateway is told. Plain values; reading files and the environment is not done here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """One API key and what its holder may use.

    Attributes:
        name: in logs and metrics.
        hash: ``sha256:`` and 64 hexadecimal digits; see `hash_key`.
        concurrency: generations at once; None: no limit.
        requests_per_minute: None: no limit.
        tokens_per_minute: prompt and completion together; None: no limit.
    """

    name: str
    hash: str
    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewaySettings:
    """The gateway's door.

    Attributes:
        keys: who may call; empty: everybody.
        cors_origins: web pages of these origins may call; ``*`` is all.
        max_body_bytes: larger requests are refused with 413.
        max_choices: the largest `n`, and the most generations of one request.
        max_streams: generations at once; more are refused with 429.
        retry_after_s: what a refused client is told to wait where nothing better is known.
        keepalive_s: a stream in which nothing was sent for so many seconds gets a comment, which
            proxies take for life and clients skip; 0: never.
        drain_s: on shutdown running streams have so long to end.
        log_prompts: write prompts into the log.
        playground: serve the page at ``/``.
    """

    keys: tuple[ApiKey, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 8 * 2**20
    max_choices: int = 8
    max_streams: int = 4096
    retry_after_s: int = 5
    keepalive_s: float = 15.0
    drain_s: float = 30.0
    log_prompts: bool = False
    playground: bool = False


def hash_key(key: str) -> str:
    """The form in which a key is kept. Keys are long and random, so a fast hash is enough."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
