"""Errors as a client sees them: OpenAI's shape, with the right status.

`_TABLE` says what each error of `relaygen.errors` means over HTTP; the first row that fits counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from relaygen import errors
from relaygen.errors import RelayGenError

INVALID = "invalid_request_error"
SERVER = "server_error"

_TABLE: tuple[tuple[type[RelayGenError], int, str, str | None], ...] = (
    (errors.ContextLengthError, 400, INVALID, "context_length_exceeded"),
    (errors.UnsupportedError, 400, INVALID, "unsupported_value"),
    (errors.InvalidRequestError, 400, INVALID, "invalid_value"),
    (errors.ChatTemplateError, 400, INVALID, "chat_template_error"),
    (errors.CueProfileError, 400, INVALID, "cue_profile_error"),
    (errors.EngineUnavailableError, 503, SERVER, "engine_unavailable"),
    (errors.FormLostError, 502, SERVER, "upstream_lost_in_structured_output"),
    (errors.EngineProtocolError, 502, SERVER, "engine_protocol_error"),
    (errors.EngineError, 502, SERVER, "engine_error"),
    (errors.ModelLoadError, 503, SERVER, "model_unavailable"),
    (errors.TokenizerMismatchError, 500, SERVER, "tokenizer_mismatch"),
    (errors.TokenizerError, 500, SERVER, "tokenizer_error"),
    (errors.MissingExtraError, 500, SERVER, "not_installed"),
    (errors.SettingsError, 500, SERVER, "settings_error"),
    (errors.ProtocolError, 500, SERVER, "internal_error"),
    (errors.RelayGenError, 500, SERVER, "internal_error"),
)
_PARAMS: Mapping[type[RelayGenError], str] = {
    errors.ChatTemplateError: "messages",
    errors.CueProfileError: "relaygen",
}


class HttpError(RelayGenError):
    """An error that is about the request as HTTP, or one of the tree translated.

    Attributes:
        status: of the response.
        kind: OpenAI's ``type``.
        param: the field that is wrong, as a path.
        code: a name for programs.
        headers: for the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON."""
        return msgspec.json.encode(
            {
                "error": {
                    "message": str(self),
                    "type": self.kind,
                    "param": self.param,
                    "code": self.code,
                }
            }
        )

    def saying(self, message: str, *, param: str | None) -> HttpError:
        """The same with another message and field."""
        return HttpError(
            self.status,
            message,
            kind=self.kind,
            param=param,
            code=self.code,
            headers=self.headers,
        )

    def event(self) -> bytes:
        """The same as a server-sent event."""
        return b"data: " + self.body() + b"\n\n"


class ClientGoneError(RelayGenError):
    """Nobody is there to be answered."""


def failure(error: Exception) -> HttpError:
    """What `error` means to a client. What is no `RelayGenError` is a bug, and says nothing."""
    if isinstance(error, HttpError):
        return error
    for known, status, kind, code in _TABLE:
        if isinstance(error, known):
            param = getattr(error, "param", None) or _PARAMS.get(known)
            headers = {"retry-after": "1"} if status == 503 else None
            return HttpError(status, str(error), kind=kind, param=param, code=code, headers=headers)
    return HttpError(
        500,
        "something went wrong inside the gateway; its log has the details under this request's id",
        kind=SERVER,
        code="internal_error",
    )


def refused(param: str, message: str, *, code: str = "invalid_value") -> HttpError:
    """A request that cannot be honoured, by the name of the field."""
    return HttpError(400, message, param=param or None, code=code)


def conflicting(param: str, message: str) -> HttpError:
    """A field that contradicts another one."""
    return refused(param, message, code="mutually_exclusive_parameters")


def unsupported(param: str, reason: str) -> HttpError:
    """A field that would have to be ignored: why, and what to do instead."""
    return refused(param, f"{param} is not supported: {reason}", code="unsupported_parameter")
