"""How to talk to a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relaygen.engines.deadlines import LegDeadlines
from relaygen.errors import InvalidRequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class HTTPOptions:
    """Everything about the way to a server; the defaults suit one in the same data centre.

    Attributes:
        api_key: sent as a bearer token; None: none.
        model: its name on the server; None: the only one there.
        deadlines: how long a leg may take; None: whoever reads it sees to that, as a pool does.
        connect_s: how long opening a connection may take.
        request_s: how long anything else may take (scores, prefills, ``/tokenize``).
        idle_s: how long an unused connection is kept. uvicorn and llama-server close theirs after
            5 s, so that a longer time here only meets closed ones.
        max_event_bytes: the largest event of a stream.
        max_body_bytes: the largest answer that is not a stream.
        stop_strings: how many stop strings the server takes; None: what its kind takes by default.
        original_logprobs: SGLang was started with ``SGLANG_RETURN_ORIGINAL_LOGPROB=1``; without it
            its log-probabilities are those of the temperature asked for.
        headers: sent with every request.
    """

    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    deadlines: LegDeadlines | None = field(default_factory=LegDeadlines)
    connect_s: float = 5.0
    request_s: float = 60.0
    idle_s: float = 4.0
    max_event_bytes: int = 2**22
    max_body_bytes: int = 2**27
    stop_strings: int | None = None
    original_logprobs: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in (*("connect_s", "request_s", "idle_s", "max_event_bytes", "max_body_bytes"),):
            if not getattr(self, name) > 0:
                raise InvalidRequestError(
                    f"{name} is {getattr(self, name)!r}; it must be positive", param=name
                )
