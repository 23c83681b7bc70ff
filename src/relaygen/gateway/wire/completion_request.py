"""The request of ``/v1/completions``: a prompt as it is, without a chat template."""

from __future__ import annotations

from relaygen.gateway.wire.common_request import CommonRequest


class CompletionRequest(CommonRequest, forbid_unknown_fields=True, kw_only=True):
    """The whole request.

    Attributes:
        prompt: text, token ids, or several of either.
        logprobs: alternatives to list with each token.
        echo: only ``false``.
        suffix: only ``null``.
        best_of: only what `n` is.
    """

    prompt: str | list[str | int | list[int]]
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None
