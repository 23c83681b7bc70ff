"""Every setting of the gateway, with its default and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from relaygen.errors import InvalidRequestError
from relaygen.relay.config import RelayConfig
from relaygen.types import Sampling

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address is like http://127.0.0.1:8001")
    return url.rstrip("/")


def _check_hash(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError(
            "a key is kept as sha256:<64 hex digits>, never in the clear; "
            "`relaygen config key` makes one"
        )
    return value


Url = Annotated[str, AfterValidator(_check_url)]
Seconds = Annotated[float, Field(gt=0)]


_RELAY_CONFIG = TypeAdapter(RelayConfig)


def _problem(name: str, value: object) -> str | None:
    """What is wrong with a limit; None: nothing."""
    known = [field.name for field in fields(RelayConfig)]
    if name not in known:
        return f"there is no limit {name}; known are {', '.join(known)}"
    try:
        _RELAY_CONFIG.validate_python({name: value})
    except InvalidRequestError as error:
        return str(error)
    except ValidationError as error:
        return f"{error.errors()[0]['msg']} (it is {value!r})"
    return None


def _bad_limits(problems: Mapping[str, str], *where: str) -> ValidationError:
    """One error for each, at the place of its limit below `where`."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("limit", "{says}", {"says": says}),
            loc=(*where, name),
            input=None,
        )
        for name, says in problems.items()
    ]
    return ValidationError.from_exception_data("limits", details)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolSettings(_Part):
    """The servers that hold one model; or its file, to be loaded into this process.

    Attributes:
        replicas: addresses of equal servers.
        gguf: a GGUF file to load instead, or a folder in transformers' format (extra ``hf``).
        dialect: what the servers speak; ``auto`` asks them.
        model: its name there; None: the only one they serve.
        api_key_env: the name of the environment variable that holds the servers' key.
        concurrency: legs at once on one replica; more wait.
        queue: legs that may wait for one; more are refused.
        first_token_s: a leg without a token for so long is moved to another replica.
        between_tokens_s: likewise between two tokens.
        leg_s: likewise for a whole leg.
        health_interval_s: how often a replica is asked whether it is well.
        context_tokens: prompt plus generation; None: what the server or the file says. A server
            that does not say it (most of those with the dialect ``text``) needs it set.
        stop_strings: how many stop strings a request may have there. vLLM takes 4 unless it was
            started with ``VLLM_MAX_STOP_STRINGS``; enough for every cue of the profile is best.
    """

    replicas: tuple[Url, ...] = ()
    gguf: Path | None = None
    dialect: Literal["auto", "vllm", "sglang", "llama_server", "text"] = "auto"
    model: str | None = None
    api_key_env: str | None = None
    concurrency: Annotated[int, Field(ge=1)] = 256
    queue: Annotated[int, Field(ge=0)] = 1024
    first_token_s: Seconds = 60.0
    between_tokens_s: Seconds = 20.0
    leg_s: Seconds = 1800.0
    health_interval_s: Seconds = 5.0
    context_tokens: Annotated[int | None, Field(ge=16)] = None
    stop_strings: Annotated[int | None, Field(ge=0)] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.replicas) == (self.gguf is not None):
            raise ValueError("give either replicas (addresses of servers) or gguf (a file)")
        if len(set(self.replicas)) < len(self.replicas):
            raise ValueError("a replica is listed twice")
        return self


class SamplingSettings(_Part):
    """How both models draw where a request does not say: before what their files say.

    Attributes:
        temperature: see `Sampling`, as the others; None: what the model's file says.
        top_k: likewise.
        top_p: likewise.
        min_p: likewise.
        presence_penalty: likewise.
        frequency_penalty: likewise.
        repetition_penalty: likewise; 1 takes back one that servers cannot honour.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        try:
            self.over(Sampling())
        except InvalidRequestError as error:
            raise ValueError(str(error)) from error
        return self

    def over(self, sampling: Sampling) -> Sampling:
        """A model's own sampling, with what is set here."""
        return replace(sampling, **self.model_dump(exclude_none=True))


class RelaySettings(_Part):
    """The pair as clients see it.

    Attributes:
        name: the model name that clients ask for; ``NAME:large`` and ``NAME:small`` are each alone.
        tokenizer: a folder or file with the tokenizer and chat template of served models; files
            that are loaded here bring their own.
        profile: a packaged cue profile's name, or a file.
        policy: what decides who writes, unless a request says otherwise.
        limits: fields of `RelayConfig`; the policy ``paper`` brings the published code's, and takes
            `read_ahead` and `stop_hints` alone, which change no greedy text.
        sampling: instead of the models' defaults, where a request does not say.
        max_queue_for_handoff: with more legs waiting for the small model, the large one writes on.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] = "relay"
    tokenizer: Path | None = None
    profile: str | None = None
    policy: Literal["relay", "large", "small", "random", "paper"] = "relay"
    limits: dict[str, int | bool | str] = Field(default_factory=dict)
    sampling: SamplingSettings = SamplingSettings()
    max_queue_for_handoff: Annotated[int | None, Field(ge=0)] = None

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, limits: dict[str, int | bool | str]) -> dict[str, int | bool | str]:
        found = {name: _problem(name, value) for name, value in limits.items()}
        if problems := {name: says for name, says in found.items() if says is not None}:
            raise _bad_limits(problems)
        return limits

    @model_validator(mode="after")
    def _own_limits(self) -> Self:
        theirs = [name for name in self.limits if name not in RelayConfig.CHANGE_NO_TEXT]
        if self.policy == "paper" and theirs:
            says = (
                "cannot be set under policy paper, which brings the limits of the published code; "
                "leave it out, or take policy relay"
            )
            raise _bad_limits(dict.fromkeys(theirs, says), "limits")
        return self

    @property
    def wants_cues(self) -> bool:
        """Whether every request has to bring cues of its own, because none are set here."""
        return self.profile is None and self.policy in ("relay", "paper")

    def config(self) -> RelayConfig:
        """The limits, for every policy that has none of its own."""
        return _RELAY_CONFIG.validate_python(self.limits)


class ServerSettings(_Part):
    """The gateway's own door.

    Attributes:
        host: address to listen on; this machine alone by default.
        port: to listen on; 0 takes a free one.
        cors_origins: web pages of these origins may call; none by default.
        max_body_bytes: of a request; larger ones are refused.
        max_choices: the largest `n`.
        max_streams: generations at once; more are refused with 429.
        retry_after_s: what a refused client is told to wait where nothing better is known.
        keepalive_s: a stream in which nothing was sent for so many seconds gets a comment, which
            proxies take for life and clients skip; 0: never.
        drain_s: after SIGTERM running streams have so long to end.
        playground: serve the page at ``/``.
        log: one JSON object a line, or text.
        log_prompts: write prompts and answers into the log.
        otel_endpoint: address of a collector that takes OpenTelemetry's spans over HTTP, without
            ``/v1/traces``; None: none are made. Nothing else turns them on: a standard
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` may be there for other programs.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 2**20
    max_choices: Annotated[int, Field(ge=1)] = 8
    max_streams: Annotated[int, Field(ge=1)] = 4096
    retry_after_s: Annotated[int, Field(ge=1)] = 5
    keepalive_s: Annotated[float, Field(ge=0)] = 15.0
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    playground: bool = True
    log: Literal["json", "text"] = "text"
    log_prompts: bool = False
    otel_endpoint: Url | None = None


class KeySettings(_Part):
    """One API key.

    Attributes:
        name: in logs and metrics.
        hash: of the key, ``sha256:...``.
        concurrency: generations at once; None: no limit.
        requests_per_minute: that may begin; None: no limit.
        tokens_per_minute: prompt and completion together; None: no limit.
    """

    name: str = Field(min_length=1)
    hash: Annotated[str, AfterValidator(_check_hash)]
    concurrency: Annotated[int | None, Field(ge=1)] = None
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    tokens_per_minute: Annotated[int | None, Field(ge=1)] = None


class Settings(BaseSettings):
    """All of it.

    Attributes:
        large: who writes the hard parts.
        small: who writes after cues.
        relay: the pair as clients see it.
        server: the gateway's own door.
        keys: who may call; empty: everybody.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="RELAYGEN_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    large: PoolSettings
    small: PoolSettings
    relay: RelaySettings = RelaySettings()
    server: ServerSettings = ServerSettings()
    keys: tuple[KeySettings, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [key.name for key in self.keys]
        if len(set(names)) < len(names):
            raise ValueError("two keys have the same name")
        return self
