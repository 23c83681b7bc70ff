"""What is known of one request while it is answered: for logs and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from relaygen.gateway.allowance import Allowance
from relaygen.runner import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """One choice that came to an end, whatever end it was.

    Attributes:
        index: its place among the choices.
        began: when, by the gateway's clock; the times of its trace count from here.
        result: what it left behind.
    """

    index: int
    began: float
    result: Result


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request and its response.

    Attributes:
        id: in the header ``x-request-id``, in and out.
        method: HTTP's.
        path: without the query.
        started: when it came, by the gateway's clock, in seconds.
        route: the path of the route that took it; empty: none did.
        key: name of the API key.
        allowance: of the key.
        model: as it was asked for, if there is such a model.
        stream: as server-sent events.
        status: 499 where the client left before the end of its answer.
        error: the code of a failure.
        detail: its message with the addresses of servers, which no client sees.
        first_text_s: seconds to the first text of any choice.
        ended: the choices that came to an end, in that order.
        prompt_tokens: of all prompts.
        messages: only where prompts are logged.
    """

    id: str
    method: str
    path: str
    started: float
    route: str = ""
    key: str = ""
    allowance: Allowance | None = None
    model: str = ""
    stream: bool = False
    status: int = 0
    error: str | None = None
    detail: str = ""
    first_text_s: float | None = None
    ended: list[Ended] = field(default_factory=list)
    prompt_tokens: int = 0
    messages: object = None

    @property
    def results(self) -> list[Result]:
        """Of the choices that came to an end."""
        return [ended.result for ended in self.ended]

    @property
    def completion_tokens(self) -> int:
        """Of all choices that came to an end."""
        return sum(result.usage.completion_tokens for result in self.results)
