"""The one error tree. Every message says what was wrong, with the value, and what to do."""

from __future__ import annotations


class RelayGenError(Exception):
    """Base of every error that RelayGen raises on purpose."""


class InvalidRequestError(RelayGenError):
    """A request that cannot be honoured as it stands.

    Attributes:
        param: name of the offending parameter, if there is one.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnsupportedError(InvalidRequestError):
    """A request that is sound, and that these models or their servers cannot honour."""


class ContextLengthError(InvalidRequestError):
    """The prompt leaves no room in a model's context."""


class ModelLoadError(RelayGenError):
    """A model file is missing, damaged, of an unknown kind, or too large for this machine."""


class TokenizerError(RelayGenError):
    """A tokenizer cannot be read or used."""


class TokenizerMismatchError(TokenizerError):
    """Two models of a relay do not have the same tokenizer; names the first difference."""


class SettingsError(RelayGenError):
    """A configuration cannot be read, or says something that cannot be; names file and line."""


class ChatTemplateError(RelayGenError):
    """A chat template is missing, cannot be rendered, or is not understood."""


class CueProfileError(RelayGenError):
    """A cue profile is unknown, damaged, or belongs to another tokenizer."""


class DatasetError(RelayGenError):
    """A question file cannot be read, or must not be used with another one; names file and line."""


class ProfilingError(RelayGenError):
    """A pair cannot be profiled from what there is: too little data, or data of something else."""


class EngineError(RelayGenError):
    """An engine failed while it worked.

    Attributes:
        retryable: whether the same leg may succeed elsewhere or later.
    """

    retryable: bool = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class EngineUnavailableError(EngineError):
    """The engine cannot be reached, or was closed."""

    retryable = True


class ServerBusyError(EngineUnavailableError):
    """The server turns requests away for now.

    Attributes:
        retry_after_s: seconds after which it wants to be asked again; None: it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineSetupError(EngineError):
    """The server is not set up for us: it has another model, or none of what its kind must have.

    No request of ours will do better on it; another server may be set up well.
    """


class EngineAccessError(EngineSetupError):
    """The server lets us do nothing: the key is missing or wrong."""


class EngineProtocolError(EngineError):
    """The engine sent something that its protocol does not allow."""


class FormLostError(EngineError):
    """An answer that is held to a form broke off after some of it was shown: it cannot go on."""


class ProtocolError(RelayGenError):
    """The relay machine was fed an event that its current state does not allow: a caller's bug."""


class MissingExtraError(RelayGenError):
    """An optional part is not installed; says which extra to install."""
